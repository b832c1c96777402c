import importlib
import itertools

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
# Below the skip, since these modules cannot be imported without Triton: hence E402.
import torch  # noqa: E402

from rocmoe.ops.core.case import parse_case  # noqa: E402
from rocmoe.ops.core.device import Device  # noqa: E402
from rocmoe.ops.core.implementation import Implementation  # noqa: E402
from rocmoe.ops.core.launch import recording, simulating  # noqa: E402
from rocmoe.ops.core.spec import load_op  # noqa: E402
from rocmoe.ops.core.variants import Variant, choose  # noqa: E402
from rocmoe.ops.gcn.assembly import read_metadata, read_program  # noqa: E402
from rocmoe.ops.kernels.grouped_topk import grouped_topk  # noqa: E402
from rocmoe.ops.kernels.shared.logit_variants import find_sizes  # noqa: E402
from rocmoe.ops.kernels.shared.score_variants import fits_groups  # noqa: E402
from rocmoe.ops.kernels.topk_sigmoid import topk_sigmoid  # noqa: E402
from rocmoe.ops.kernels.topk_softmax import topk_softmax  # noqa: E402
from rocmoe.profiles.examination import examine  # noqa: E402

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
OPS = ("topk_softmax", "topk_sigmoid", "grouped_topk")

SOFTMAX = "topk_softmax:T={},E={},k={}:{}:renormalize={}:{}:{}"
BIASED = "topk_sigmoid:T={},E={},k={}:{}:renormalize={},correction_bias={}:{}:{}"
GROUPED = (
    "grouped_topk:T=9,E={},k={}:{}:renormalize=true,correction_bias={},num_expert_group={},"
    "topk_group={},scoring_func={},routed_scaling_factor=2.5,num_fused_shared_experts={}:{}:{}"
)


def force(monkeypatch, op, name, **parameters):
    """Let the op's table hold one row."""
    module = importlib.import_module(f"rocmoe.ops.kernels.{op}")
    monkeypatch.setattr(module, "VARIANTS", (Variant(name, "a test", parameters=parameters),))


def judge_strictly(words, arch="gfx942"):
    case = parse_case(words)
    spec = load_op(case.op)
    function = getattr(importlib.import_module(f"rocmoe.ops.kernels.{case.op}"), case.op)
    implementation = Implementation(case.op, "triton", function, devices=("sim",))
    verdict = examine(spec, case, implementation, Device("sim", arch=arch), strict=True).verdict
    assert verdict.ok, (words, verdict.failed, verdict.findings[:3])


@pytest.mark.parametrize(
    ("row", "rows", "lanes", "keys"),
    [
        ((9, 256, 8, "bf16", "true", "heavy_ties", "contiguous"), 4, 4, "int"),
        ((9, 256, 8, "fp16", "false", "boundary_ties", "contiguous"), 4, 4, "int"),
        ((9, 512, 10, "bf16", "true", "one_stripe", "offset"), 4, 8, "int"),
        ((5, 96, 3, "bf16", "false", "normal", "contiguous"), 8, 4, "int"),
        ((7, 48, 6, "bf16", "true", "nan_rows", "contiguous"), 8, 4, "int"),
        ((7, 48, 6, "fp16", "true", "inf_rows", "contiguous"), 8, 4, "int"),
        ((7, 48, 6, "bf16", "false", "neg_inf", "contiguous"), 8, 4, "int"),
        ((9, 128, 8, "fp32", "false", "heavy_ties", "contiguous"), 8, 4, "double"),
        ((9, 60, 5, "fp32", "true", "neg_inf", "contiguous"), 8, 4, "int"),
        ((9, 256, 8, "fp32", "true", "normal", "contiguous"), 8, 4, "short"),
        ((9, 128, 8, "fp32", "true", "flat", "contiguous"), 8, 8, "short"),
        ((9, 64, 8, "fp32", "false", "boundary_ties", "contiguous"), 4, 4, "short"),
        ((7, 48, 6, "fp32", "true", "nan_rows", "contiguous"), 4, 4, "short"),
    ],
)
def test_strips_choose_what_single_logits_do(monkeypatch, row, rows, lanes, keys):
    force(monkeypatch, "topk_softmax", "strips", rows=rows, lanes=lanes, keys=keys, warps=1)
    judge_strictly(SOFTMAX.format(*row))


@pytest.mark.parametrize("pattern", ["normal", "heavy_ties"])
def test_strips_of_many_experts_are_spread_over_more_lanes(monkeypatch, pattern):
    force(monkeypatch, "grouped_topk", "strips", rows=4, lanes=8, keys="int", warps=1)
    row = (896, 16, "bf16", "small", 1, 1, "sigmoid", 0, pattern, "contiguous")
    judge_strictly(GROUPED.format(*row))


@pytest.mark.parametrize("pattern", ["normal", "heavy_ties", "descending"])
def test_of_many_groups_many_are_kept(pattern):
    row = (64, 4, "fp32", "small", 64, 32, "sigmoid", 0, pattern, "contiguous")
    judge_strictly(GROUPED.format(*row))


def test_the_rounds_of_many_groups_are_a_loop():
    """Unrolled, 512 of them took a compiler over five minutes."""
    lengths = []
    for kept in (16, 32):
        with recording("gfx942") as launches:
            gating_output = torch.empty(9, 64, device="meta")
            grouped_topk(gating_output, None, 4, True, 64, kept, "sigmoid", 1.0, 0)
        lengths.append(len(launches[0].compiled.assembly.splitlines()))
    assert lengths[1] < 1.1 * lengths[0]


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_a_sigmoid_of_infinity_is_found_in_either_half_of_a_word(monkeypatch, dtype):
    """Above other bits an infinity reads as NaN, and the rest of its strip is too low to be opened.

    CDNA's maximum keeps such a NaN and CUDA's drops it, so that it takes a GPU of NVIDIA's to fail.
    """
    force(monkeypatch, "topk_sigmoid", "strips", rows=4, lanes=4, keys="int", warps=1)
    logits = torch.full((2, 64), -5.0, dtype=DTYPES[dtype])
    logits[:, :40:8] = 1.0
    logits[0, 62] = logits[1, 63] = float("inf")
    with simulating(make_simulator()):
        weights, ids = topk_sigmoid(logits, 2, False, None)
    assert ids.tolist() == [[62, 0], [63, 0]]
    assert weights[:, 0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "row",
    [
        (9, 256, 8, "fp32", "true", "normal", "contiguous"),
        (9, 257, 9, "fp32", "true", "heavy_ties", "contiguous"),
        # Values that differ in the bits that give way to the expert.
        (9, 128, 8, "fp32", "true", "flat", "contiguous"),
        (9, 160, 8, "fp32", "true", "shifted", "strided"),
        (7, 48, 6, "fp32", "true", "nan_rows", "contiguous"),
        (7, 48, 6, "fp32", "false", "neg_inf", "contiguous"),
        (7, 48, 6, "fp32", "false", "huge", "contiguous"),
    ],
)
def test_short_keys_of_float32_choose_by_all_bits(monkeypatch, row):
    force(monkeypatch, "topk_softmax", "lists", rows=4, columns=16, keys="short", warps=1)
    judge_strictly(SOFTMAX.format(*row))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("lists", {"rows": 1, "columns": 16}), ("strips", {"rows": 4, "lanes": 4})],
)
def test_short_keys_tell_neighbouring_floats_apart(monkeypatch, name, parameters):
    """All logits agree but for their last bits: a key without them orders by expert alone."""
    force(monkeypatch, "topk_softmax", name, keys="short", warps=1, **parameters)
    rise = 1 + torch.arange(64, dtype=torch.float64) * 2.0**-23
    logits = torch.stack([rise.float(), rise.flip(0).float(), torch.ones(64)])
    with simulating(make_simulator()):
        _, ids = topk_softmax(logits, 4, True)
    assert ids.tolist() == [[63, 62, 61, 60], [0, 1, 2, 3], [0, 1, 2, 3]]


def make_simulator():
    from rocmoe.ops.core.simulator import Simulator, Watch

    return Simulator("gfx942", Watch())


@pytest.mark.parametrize("keys", ["int", "double", "short"])
@pytest.mark.parametrize(
    "words",
    [
        BIASED.format(9, 67, 5, "bf16", "true", "normal", "normal", "contiguous"),
        BIASED.format(9, 64, 4, "fp32", "false", "equal", "heavy_ties", "offset"),
        GROUPED.format(64, 6, "bf16", "small", 8, 3, "sigmoid", 1, "normal", "contiguous"),
        GROUPED.format(60, 5, "fp32", "none", 3, 2, "softmax", 0, "normal", "strided"),
        GROUPED.format(48, 6, "fp32", "small", 4, 2, "sqrtsoftplus", 0, "nan_rows", "contiguous"),
        GROUPED.format(64, 4, "bf16", "equal", 8, 4, "sigmoid", 0, "heavy_ties", "contiguous"),
    ],
)
def test_scores_choose_alike_with_every_kind_of_key(monkeypatch, keys, words):
    op = words.partition(":")[0]
    force(monkeypatch, op, "scores", rows=4, columns=8, keys=keys, warps=1)
    judge_strictly(words)


@pytest.mark.parametrize("keys", ["int", "double", "short"])
@pytest.mark.parametrize(
    "words",
    [
        BIASED.format(9, 68, 5, "bf16", "true", "normal", "normal", "contiguous"),
        BIASED.format(9, 64, 4, "fp32", "false", "equal", "heavy_ties", "offset"),
        GROUPED.format(64, 6, "bf16", "small", 4, 2, "sigmoid", 1, "normal", "contiguous"),
        GROUPED.format(96, 5, "fp32", "none", 3, 2, "softmax", 0, "normal", "strided"),
        GROUPED.format(64, 6, "fp32", "small", 2, 1, "sqrtsoftplus", 0, "nan_rows", "contiguous"),
        GROUPED.format(128, 4, "bf16", "equal", 4, 3, "sigmoid", 0, "heavy_ties", "contiguous"),
        GROUPED.format(64, 4, "fp32", "none", 4, 1, "softmax", 0, "neg_inf", "contiguous"),
    ],
)
def test_strips_of_scores_choose_alike_with_every_kind_of_key(monkeypatch, keys, words):
    op = words.partition(":")[0]
    force(monkeypatch, op, "strips", rows=4, lanes=4, keys=keys, warps=1)
    judge_strictly(words)


@pytest.mark.parametrize(
    ("size", "kept", "k", "fits"),
    [(32, 4, 8, True), (16, 2, 8, True), (16, 1, 8, False), (20, 4, 8, False), (8, 8, 2, False)],
)
def test_strips_serve_groups_that_are_whole_tiles_and_hold_enough(size, kept, k, fits):
    assert fits_groups(size, kept, k) == fits


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "k", "strips"),
    [
        ((5, 256), (256, 1), 0, 8, True),
        ((5, 256), (258, 1), 0, 8, True),
        ((5, 256), (257, 1), 0, 8, False),  # every second row begins in the middle of a word
        ((5, 256), (256, 1), 1, 8, False),
        ((5, 256), (1, 5), 0, 8, False),
        ((5, 252), (252, 1), 0, 8, False),
        ((5, 64), (64, 1), 0, 9, False),  # eight strips, and so eight are the most to be found
        ((2, 256), (2**28, 1), 0, 8, False),
    ],
)
def test_strips_are_asked_for_where_they_can_be_read(shape, strides, offset, k, strips):
    if strides[0] >= 2**28:
        logits = torch.empty_strided(shape, strides, dtype=torch.bfloat16, device="meta")
    else:
        logits = torch.zeros(4096, dtype=torch.bfloat16).as_strided(shape, strides, offset)
    assert find_sizes(logits, k)["strips"] == strips


@pytest.mark.parametrize(
    "words",
    [
        SOFTMAX.format(3, 1024, 32, "fp32", "true", "descending", "contiguous"),
        SOFTMAX.format(9, 40, 40, "bf16", "false", "uniform", "contiguous"),
        SOFTMAX.format(9, 64, 17, "fp16", "true", "heavy_ties", "contiguous"),
        BIASED.format(9, 64, 17, "bf16", "true", "none", "far_shifted", "contiguous"),
        BIASED.format(9, 64, 20, "fp32", "true", "small", "normal", "contiguous"),
        GROUPED.format(64, 24, "bf16", "small", 4, 2, "sigmoid", 2, "normal", "contiguous"),
    ],
)
def test_more_experts_than_a_list_holds(words):
    judge_strictly(words)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("arch", ["gfx90a", "gfx950", "sm90", "sm120", ""])
def test_the_table_has_a_row_with_a_reason_for_every_size(op, arch):
    table = importlib.import_module(f"rocmoe.ops.kernels.{op}").VARIANTS
    assert all(len(row.why) > 20 for row in table)
    for tokens, experts, k, bits in itertools.product(
        (0, 1, 33, 4096, 2**20), (1, 60, 256, 1024), (1, 16, 17, 1024), (16, 32)
    ):
        sizes = {"T": tokens, "E": experts, "k": k, "bits": bits, "groups": 1}
        for scores in (0, 1) if op == "topk_sigmoid" else (int(op == "grouped_topk"),):
            for strips in (0, 1):
                choose(table, arch, **sizes, strips=strips, scores=scores)


def compile_for(arch, shape, topk, dtype, renormalize=True):
    logits = torch.empty(shape, dtype=DTYPES[dtype], device="meta")
    with recording(arch) as launches:
        topk_softmax(logits, topk, renormalize)
    (launch,) = launches
    return launch


@pytest.mark.parametrize(
    ("arch", "dtype", "renormalize"),
    [("gfx90a", "bf16", True), ("gfx950", "fp32", True), ("gfx942", "fp16", False),
     ("gfx942", "bf16", True), ("gfx942", "fp32", False)],
)  # fmt: skip
def test_code_is_lean(arch, dtype, renormalize):
    """Loads of 16 bytes, exchanges between lanes by DPP, no spills, four waves a SIMD.

    Three where every power of a row of float32 is summed, and so kept until the largest is known.
    """
    launch = compile_for(arch, (4096, 256), 8, dtype, renormalize)
    program = read_program(launch.compiled.assembly)
    mnemonics = [each.mnemonic for each in program.body(program.kernel())]
    loads = [word for word in mnemonics if word.endswith("load_dwordx4")]
    rows = 4096 // launch.grid[0]
    assert len(loads) >= rows * 256 * (4 if dtype == "fp32" else 2) // (16 * 64)
    assert any(word.endswith("_dpp") for word in mnemonics)
    (metadata,) = read_metadata(launch.compiled.assembly)
    assert metadata.vgpr_spill_count == metadata.private_segment_fixed_size == 0
    assert metadata.vgpr_count <= (128 if renormalize or dtype != "fp32" else 168)


class Listener:
    """An executor that runs nothing and keeps what it was given."""

    arch = "gfx942"

    def launch(self, compiled, grid, arguments, /):
        self.compiled, self.arguments = compiled, arguments


@pytest.mark.parametrize(
    ("shape", "strides", "wide"),
    [
        ((70000, 256), (256, 1), False),  # 70000 * 2^20 is past 2^31: a program's base is 64-bit
        ((70000, 256), (2**20, 1), False),
        ((300, 8), (2**24, 1), False),
        ((300, 8), (2**29, 1), True),
        ((3, 256), (2**32, 1), True),
        ((2**24, 256), (1, 2**24), True),
    ],
)
def test_offsets_inside_a_program_are_64_bit_where_32_are_too_few(shape, strides, wide):
    logits = torch.empty_strided(shape, strides, dtype=torch.bfloat16, device="meta")
    listener = Listener()
    with simulating(listener):
        topk_softmax(logits, 4, True)
    given = listener.arguments
    assert given.get("WIDE", False) == wide
    last = (given["ROWS"] - 1) * strides[0] + (given["EXPERTS"] - 1) * strides[1]
    assert wide or last < 2**31
    types = {parameter.name: parameter.type for parameter in listener.compiled.parameters}
    assert types.get("token_stride", "i32") == ("i64" if strides[0] >= 2**31 else "i32")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_reads_logits_past_two_billion_elements():
    stride = 2**30 + 7
    memory = torch.empty(3 * stride, dtype=torch.bfloat16, device="cuda")
    logits = memory.as_strided((3, 64), (stride, 1))
    logits.copy_(torch.randn(3, 64))
    found = topk_softmax(logits, 6, True)
    wanted = topk_softmax(logits.contiguous(), 6, True)
    assert torch.equal(found[1], wanted[1])
    # Loads of another width lie otherwise in the lanes, and so sum in another order.
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-6, atol=0)
