import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402

from rocmoe.ops.core.case import parse_case  # noqa: E402
from rocmoe.ops.core.device import Device, parse_device  # noqa: E402
from rocmoe.ops.core.implementation import Implementation  # noqa: E402
from rocmoe.ops.core.launch import recording, simulating  # noqa: E402
from rocmoe.ops.core.simulator import Simulator, Watch  # noqa: E402
from rocmoe.ops.core.spec import load_op  # noqa: E402
from rocmoe.ops.core.variants import Variant, choose  # noqa: E402
from rocmoe.ops.gcn.assembly import read_metadata, read_program  # noqa: E402
from rocmoe.ops.kernels import moe_sorting as module  # noqa: E402
from rocmoe.ops.kernels.moe_sorting import VARIANTS, moe_sorting  # noqa: E402
from rocmoe.ops.kernels.shared.sort_launches import TILE  # noqa: E402
from rocmoe.profiles.examination import examine  # noqa: E402

SPEC = load_op("moe_sorting")

#: Every way with so few pairs at a time that small cases take several turns of every loop.
WAYS = {
    "at_once": {"tiles": 2, "experts": 3, "warps": 1},
    "counted": {"tiles": 2, "experts": 4, "count_warps": 2, "place_warps": 2, "early": 1},
    "scanned": {"tiles": 1, "experts": 8, "count_warps": 1, "place_warps": 1, "line": 128,
                "scan_experts": 8, "scan_chunks": 2, "scan_warps": 1},
}  # fmt: skip

WORDS = "moe_sorting:T={},E={},k={},U={},D={}:fp32:expert_mask={},num_local_tokens={}:{}:{}"
CASES = [
    WORDS.format(*row)
    for row in [
        (0, 8, 2, 4, 3, "none", "none", "uniform", "contiguous"),
        (70, 12, 3, 6, 40, "half", "all_but_one", "zipf", "strided"),
        (50, 9, 4, 4, 0, "none", "none", "hot_expert", "offset"),
    ]
]


@pytest.mark.parametrize("words", CASES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_passes_the_judge_strictly(monkeypatch, way, words):
    """On machine code, and on sizes that the table gives to another way."""
    table = (Variant(way, "", parameters=WAYS[way]),)
    monkeypatch.setattr(module, "VARIANTS", table)
    implementation = Implementation("moe_sorting", "triton", moe_sorting)
    case, device = parse_case(words), parse_device("sim:gfx942")
    verdict = examine(SPEC, case, implementation, device, strict=True).verdict
    assert verdict.ok, (verdict.failed, verdict.findings[:3])


#: Chunks of 32 pairs that nobody rearranges, and of 128 and 64 that a lane loads in several turns.
CHUNKS = [(1, 128, 1), (4, 16, 2), (2, 32, 4)]


@pytest.mark.parametrize(("tiles", "line", "warps"), CHUNKS)
@pytest.mark.parametrize(("experts", "tokens", "topk"), [(5, 67, 4), (700, 41, 3)])
def test_pairs_of_an_expert_stay_in_order(monkeypatch, tiles, line, warps, experts, tokens, topk):
    """Though chunks are sorted by a network, which alone would mix those that are equal."""
    words = {**WAYS["scanned"], "tiles": tiles, "line": line, "place_warps": warps}
    monkeypatch.setattr(module, "VARIANTS", (Variant("scanned", "", parameters=words),))
    draw = torch.Generator().manual_seed(tiles)
    # Few different ones, and some that no expert has.
    ids = torch.randint(-1, 4, (tokens, topk), generator=draw, dtype=torch.int32) * (experts // 3)
    weights = torch.rand((tokens, topk), generator=draw)
    with simulating(Simulator("gfx942", Watch(checks=(), counts=False))):
        found, values, owners, totals, _ = moe_sorting(ids, weights, experts, 8, None, None, 0)
    flat = ids.reshape(-1)
    place = 0
    for expert in range(experts):
        (pairs,) = torch.nonzero(flat == expert, as_tuple=True)
        run = slice(place, place + len(pairs))
        assert torch.equal(found[run], ((pairs % topk) << 24 | pairs // topk).int())
        assert torch.equal(values[run], weights.reshape(-1)[pairs])
        place += -(-len(pairs) // 8) * 8
        assert not bool((owners[run.start // 8 : place // 8] != expert).any())
    assert int(totals[0]) == place


def make_inputs(tokens, topk, device="meta"):
    ids = torch.empty((tokens, topk), dtype=torch.int32, device=device)
    return ids, torch.empty((tokens, topk), dtype=torch.float32, device=device)


def record(arch, tokens, experts, topk, width=0):
    ids, weights = make_inputs(tokens, topk)
    with recording(arch) as launches:
        moe_sorting(ids, weights, experts, 64, None, None, width)
    return launches


@pytest.mark.parametrize("arch", ["gfx90a", "gfx942", "gfx950"])
@pytest.mark.parametrize(
    ("tokens", "experts", "topk", "most"),
    [
        (1, 256, 8, 1),
        (64, 256, 8, 1),
        (1024, 256, 8, 2),
        (256, 1024, 8, 2),
        (65536, 256, 8, 3),
        (4096, 1024, 4, 3),
    ],
)
def test_code_is_lean(arch, tokens, experts, topk, most):
    """Few launches, and registers enough for each: nothing of a thread lies in memory."""
    launches = record(arch, tokens, experts, topk)
    assert len(launches) <= most
    for launch in launches:
        (metadata,) = read_metadata(launch.compiled.assembly)
        assert metadata.vgpr_spill_count == metadata.private_segment_fixed_size == 0
        assert launch.compiled.lds_bytes <= 16 * 1024


def test_pairs_are_counted_in_sets_of_32():
    """A set is counted in one instruction, and no launch has atomics, whose order would show."""
    for tokens in (64, 1024, 65536):
        for launch in record("gfx942", tokens, 256, 8):
            program = read_program(launch.compiled.assembly)
            words = [each.mnemonic for each in program.body(program.kernel())]
            assert not [word for word in words if "atomic" in word]
            reads_counts = launch.compiled.name in ("scan_counts", "place_in_order")
            assert reads_counts != ("v_bcnt_u32_b32" in " ".join(words))


@pytest.mark.parametrize("tokens", [64, 1024, 65536])
def test_moe_buf_is_filled_beside_the_sort(tokens):
    """By programs of a launch that is there anyway, in stores of 16 bytes."""
    bare, filling = record("gfx942", tokens, 256, 8), record("gfx942", tokens, 256, 8, 7168)
    assert len(bare) == len(filling)
    *_, last = filling
    assert last.grid[0] - bare[-1].grid[0] == tokens * 7168 // 8192
    words = last.compiled.assembly.split()
    assert "buffer_store_dwordx4" in words or "global_store_dwordx4" in words


class Listener:
    """An executor that runs nothing and keeps what it was given."""

    arch = "gfx942"

    def __init__(self):
        self.given = []

    def launch(self, compiled, grid, arguments, /):
        self.given.append(arguments)


@pytest.mark.parametrize(
    ("tokens", "strides", "wide"),
    [
        (300, (8, 1), False),
        (3000, (2**15, 1), False),
        (2**16, (2**15, 1), True),
        (300, (2**32, 1), True),
        (2**20, (1, 2**20), False),
        (2**20, (1, 2**29), True),
    ],
)
@pytest.mark.parametrize("strided", ["topk_ids", "topk_weights"])
def test_offsets_are_64_bit_where_32_are_too_few(monkeypatch, tokens, strides, wide, strided):
    if tokens > 3000:  # the kernels of so many tokens, in chunks that are compiled sooner
        table = (Variant("scanned", "", parameters=WAYS["scanned"]),)
        monkeypatch.setattr(module, "VARIANTS", table)
    ids, weights = make_inputs(tokens, 8)
    spread = torch.empty_strided((tokens, 8), strides, dtype=torch.int32, device="meta")
    if strided == "topk_ids":
        ids = spread
    else:
        weights = torch.empty_strided((tokens, 8), strides, dtype=torch.float32, device="meta")
    listener = Listener()
    with simulating(listener):
        moe_sorting(ids, weights, 16, 32, None, None, 0)
    reading = [given for given in listener.given if "WIDE" in given]
    assert reading
    assert all(given["WIDE"] == wide for given in reading)


def test_every_size_has_a_variant_that_holds_it():
    for pairs in (0, 1, 2**11, 2**12, 2**15, 2**15 + 1, 2**20, 2**26):
        for experts in (1, 64, 256, 1024):
            for arch in ("gfx90a", "gfx942", "gfx950", "sm90", ""):
                variant = choose(VARIANTS, arch, pairs=pairs, E=experts)
                # A chunk's counts are 16 bits wide, and so are those of all that are not scanned.
                assert variant["tiles"] * TILE < 2**15
                assert variant.name != "counted" or pairs < 2**16


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_passes_the_judge_strictly_on_a_gpu():
    implementation = Implementation("moe_sorting", "triton", moe_sorting)
    for row in SPEC.cases:
        case = SPEC.make_case(row)
        verdict = examine(SPEC, case, implementation, Device("gpu"), strict=True).verdict
        assert verdict.ok, (case.id, verdict.failed, verdict.findings[:3])
