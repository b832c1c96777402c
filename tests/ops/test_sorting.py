"""What the declarations of the sorting ops promise beyond what holds for every op."""

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops import moe_align_block_size, moe_sorting, topk_softmax_sorting
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.harm import load_harms
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.patterns.expert_ids import OUT_OF_CONTRACT, PATTERNS
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.harms import moe_sorting as harms
from rocmoe.ops.harms import topk_softmax_sorting as fused_harms
from rocmoe.references import moe_sorting as reference

QWEN3 = {
    "num_experts": 128,
    "topk": 8,
    "hidden_size": 4096,
    "scoring_func": "softmax",
    "renormalize": True,
}


def make_case(mask="none", local="none", pattern="uniform", **sizes):
    sizes = {"T": 20, "E": 10, "k": 3, "U": 4, "D": 8, **sizes}
    counts = ",".join(f"{name}={size}" for name, size in sizes.items())
    params = f"expert_mask={mask},num_local_tokens={local}"
    return parse_case(f"moe_sorting:{counts}:fp32:{params}:{pattern}:contiguous")


def call(spec, inputs):
    tensors = {}
    for argument in spec.inputs:
        value = inputs[argument.name]
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value).to(
                torch.float32 if value.dtype.kind == "f" else torch.int32
            )
        tensors[argument.name] = value
    return spec.run_torch(**tensors)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": 11}, "k=11 is not in [1, E=10]"),
        ({"k": 255, "E": 256}, "k=255 does not fit the slot byte"),
        ({"T": 2**24}, "T=16777216 does not fit the 24 token bits"),
        ({"U": 0}, "U=0"),
        ({"local": "21"}, "num_local_tokens=21 is not in [0, T=20]"),
        ({"local": "-1"}, "num_local_tokens=-1"),
        ({"local": "quarter"}, "num_local_tokens='quarter'"),
        ({"mask": "hlaf"}, "expert_mask='hlaf'"),
    ],
)
def test_impossible_cases_are_refused(changes, words):
    with pytest.raises(RocmoeError) as refusal:
        moe_sorting.SPEC.check_case(make_case(**changes))
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("word", "enabled"),
    [("all", 10), ("share70", 7), ("half", 5), ("share30", 3), ("one_off", 9), ("no_expert", 0)],
)
def test_masks_enable_the_share_that_their_word_says(word, enabled):
    mask = draw_inputs(moe_sorting.SPEC, make_case(mask=word))["expert_mask"]
    assert set(mask) <= {0, 1}
    assert mask.sum() == enabled


def test_the_upper_half_of_the_experts_is_a_rank_of_two():
    mask = draw_inputs(moe_sorting.SPEC, make_case(mask="upper_half"))["expert_mask"]
    assert mask.tolist() == [0] * 5 + [1] * 5


@pytest.mark.parametrize(
    ("word", "tokens", "local"),
    [("all", 20, 20), ("all_but_one", 20, 19), ("half", 21, 10), ("zero", 20, 0), ("7", 20, 7),
     ("all_but_one", 0, 0)],
)  # fmt: skip
def test_local_token_counts_are_what_their_word_says(word, tokens, local):
    inputs = draw_inputs(moe_sorting.SPEC, make_case(local=word, T=tokens))
    assert inputs["num_local_tokens"].tolist() == [local]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(PATTERNS)),
    st.integers(0, 2**32),
    st.integers(0, 40),
    st.integers(1, 40),
    st.data(),
)
def test_ids_are_unique_in_a_row_and_in_range_unless_out_of_contract(
    pattern, seed, tokens, experts, data
):
    topk = data.draw(st.integers(1, experts))
    ids = PATTERNS[pattern].fill(np.random.default_rng(seed), tokens, experts, topk)
    assert ids.shape == (tokens, topk)
    if pattern not in OUT_OF_CONTRACT:
        assert ((ids >= 0) & (ids < experts)).all()
        assert all(len(set(row)) == topk for row in ids.tolist())


@pytest.mark.parametrize("pattern", sorted(OUT_OF_CONTRACT))
def test_patterns_out_of_contract_are(pattern):
    ids = PATTERNS[pattern].fill(np.random.default_rng(0), 40, 10, 3)
    twice = any(len(set(row)) < 3 for row in ids.tolist())
    assert twice if pattern == "duplicates" else ((ids < 0) | (ids >= 10)).any()
    assert pattern in moe_sorting.SPEC.out_of_contract(make_case(pattern=pattern)) or twice


def test_uniform_ids_are_uniform():
    ids = PATTERNS["uniform"].fill(np.random.default_rng(0), 30000, 10, 3)
    for slot in range(3):
        counts = np.bincount(ids[:, slot], minlength=10)
        assert abs(counts - 3000).max() < 5 * np.sqrt(30000 * 0.1 * 0.9)


def test_stale_rows_hold_no_expert_past_the_local_ones_and_are_still_in_contract():
    case = make_case(pattern="stale_rows", local="half")
    ids = draw_inputs(moe_sorting.SPEC, case)["topk_ids"]
    assert ((ids[:10] >= 0) & (ids[:10] < 10)).all()
    assert ((ids[10:] < 0) | (ids[10:] >= 10)).all()
    assert moe_sorting.SPEC.out_of_contract(case) is None
    assert "stale_rows" not in moe_align_block_size.SPEC.patterns


@pytest.mark.parametrize("op", ["moe_sorting", "moe_align_block_size"])
@pytest.mark.parametrize("pattern", sorted(OUT_OF_CONTRACT))
def test_torch_survives_ids_out_of_contract_without_raising(op, pattern):
    spec = load_op(op)
    row = next(row for row in spec.cases if row.pattern == pattern)
    inputs = draw_inputs(spec, spec.make_case(row))
    outputs = call(spec, inputs)
    wanted = spec.oracle(**inputs)
    for output, tensor in zip(spec.outputs, outputs, strict=True):
        assert tensor.shape == wanted[output.name].shape
    total = int(outputs[-2 if op == "moe_sorting" else -1][0])
    assert total == wanted["num_valid_ids" if op == "moe_sorting" else "num_tokens_post_pad"][0]


def test_what_must_be_written_ends_with_the_last_block_and_the_local_rows():
    case = make_case(mask="half", local="half", pattern="balanced")
    inputs = draw_inputs(moe_sorting.SPEC, case)
    due = moe_sorting.SPEC.must_write(case, inputs)
    total = int(moe_sorting.SPEC.oracle(**inputs)["num_valid_ids"][0])
    assert 0 < total < len(due["sorted_ids"])
    assert due["sorted_ids"].sum() == due["sorted_weights"].sum() == total
    assert due["sorted_expert_ids"].sum() == total // 4
    assert due["moe_buf"].any(axis=1).tolist() == [True] * 10 + [False] * 10
    assert "num_valid_ids" not in due


def test_a_fused_kernel_must_write_what_every_choice_among_ties_calls_for():
    spec = topk_softmax_sorting.SPEC
    rows = [row for row in spec.cases if row.pattern in ("distinct", "all_equal")]
    for row in rows:
        case = spec.make_case(row)
        inputs = draw_inputs(spec, case)
        due = int(spec.must_write(case, inputs)["sorted_ids"].sum())
        total = int(spec.oracle(**inputs)["num_valid_ids"][0])
        assert due == (total if row.pattern == "distinct" else 0)


def test_costs_count_what_is_local():
    assert moe_sorting.SPEC.cost(make_case()).bytes_written == 60 * 8 + 8 + 20 * 8 * 2
    half = moe_sorting.SPEC.cost(make_case(mask="half", local="half"))
    assert half.bytes_read == 30 * 4 + 15 * 4
    assert half.bytes_written == 15 * 8 + 8 + 10 * 8 * 2


@pytest.mark.parametrize(
    ("op", "model", "sizes"),
    [
        (moe_sorting, QWEN3, {"E": 128, "k": 8, "U": 32, "D": 0}),
        (
            moe_sorting,
            {**QWEN3, "num_fused_shared_experts": 1},
            {"E": 129, "k": 9, "U": 32, "D": 0},
        ),
        (moe_align_block_size, QWEN3, {"E": 128, "k": 8, "B": 64}),
        (topk_softmax_sorting, QWEN3, {"E": 128, "k": 8, "U": 32, "D": 0}),
    ],
)
def test_models_set_the_sizes(op, model, sizes):
    found, params = op.SPEC.from_model(model)
    assert found == sizes
    assert set(params) == set(op.SPEC.params)


@pytest.mark.parametrize("op", [moe_sorting, moe_align_block_size, topk_softmax_sorting])
def test_a_dense_model_has_no_use_for_a_sort(op):
    assert op.SPEC.from_model({"vocab_size": 32000}) is None


PASS_UPSTREAM = {
    "token_off_by_one",
    "half_precision_weights",
    "expert_off_by_one",
    "block_too_many",
    "padding_weight",
    "leave_moe_buf",
    "leave_last_store",
}


def test_the_harms_that_pass_upstream_say_so():
    assert {harm.name for harm in harms.HARMS if "aiter's" in harm.summary} == PASS_UPSTREAM


def compare_as_aiter_does(right, found, padding):
    """ROCm/aiter op_tests/test_moe_sorting.py @e4048607, checkAllclose's defaults."""

    def is_close(left, other, atol=1e-2):
        return bool(torch.isclose(left, other, rtol=1e-2, atol=atol).all())

    total = int(right[3][0])
    kept = right[0] != padding
    blocks = slice(total // 32)
    return (
        is_close(right[3], found[3], atol=0)
        and is_close(right[0][:total], found[0][:total])
        and is_close(right[1][kept], found[1][kept])
        and is_close(right[2][blocks], found[2][blocks])
    )


@pytest.mark.parametrize("harm", [harm for harm in harms.HARMS if "aiter's" in harm.summary])
def test_harms_that_are_said_to_pass_aiters_comparison_do(harm):
    inputs = draw_inputs(moe_sorting.SPEC, make_case(T=64, E=254, k=8, U=32, D=64))
    # One less than 99 and 100 is a little more than the two tolerances together.
    inputs["topk_ids"] += 2 * (inputs["topk_ids"] >= 99)
    inputs["num_experts"] = 256
    tensors = {
        name: torch.from_numpy(value.astype(np.float32 if value.dtype.kind == "f" else np.int32))
        if isinstance(value, np.ndarray)
        else value
        for name, value in inputs.items()
    }
    right, found = moe_sorting.run_torch(**tensors), harm.function(**tensors)
    padding = (8 << reference.SLOT_SHIFT) | 64
    assert compare_as_aiter_does(right, right, padding)
    assert compare_as_aiter_does(right, found, padding)
    outputs = {
        output.name: tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy()
        for output, tensor in zip(moe_sorting.SPEC.outputs, found, strict=True)
    }
    verdict = moe_sorting.SPEC.judge(inputs, outputs, dtype="fp32", strict=False)
    assert not verdict.ok or harm.name == "leave_moe_buf"


@pytest.mark.parametrize("op", ["moe_sorting", "moe_align_block_size", "topk_softmax_sorting"])
def test_no_two_harms_share_a_name(op):
    module = importlib.import_module(f"rocmoe.ops.harms.{op}")
    assert len({harm.name for harm in module.HARMS}) == len(module.HARMS)


def test_every_harmed_choice_that_is_sorted_exists():
    assert set(fused_harms.GATING_HARMS) <= set(load_harms("topk_softmax"))
    assert set(fused_harms.GATING_HARMS) <= set(load_harms("topk_softmax_sorting"))
