import pytest

pytest.importorskip("triton", reason="triton is not installed")
import torch

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device, parse_device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.launch import recording, simulating
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.gcn.assembly import read_metadata, read_program
from rocmoe.ops.kernels.qk_norm_rope import MOST_CHUNKS, VARIANTS, choose_chunk, qk_norm_rope
from rocmoe.profiles.examination import examine

SPEC = load_op("qk_norm_rope")
TRITON = Implementation("qk_norm_rope", "triton", qk_norm_rope)
WORDS = (
    "qk_norm_rope:T={},Hq={},Hkv={},D={},max_pos=64,rotary_dim={}:{}:"
    "eps=1e-06,is_neox_style={},positions={}:{}:{}"
)


@pytest.mark.parametrize(
    "row",
    [
        (0, 4, 2, 64, 64, "bf16", "true", "random", "normal", "contiguous"),
        (1, 8, 1, 128, 128, "bf16", "true", "last", "scaled_heads", "strided"),
        (5, 4, 2, 128, 128, "bf16", "false", "random", "scaled_heads", "offset"),
        (5, 4, 2, 128, 64, "fp16", "true", "random", "normal", "contiguous"),
        (5, 3, 1, 96, 32, "fp16", "false", "repeated", "large", "contiguous"),
        (5, 2, 3, 80, 56, "fp32", "true", "random", "nan_heads", "strided"),
        (2, 2, 1, 256, 2, "bf16", "true", "random", "normal", "contiguous"),
        (3, 2, 1, 64, 6, "bf16", "false", "random", "normal", "contiguous"),
        (9, 1, 1, 2, 2, "fp32", "false", "ascending", "normal", "contiguous"),
    ],
)
def test_passes_the_judge_strictly_in_the_simulator(row):
    case = SPEC.check_case(parse_case(WORDS.format(*row)))
    verdict = examine(SPEC, case, TRITON, parse_device("sim:gfx942"), strict=True).verdict
    assert verdict.ok, (verdict.failed, verdict.findings[:3])


#: Of module scope, since a table is remembered by its identity.
TWICE = (Variant("twice", "for a test", parameters={"elements": 512, "num_warps": 2}),)


@pytest.mark.parametrize(
    "row",
    [
        (5, 3, 1, 256, 64, "bf16", "true", "random", "scaled_heads", "contiguous"),
        (3, 4, 2, 128, 32, "fp16", "true", "last", "normal", "strided"),
        (3, 2, 1, 80, 14, "fp32", "true", "random", "nan_heads", "offset"),
        (2, 3, 1, 256, 64, "bf16", "false", "random", "large", "strided"),
        (3, 2, 2, 96, 56, "bf16", "false", "repeated", "normal", "contiguous"),
        (2, 2, 1, 64, 64, "bf16", "true", "random", "normal", "contiguous"),
    ],
)
def test_heads_loaded_whole_and_in_part_again_pass_the_judge(row, monkeypatch):
    monkeypatch.setitem(qk_norm_rope.__globals__, "VARIANTS", TWICE)
    case = SPEC.check_case(parse_case(WORDS.format(*row)))
    verdict = examine(SPEC, case, TRITON, parse_device("sim:gfx942"), strict=True).verdict
    assert verdict.ok, (verdict.failed, verdict.findings[:3])


@pytest.mark.parametrize(
    ("arch", "times", "neox", "wanted"),
    [
        ("sm90", 4, 1, "twice"),
        ("sm90", 2, 1, "rows"),
        ("sm90", 4, 0, "rows"),
        ("gfx942", 4, 1, "rows"),
    ],
)
def test_what_is_rotated_is_loaded_again_where_it_is_a_small_part(arch, times, neox, wanted):
    for heads in (36, 36 * 1024):
        found = choose(VARIANTS, arch, heads=heads, D=256, times=times, neox=neox)
        assert found.name == wanted


def make_inputs(tokens, num_heads_q, num_heads_kv, head_dim, rotary_dim=None, **more):
    """The op's inputs on no device."""
    width = (num_heads_q + 2 * num_heads_kv) * head_dim
    strides = more.pop("strides", (width, 1))
    dtype = more.pop("dtype", torch.bfloat16)
    rotary_dim = rotary_dim or head_dim
    weight = torch.empty(head_dim, dtype=dtype, device="meta")
    return {
        "qkv": torch.empty_strided((tokens, width), strides, dtype=dtype, device="meta"),
        "q_weight": weight,
        "k_weight": weight,
        "cos_sin_cache": torch.empty(4096, rotary_dim, device="meta"),
        "positions": torch.empty(tokens, dtype=torch.int64, device="meta"),
        "num_heads_q": num_heads_q,
        "num_heads_kv": num_heads_kv,
        "eps": 1e-6,
        "is_neox_style": True,
        "rotary_dim": rotary_dim,
        **more,
    }


@pytest.mark.parametrize("arch", ["gfx90a", "gfx942", "gfx950"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"is_neox_style": False}, {"rotary_dim": 64}, {"dtype": torch.float32}],
    ids=str,
)
def test_one_launch_turns_heads_without_lds(arch, changes):
    with recording(arch) as launches:
        qk_norm_rope(**make_inputs(512, 32, 4, 128, **changes))
    (launch,) = launches
    (metadata,) = read_metadata(launch.compiled.assembly)
    assert metadata.vgpr_spill_count == metadata.private_segment_fixed_size == 0
    assert launch.compiled.lds_bytes == 0
    program = read_program(launch.compiled.assembly)
    words = [each.mnemonic for each in program.body(program.kernel())]
    assert any(word.endswith("_load_dwordx4") for word in words)
    assert not [word for word in words if word.startswith(("ds_read", "ds_write", "s_barrier"))]


@pytest.mark.parametrize(
    ("kept", "rotated", "wanted"),
    [(0, 64, 64), (64, 32, 32), (192, 32, 32), (8 * 16, 16, 16), (8 * 16 + 1, 16, 256)],
)
def test_chunks_are_as_wide_as_what_is_rotated_unless_there_were_many(kept, rotated, wanted):
    assert choose_chunk(kept, rotated) == wanted
    assert kept <= MOST_CHUNKS * wanted


@pytest.mark.parametrize("arch", ["gfx90a", "gfx942", "gfx950"])
def test_a_head_that_is_loaded_twice_keeps_its_vectors(arch, monkeypatch):
    monkeypatch.setitem(qk_norm_rope.__globals__, "VARIANTS", TWICE)
    with recording(arch) as launches:
        qk_norm_rope(**make_inputs(512, 32, 2, 256, rotary_dim=64))
    (launch,) = launches
    (metadata,) = read_metadata(launch.compiled.assembly)
    assert metadata.vgpr_spill_count == metadata.private_segment_fixed_size == 0
    program = read_program(launch.compiled.assembly)
    words = [each.mnemonic for each in program.body(program.kernel())]
    narrow = [word for word in words if word.endswith(("_store_short", "_store_dword"))]
    assert any(word.endswith("_store_dwordx2") for word in words)
    assert len(narrow) <= 4  # both halves of what is rotated, of queries and of keys


class Listener:
    """An executor that runs nothing and keeps what it was given."""

    arch = "gfx942"

    def launch(self, compiled, grid, arguments, /):
        self.compiled, self.grid, self.arguments = compiled, grid, arguments


def listen(**inputs):
    listener = Listener()
    with simulating(listener):
        qk_norm_rope(**inputs)
    return listener


@pytest.mark.parametrize(
    ("tokens", "strides", "wide"),
    [
        (2**20, (768, 1), False),
        (1000, (2**24, 1), False),
        (1000, (2**30, 1), True),
        (1000, (2**32, 1), True),
        (2**22, (1, 2**22), True),
    ],
)
def test_offsets_inside_a_program_are_64_bit_where_32_are_too_few(tokens, strides, wide):
    given = listen(**make_inputs(tokens, 4, 1, 128, strides=strides)).arguments
    assert given["WIDE"] == wide
    rows = given["ROWS"] // given["HKV"]  # of keys, of which a program has most
    assert given["WIDE"] or rows * strides[0] + 768 * strides[1] < 2**31


@pytest.mark.parametrize("tokens", [1, 3, 1000, 2**20])
def test_every_head_has_its_program(tokens):
    listener = listen(**make_inputs(tokens, 64, 4, 128))
    rows = listener.arguments["ROWS"]
    assert listener.grid[0] == -(-tokens * 64 // rows) - 2 * (-tokens * 4 // rows)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_passes_the_judge_strictly_on_a_gpu():
    for row in SPEC.cases:
        verdict = examine(SPEC, SPEC.make_case(row), TRITON, Device("gpu"), strict=True).verdict
        assert verdict.ok, (SPEC.make_case(row).id, verdict.failed, verdict.findings[:3])
