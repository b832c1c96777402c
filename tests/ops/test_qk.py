"""qk_rmsnorm and qk_norm_rope: what their declarations say beyond what holds for every op."""

import numpy as np
import pytest
import torch

from rocmoe.ops import qk_norm_rope, qk_rmsnorm
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.core.workbench import Workbench
from rocmoe.profiles.examination import examine

QWEN3_8B = {"qk_norm": True, "num_heads_q": 32, "num_heads_kv": 8, "head_dim": 128}
NORM = "qk_rmsnorm:T={T},Hq={Hq},Hkv={Hkv},D={D}:{dtype}:eps={eps}:{pattern}:{layout}"
ROPE = (
    "qk_norm_rope:T=5,Hq=2,Hkv=1,D=8,max_pos={max_pos},rotary_dim={rotary_dim}:fp32:"
    "eps=1e-06,is_neox_style=true,positions={positions}:normal:{layout}"
)


def norm_case(**changes):
    named = {"T": 5, "Hq": 3, "Hkv": 2, "D": 8, "dtype": "bf16", "eps": "1e-06"}
    named |= {"pattern": "normal", "layout": "contiguous", **changes}
    return qk_rmsnorm.SPEC.check_case(parse_case(NORM.format(**named)))


def rope_case(**changes):
    named = {"max_pos": 128, "rotary_dim": 8, "positions": "random", "layout": "contiguous"}
    return qk_norm_rope.SPEC.check_case(parse_case(ROPE.format(**{**named, **changes})))


def lay_out(case):
    """The tensors that a candidate is handed for a case."""
    seen = {}

    def look(**inputs):
        seen.update(inputs)
        return load_op(case.op).run_torch(**inputs)

    spec = load_op(case.op)
    bench = Workbench(spec, case, Implementation(case.op, "test", look), Device("cpu"))
    bench.call(draw_inputs(spec, case), poison=0)
    return seen


def test_qkv_views_have_the_row_stride_of_one_qkv():
    seen = lay_out(norm_case(layout="qkv_views"))
    assert seen["q"].stride() == seen["k"].stride() == ((3 + 2 * 2) * 8, 1)
    assert seen["q_weight"].stride() == (1,)
    whole = torch.randn(5, (3 + 2 * 2) * 8)
    assert whole.split([24, 16, 16], dim=1)[1].stride() == seen["k"].stride()


def test_the_rotary_cache_is_contiguous_where_qkv_is_strided():
    seen = lay_out(rope_case(layout="strided"))
    assert not seen["qkv"].is_contiguous()
    assert seen["cos_sin_cache"].is_contiguous()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Hq": 0}, "Hq=0"),
        ({"Hkv": 0}, "Hkv=0"),
        ({"D": 0}, "D=0"),
        ({"eps": "0.0"}, "eps=0.0"),
        ({"eps": "2.0"}, "eps=2.0"),
        ({"dtype": "fp16", "pattern": "overflow"}, "fp16"),
    ],
)
def test_heads_that_cannot_be_are_refused_in_one_line(changes, words):
    with pytest.raises(RocmoeError, match=words) as raised:
        norm_case(**changes)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rotary_dim": 0}, "rotary_dim=0"),
        ({"rotary_dim": 3}, "rotary_dim=3"),
        ({"rotary_dim": 10}, "rotary_dim=10"),
        ({"max_pos": 0}, "max_pos=0"),
        ({"positions": "nowhere"}, "nowhere"),
    ],
)
def test_rotations_that_cannot_be_are_refused(changes, words):
    with pytest.raises(RocmoeError, match=words):
        rope_case(**changes)


@pytest.mark.parametrize("op", [qk_rmsnorm, qk_norm_rope])
@pytest.mark.parametrize("missing", ["qk_norm", "num_heads_q", "num_heads_kv", "head_dim"])
def test_a_model_without_qk_norm_or_heads_has_no_use_for_either_op(op, missing):
    assert op.from_model(QWEN3_8B) is not None
    assert op.from_model({k: v for k, v in QWEN3_8B.items() if k != missing}) is None
    assert op.from_model({**QWEN3_8B, "qk_norm": False}) is None


def test_a_model_gives_sizes_and_params():
    model = {**QWEN3_8B, "rms_norm_eps": 1e-5, "rotary_dim": 64}
    assert qk_rmsnorm.from_model(model) == ({"Hq": 32, "Hkv": 8, "D": 128}, {"eps": 1e-5})
    sizes, params = qk_norm_rope.from_model(model)
    assert sizes == {"Hq": 32, "Hkv": 8, "D": 128, "max_pos": 4096, "rotary_dim": 64}
    assert params == {"eps": 1e-5, "is_neox_style": True, "positions": "random"}


def test_a_model_that_says_no_more_is_rotated_whole_with_the_usual_eps():
    sizes, params = qk_norm_rope.from_model(QWEN3_8B)
    assert (sizes["rotary_dim"], params["eps"]) == (128, 1e-6)


@pytest.mark.parametrize("word", qk_norm_rope.POSITIONS)
def test_positions_are_rows_of_the_cache_and_no_more_than_are_counted(word):
    positions = qk_norm_rope.draw_positions(word, np.random.default_rng(0), 1000, 300)
    assert positions.dtype == np.int64
    assert positions.min() >= 0
    assert positions.max() < 300
    distinct = len(np.unique(positions))
    assert 0.9 * distinct <= qk_norm_rope.count_cache_rows(word, 1000, 300) + 2 <= distinct + 12
    assert len(qk_norm_rope.draw_positions(word, np.random.default_rng(0), 0, 300)) == 0


def test_positions_are_what_their_words_say():
    def draw(word, tokens=400):
        return qk_norm_rope.draw_positions(word, np.random.default_rng(0), tokens, 300)

    assert (draw("last") == 299).all()
    assert (draw("zero") == 0).all()
    assert draw("ascending")[298:302].tolist() == [298, 299, 0, 1]
    assert len(np.unique(draw("repeated"))) <= 3
    assert (draw("random") >= 99).any()


def test_the_cache_holds_scaled_cosines_then_sines_of_angles_that_grow_with_the_position():
    cache = qk_norm_rope.make_cache(np.random.default_rng(0), 300, 8)
    assert cache.shape == (300, 8)
    cos, sin = cache[:, :4], cache[:, 4:]
    amplitude = cos[0, 0]
    assert 1.07 <= amplitude <= 1.42
    assert (cos[0] == amplitude).all()
    assert (sin[0] == 0.0).all()
    np.testing.assert_allclose(np.hypot(cos, sin), amplitude)
    turns = np.unwrap(np.arctan2(sin, cos), axis=0)
    np.testing.assert_allclose(turns, np.arange(300)[:, None] * turns[1], atol=1e-9)


def test_every_draw_has_a_cache_of_its_own_that_no_base_gives():
    caches = [qk_norm_rope.make_cache(np.random.default_rng(seed), 20, 64) for seed in (0, 1)]
    amplitudes = [cache[0, 0] for cache in caches]
    assert amplitudes[0] != amplitudes[1]
    for cache in caches:
        frequencies = np.log(np.arctan2(cache[1, 32:], cache[1, :32]))
        steps = np.diff(frequencies)
        assert (steps > 0).any()
        assert (steps < 0).any()


@pytest.mark.parametrize("op", [qk_rmsnorm, qk_norm_rope])
def test_runs_may_differ_by_rounding_but_not_under_strict(op):
    case = norm_case(dtype="fp32") if op is qk_rmsnorm else rope_case()
    calls = []

    def wander(**inputs):
        """Every third call is one float32 step off."""
        calls.append(inputs)
        first, *rest = op.run_torch(**inputs)
        step = torch.nextafter(first, torch.zeros_like(first))
        return (first if len(calls) % 3 else step, *rest)

    kernel = Implementation(case.op, "test", wander)
    assert examine(op.SPEC, case, kernel, Device("cpu"), strict=False).verdict.ok
    assert examine(op.SPEC, case, kernel, Device("cpu"), strict=True).verdict.failed == (
        "repeatable",
    )


def test_cost_counts_what_must_move():
    cost = qk_rmsnorm.estimate_cost(norm_case())
    assert cost.bytes_read == 5 * 5 * 8 * 2 + 2 * 8 * 2
    assert cost.bytes_written == 5 * 5 * 8 * 2
    cost = qk_norm_rope.estimate_cost(rope_case(positions="zero"))
    assert cost.bytes_read == 5 * 4 * 8 * 4 + 2 * 8 * 4 + 5 * 8 + 1 * 8 * 4
    assert cost.bytes_written == 5 * 4 * 8 * 4
    assert qk_rmsnorm.estimate_cost(norm_case(T=0)).bytes_read == 0


@pytest.mark.parametrize("neox", [True, False])
def test_torch_rotation_agrees_with_complex_numbers(neox):
    heads = torch.randn(6, 3, 10)
    angles = torch.rand(6, 1, 4) * 6.28
    turned = qk_norm_rope.rotate(heads, angles.cos(), angles.sin(), neox)
    first, second = (
        (heads[..., :4], heads[..., 4:8]) if neox else (heads[..., 0:8:2], heads[..., 1:8:2])
    )
    product = torch.complex(first, second) * torch.polar(torch.ones_like(angles), angles)
    found = (turned[..., :4], turned[..., 4:8]) if neox else (
        turned[..., 0:8:2], turned[..., 1:8:2])  # fmt: skip
    torch.testing.assert_close(torch.complex(*found), product)
    assert torch.equal(turned[..., 8:], heads[..., 8:])
