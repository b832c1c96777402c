import pytest

pytest.importorskip("triton", reason="triton is not installed")
import torch

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device, parse_device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.launch import recording, simulating
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.gcn.assembly import read_metadata, read_program
from rocmoe.ops.kernels.qk_rmsnorm import VARIANTS, qk_rmsnorm
from rocmoe.profiles.examination import examine

SPEC = load_op("qk_rmsnorm")
TRITON = Implementation("qk_rmsnorm", "triton", qk_rmsnorm)
WORDS = "qk_rmsnorm:T={},Hq={},Hkv={},D={}:{}:eps=1e-06:{}:{}"


@pytest.mark.parametrize(
    "row",
    [
        (0, 4, 2, 64, "bf16", "normal", "contiguous"),
        (1, 8, 1, 128, "bf16", "scaled_heads", "qkv_views"),
        (5, 8, 2, 128, "bf16", "nan_heads", "qkv_views"),
        (5, 6, 4, 80, "fp16", "large", "strided"),
        (3, 2, 6, 37, "fp32", "inf_heads", "offset"),
        (33, 3, 2, 1, "fp32", "normal", "contiguous"),
        (4, 1, 1, 1024, "bf16", "overflow", "contiguous"),
        (2, 2, 1, 8192, "fp32", "outliers", "strided"),
    ],
)
def test_passes_the_judge_strictly_in_the_simulator(row):
    case = SPEC.check_case(parse_case(WORDS.format(*row)))
    verdict = examine(SPEC, case, TRITON, parse_device("sim:gfx942"), strict=True).verdict
    assert verdict.ok, (verdict.failed, verdict.findings[:3])


def make_views(tokens, num_heads_q, num_heads_kv, head_dim, row_stride=None, dtype=torch.bfloat16):
    """q, k, weights and eps on no device."""
    width = (num_heads_q + 2 * num_heads_kv) * head_dim
    strides = (row_stride or width, 1)
    qkv = torch.empty_strided((tokens, width), strides, dtype=dtype, device="meta")
    kv_width = num_heads_kv * head_dim
    q, k, _ = qkv.split([num_heads_q * head_dim, kv_width, kv_width], dim=1)
    weight = torch.empty(head_dim, dtype=dtype, device="meta")
    return q, k, weight, weight, 1e-6


@pytest.mark.parametrize("arch", ["gfx90a", "gfx942", "gfx950"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_one_launch_moves_vectors_of_16_bytes_without_lds(arch, dtype):
    with recording(arch) as launches:
        qk_rmsnorm(*make_views(512, 32, 4, 128, dtype=dtype))
    (launch,) = launches
    (metadata,) = read_metadata(launch.compiled.assembly)
    assert metadata.vgpr_spill_count == metadata.private_segment_fixed_size == 0
    assert launch.compiled.lds_bytes == 0
    program = read_program(launch.compiled.assembly)
    words = [each.mnemonic for each in program.body(program.kernel())]
    moves = {word for word in words if word.startswith(("buffer_", "global_"))}
    wide = {f"{way}_{what}_dwordx4" for way in ("buffer", "global") for what in ("load", "store")}
    assert moves <= wide | {"buffer_inv", "buffer_wbl2"}
    assert not [word for word in words if word.startswith(("ds_read", "ds_write", "s_barrier"))]


class Listener:
    """An executor that runs nothing and keeps what it was given."""

    arch = "gfx942"

    def launch(self, compiled, grid, arguments, /):
        self.compiled, self.grid, self.arguments = compiled, grid, arguments


def listen(*inputs):
    listener = Listener()
    with simulating(listener):
        qk_rmsnorm(*inputs)
    return listener


@pytest.mark.parametrize(
    ("tokens", "row_stride", "wide"),
    [(2**20, None, False), (1000, 2**24, False), (1000, 2**30, True), (1000, 2**32, True)],
)
def test_offsets_inside_a_program_are_64_bit_where_32_are_too_few(tokens, row_stride, wide):
    given = listen(*make_views(tokens, 4, 1, 64, row_stride)).arguments
    assert given["WIDE"] == wide
    rows = given["ROWS"] // given["HKV"]  # of keys, of which a program has most
    assert given["WIDE"] or rows * given["k_row_stride"] + 64 < 2**31


@pytest.mark.parametrize("tokens", [1, 3, 1000, 2**20])
def test_every_head_has_its_program(tokens):
    listener = listen(*make_views(tokens, 64, 4, 128))
    rows = listener.arguments["ROWS"]
    assert listener.grid[0] == -(-tokens * 64 // rows) - (-tokens * 4 // rows)


def test_the_last_row_of_the_table_fits_everything():
    assert VARIANTS[-1].arch == ""
    assert VARIANTS[-1].most == VARIANTS[-1].least == {}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_passes_the_judge_strictly_on_a_gpu():
    for row in SPEC.cases:
        verdict = examine(SPEC, SPEC.make_case(row), TRITON, Device("gpu"), strict=True).verdict
        assert verdict.ok, (SPEC.make_case(row).id, verdict.failed, verdict.findings[:3])
