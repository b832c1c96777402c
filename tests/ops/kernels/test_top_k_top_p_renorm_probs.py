"""What all three renormalisation ops do with long rows, on rows made short."""

from functools import cache

import numpy as np
import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402

from rocmoe.ops.core.case import parse_case  # noqa: E402
from rocmoe.ops.core.device import Device, parse_device  # noqa: E402
from rocmoe.ops.core.guard import poisoned_allocations  # noqa: E402
from rocmoe.ops.core.implementation import Implementation  # noqa: E402
from rocmoe.ops.core.inputs import draw_inputs  # noqa: E402
from rocmoe.ops.core.launch import recording, simulating  # noqa: E402
from rocmoe.ops.core.simulator import CHECKS, Simulator, Watch  # noqa: E402
from rocmoe.ops.core.spec import load_op  # noqa: E402
from rocmoe.ops.core.variants import Variant, choose  # noqa: E402
from rocmoe.ops.gcn.assembly import read_metadata, read_program  # noqa: E402
from rocmoe.ops.kernels import top_k_renorm_probs, top_p_renorm_probs  # noqa: E402
from rocmoe.ops.kernels.shared.threshold_launches import renormalise  # noqa: E402
from rocmoe.ops.kernels.top_k_top_p_renorm_probs import (  # noqa: E402
    VARIANTS,
    top_k_top_p_renorm_probs,
)
from rocmoe.profiles.examination import examine  # noqa: E402

SPEC = load_op("top_k_top_p_renorm_probs")
SIMULATOR = parse_device("sim:gfx942")
SHORT = {
    "parts": {"parts": 2, "room": 1024, "sample": 256, "depth": 4, "tile": 256, "sift_warps": 2,
              "settle_warps": 2, "block": 256, "write_warps": 1},
    "whole": {"warps": 2, "room": 1024, "held": 512, "sample": 256, "depth": 4, "tile": 256,
              "block": 256},
}  # fmt: skip


@cache
def make_table(name, **changed):
    """Kept for good, since a table is remembered by its identity."""
    return (Variant(name, "for a test", parameters={**SHORT[name], **changed}),)


def on_short_rows(name, **changed):
    """The op by a variant for long rows, with parameters for short ones."""

    def filter_rows(probs, top_k, top_p, filter_apply_order):
        table = make_table(name, **changed)
        return renormalise(table, probs, top_k, top_p, filter_apply_order == "top_k_first")

    return Implementation("top_k_top_p_renorm_probs", "triton", filter_rows)


def judge(implementation, words):
    case = parse_case("top_k_top_p_renorm_probs:" + words)
    verdict = examine(SPEC, case, implementation, SIMULATOR, strict=True).verdict
    return [] if verdict.ok else [*verdict.failed, *map(str, verdict.findings[:2])]


WORDS = "B={},V={}:fp32:top_k={},top_p={},filter_apply_order={}:{}:{}"


@pytest.mark.parametrize(
    "row",
    [
        (3, 2000, 50, 0.9, "joint", "normal", "contiguous"),
        (3, 2000, 50, 0.9, "top_k_first", "normal", "strided"),
        (2, 1601, 1600, 0.5, "top_k_first", "normal", "offset"),
        (2, 2000, 900, 0.7, "top_k_first", "peaked", "contiguous"),
        (3, 1000, 2000, 0.5, "joint", "tie_classes", "contiguous"),
        (2, 1000, 100, 1.0, "top_k_first", "tie_classes", "contiguous"),
        (2, 2000, 300, 0.9, "joint", "bf16_ties", "contiguous"),
        (2, 1000, 1, 0.0, "joint", "all_equal", "contiguous"),
        (3, 600, 20, 0.75, "joint", "halving", "contiguous"),
        (4, 600, 20, 0.9, "top_k_first", "zero_rows", "contiguous"),
        (2, 1000, 700, 0.95, "joint", "denormal", "contiguous"),
        (7, 600, "per_row", "per_row", "top_k_first", "zipf", "contiguous"),
        (4, 600, 20, 0.9, "top_k_first", "nan_rows", "contiguous"),
        (4, 600, "per_row", "per_row", "joint", "unnormalised", "contiguous"),
    ],
)
def test_several_kernels_pass_the_judge_strictly(row):
    assert judge(on_short_rows("parts"), WORDS.format(*row)) == []


@pytest.mark.parametrize(
    "row",
    [
        (3, 2000, 50, 0.9, "joint", "normal", "contiguous"),
        (3, 1000, 300, 0.9, "joint", "bf16_ties", "contiguous"),
        (3, 2000, 900, 0.7, "top_k_first", "normal", "strided"),
        (3, 600, 20, 0.9, "top_k_first", "zero_rows", "offset"),
        (4, 600, "per_row", "per_row", "top_k_first", "zipf", "contiguous"),
    ],
)
def test_one_kernel_for_long_rows_passes_the_judge_strictly(row):
    assert judge(on_short_rows("whole"), WORDS.format(*row)) == []


@pytest.mark.parametrize("order", ["joint", "top_k_first"])
@pytest.mark.parametrize("pattern", ["normal", "bf16_ties", "tie_classes"])
def test_a_list_without_room_is_replaced_by_the_row(order, pattern):
    words = WORDS.format(2, 600, 100, 0.8, order, pattern, "contiguous")
    assert judge(on_short_rows("parts", room=16), words) == []


@pytest.mark.parametrize(
    ("order", "held", "room"),
    [("top_k_first", 8, 1024), ("joint", 16, 16)],
    ids=["searched in memory", "replaced by the row"],
)
def test_one_kernel_serves_lists_too_long_for_registers(order, held, room):
    words = WORDS.format(2, 2000, 900, 0.9, order, "normal", "contiguous")
    assert judge(on_short_rows("whole", held=held, room=room), words) == []


def test_one_kernel_reads_nothing_that_is_not_listed_yet():
    simulator = Simulator("gfx942", Watch(CHECKS))
    probs = torch.from_numpy(draw_row("normal", 1000))
    with simulating(simulator), poisoned_allocations(0):
        on_short_rows("whole").function(probs, 300, 0.9, "joint")
    (launch,) = simulator.take()
    assert not launch.faults


@pytest.mark.parametrize(
    "row",
    [
        (7, 500, "per_row", "per_row", "joint", "bf16_ties", "strided"),
        (3, 111, 20, 0.9, "top_k_first", "nan_rows", "contiguous"),
    ],
)
def test_a_short_row_is_one_launch(row):  # fmt: skip
    words = WORDS.format(*row)
    assert judge(Implementation("top_k_top_p_renorm_probs", "triton", top_k_top_p_renorm_probs),
                 words) == []  # fmt: skip


class Spy(Simulator):
    """A simulator that keeps the arguments of the first launch."""

    def launch(self, compiled, grid, arguments, /):
        self.arguments = getattr(self, "arguments", arguments)
        super().launch(compiled, grid, arguments)


def run_in_parts(probs, **parameters):
    """What the op gives by several kernels, and what the first was given."""
    spy = Spy("gfx942")
    with simulating(spy):
        given = on_short_rows("parts", **parameters).function(
            torch.from_numpy(probs), 10**6, 0.9, "joint"
        )
    return given.numpy(), spy.arguments


def draw_row(pattern, vocabulary):
    words = WORDS.format(1, vocabulary, 1000, 0.9, "joint", pattern, "contiguous")
    return draw_inputs(SPEC, parse_case("top_k_top_p_renorm_probs:" + words))["probs"].astype("f4")


def test_a_sorted_row_fills_the_lists_of_all_parts_alike():
    probs = -np.sort(-draw_row("normal", 6000))
    found, told = run_in_parts(probs, parts=8, room=8192)
    lengths = told["lengths"][0]
    assert 0 < lengths.max() < told["ROOM"]
    assert lengths.max() <= lengths.min() + 64
    assert 0.9 <= probs[found > 0].sum() < 0.901


def test_a_sample_that_misleads_costs_time_and_not_the_answer():
    probs = np.ones((1, 2000), np.float32)
    starts = np.arange(64) * 2000 // 64 // 4 * 4  # where a sample of 256 looks
    probs[:, (starts[:, None] + np.arange(4)).ravel()] = 2.0**-20
    probs *= np.linspace(1, 2, 2000, dtype=np.float32)
    probs /= probs.sum(dtype=np.float64)
    found, told = run_in_parts(probs, room=64)
    assert told["lengths"].max() > told["ROOM"]
    kept = probs[found > 0]
    assert kept.sum(dtype=np.float64) >= 0.9 > kept.sum(dtype=np.float64) - 2 * kept.min()
    assert kept.min() > probs[found == 0].max()
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)


def compile_for(arch, shape, order="top_k_first"):
    probs = torch.empty(shape, device="meta")
    with recording(arch) as launches:
        top_k_top_p_renorm_probs(probs, 50, 0.9, order)
    return launches


@pytest.mark.parametrize(
    ("arch", "shape"), [("gfx90a", (4, 1024)), ("gfx942", (2, 151936)), ("gfx950", (64, 151936))]
)
def test_code_is_lean(arch, shape):  # fmt: skip
    """Vectors of 16 bytes, no spill, no scratch."""
    launches = compile_for(arch, shape)
    assert len(launches) == (1 if shape[1] <= 1024 else 3)
    for launch in launches:
        (metadata,) = read_metadata(launch.compiled.assembly)
        assert metadata.vgpr_spill_count == metadata.sgpr_spill_count == 0
        assert metadata.private_segment_fixed_size == 0
        program = read_program(launch.compiled.assembly)
        words = {each.mnemonic for each in program.body(program.kernel())}
        assert words & {"buffer_load_dwordx4", "global_load_dwordx4"}


def test_the_last_variant_serves_everything():
    last = VARIANTS[-1]
    assert (last.most, last.least, last.arch) == ({}, {}, "")


@pytest.mark.parametrize(
    ("strides", "wide"), [((2**32, 1), False), ((1, 2**18), False), ((1, 2**20), True)]
)
def test_offsets_inside_a_row_are_64_bit_where_32_are_too_few(strides, wide):  # fmt: skip
    probs = torch.empty_strided((3, 4096), strides, device="meta")
    spy = Listener()
    with simulating(spy):
        top_k_top_p_renorm_probs(probs, 50, 0.9, "joint")
    assert spy.arguments["WIDE"] == wide


class Listener:
    """An executor that runs nothing and keeps what it was given."""

    arch = "gfx942"

    def launch(self, compiled, grid, arguments, /):
        self.arguments = arguments


@pytest.mark.parametrize(
    ("arch", "rows", "wanted"),
    [("sm90", 256, "whole"), ("sm90", 255, "parts"), ("gfx942", 256, "parts")],
)
def test_many_rows_that_are_not_long_take_one_launch(arch, rows, wanted):
    for table in (VARIANTS, top_k_renorm_probs.VARIANTS, top_p_renorm_probs.VARIANTS):
        assert choose(table, arch, B=rows, V=32000).name == wanted
        assert choose(table, arch, B=rows, V=151936).name == "parts"


@pytest.mark.parametrize("order", ["joint", "top_k_first"])
@pytest.mark.parametrize("arch", ["gfx90a", "gfx950"])
def test_one_kernel_for_long_rows_does_not_spill(arch, order):
    (row,) = (each for each in VARIANTS if each.name == "whole")
    table = make_table("whole", **row.parameters)
    with recording(arch) as launches:
        renormalise(table, torch.empty((256, 32000), device="meta"), 50, 0.9, order != "joint")
    (launch,) = launches
    (metadata,) = read_metadata(launch.compiled.assembly)
    assert metadata.vgpr_spill_count == metadata.sgpr_spill_count == 0
    assert metadata.private_segment_fixed_size == 0


def test_no_rows_launch_nothing():
    with recording("gfx942") as launches:
        found = top_k_top_p_renorm_probs(torch.empty((0, 500), device="meta"), 50, 0.9, "joint")
    assert not launches
    assert found.shape == (0, 500)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_passes_the_judge_strictly_on_a_gpu():
    implementation = Implementation("top_k_top_p_renorm_probs", "triton", top_k_top_p_renorm_probs)
    for row in SPEC.cases:
        case = SPEC.make_case(row)
        verdict = examine(SPEC, case, implementation, Device("gpu"), strict=True).verdict
        assert verdict.ok, (case.id, verdict.failed, verdict.findings[:3])
