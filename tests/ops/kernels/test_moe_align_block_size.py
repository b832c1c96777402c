import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402

from rocmoe.ops.core.case import parse_case  # noqa: E402
from rocmoe.ops.core.device import Device, parse_device  # noqa: E402
from rocmoe.ops.core.implementation import Implementation  # noqa: E402
from rocmoe.ops.core.launch import recording  # noqa: E402
from rocmoe.ops.core.spec import load_op  # noqa: E402
from rocmoe.ops.core.variants import Variant, choose  # noqa: E402
from rocmoe.ops.gcn.assembly import read_metadata  # noqa: E402
from rocmoe.ops.kernels import moe_align_block_size as module  # noqa: E402
from rocmoe.ops.kernels.moe_align_block_size import (  # noqa: E402
    VARIANTS,
    moe_align_block_size,
)
from rocmoe.ops.kernels.shared.sort_launches import TILE  # noqa: E402
from rocmoe.profiles.examination import examine  # noqa: E402

SPEC = load_op("moe_align_block_size")

#: Every way with so few pairs at a time that small cases take several turns of every loop.
WAYS = {
    "at_once": {"tiles": 1, "experts": 2, "warps": 1},
    "counted": {"tiles": 1, "experts": 4, "count_warps": 1, "place_warps": 1, "early": 1},
    "scanned": {"tiles": 2, "experts": 8, "count_warps": 2, "place_warps": 2, "line": 16,
                "scan_experts": 8, "scan_chunks": 2, "scan_warps": 2},
}  # fmt: skip

WORDS = "moe_align_block_size:T={},E={},k={},B={}:fp32:-:{}:{}"
CASES = [
    WORDS.format(*row)
    for row in [
        (0, 8, 2, 4, "uniform", "contiguous"),
        (70, 12, 3, 6, "zipf", "strided"),
        (130, 3, 1, 16, "same_experts", "offset"),
    ]
]


@pytest.mark.parametrize("words", CASES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_passes_the_judge_strictly(monkeypatch, way, words):
    """On machine code, and on sizes that the table gives to another way."""
    table = (Variant(way, "", parameters=WAYS[way]),)
    monkeypatch.setattr(module, "VARIANTS", table)
    implementation = Implementation("moe_align_block_size", "triton", moe_align_block_size)
    case, device = parse_case(words), parse_device("sim:gfx942")
    verdict = examine(SPEC, case, implementation, device, strict=True).verdict
    assert verdict.ok, (verdict.failed, verdict.findings[:3])


@pytest.mark.parametrize(
    ("arch", "tokens", "experts", "topk", "most"),
    [
        ("gfx90a", 64, 256, 8, 1),
        ("gfx942", 1024, 256, 8, 2),
        ("gfx950", 65536, 256, 8, 3),
        ("gfx942", 65536, 1024, 4, 3),
    ],
)
def test_code_is_lean(arch, tokens, experts, topk, most):
    """Few launches, none with memory for what registers cannot hold."""
    ids = torch.empty((tokens, topk), dtype=torch.int32, device="meta")
    with recording(arch) as launches:
        moe_align_block_size(ids, experts, 64)
    assert 1 <= len(launches) <= most
    for launch in launches:
        (metadata,) = read_metadata(launch.compiled.assembly)
        assert metadata.vgpr_spill_count == metadata.private_segment_fixed_size == 0
        assert launch.compiled.lds_bytes <= 16 * 1024


def test_weights_are_neither_read_nor_written():
    ids = torch.empty((64, 8), dtype=torch.int32, device="meta")
    with recording("gfx942") as launches:
        moe_align_block_size(ids, 256, 64)
    (launch,) = launches
    passed = {parameter.name for parameter in launch.compiled.parameters}
    assert not passed & {"topk_weights", "sorted_weights", "expert_mask", "moe_buf"}


@pytest.mark.parametrize("pairs", [0, 1, 2**11, 2**12, 2**15, 2**15 + 1, 2**20, 2**26])
@pytest.mark.parametrize("experts", [1, 256, 1024])
@pytest.mark.parametrize("arch", ["gfx90a", "gfx942", "gfx950", "sm90", ""])
def test_every_size_has_a_variant_that_holds_it(pairs, experts, arch):
    variant = choose(VARIANTS, arch, pairs=pairs, E=experts)
    # A chunk's counts are 16 bits wide, and so are those of all that are not scanned.
    assert variant["tiles"] * TILE < 2**15
    assert variant.name != "counted" or pairs < 2**16


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_passes_the_judge_strictly_on_a_gpu():
    implementation = Implementation("moe_align_block_size", "triton", moe_align_block_size)
    for row in SPEC.cases:
        case = SPEC.make_case(row)
        verdict = examine(SPEC, case, implementation, Device("gpu"), strict=True).verdict
        assert verdict.ok, (case.id, verdict.failed, verdict.findings[:3])
