import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402

from rocmoe.ops.core.case import parse_case  # noqa: E402
from rocmoe.ops.core.device import Device, parse_device  # noqa: E402
from rocmoe.ops.core.implementation import Implementation  # noqa: E402
from rocmoe.ops.core.launch import recording, simulating  # noqa: E402
from rocmoe.ops.core.spec import load_op  # noqa: E402
from rocmoe.ops.core.variants import noting  # noqa: E402
from rocmoe.ops.gcn.assembly import read_metadata  # noqa: E402
from rocmoe.ops.kernels.topk_softmax_sorting import topk_softmax_sorting  # noqa: E402
from rocmoe.profiles.examination import examine  # noqa: E402

SPEC = load_op("topk_softmax_sorting")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}

WORDS = (
    "topk_softmax_sorting:T={},E={},k={},U={},D={}:{}:renormalize={},expert_mask={},"
    "num_local_tokens={}:{}:{}"
)
CASES = [
    WORDS.format(*row)
    for row in [
        (0, 16, 4, 8, 3, "bf16", "true", "none", "none", "normal", "contiguous"),
        (1, 9, 1, 8, 3, "fp32", "false", "none", "none", "normal", "contiguous"),
        (9, 20, 3, 6, 40, "bf16", "true", "half", "all_but_one", "heavy_ties", "strided"),
        (9, 16, 16, 4, 0, "fp16", "false", "none", "none", "distinct", "offset"),
        (6, 33, 5, 4, 0, "fp32", "true", "one_off", "half", "boundary_ties", "contiguous"),
        (6, 16, 4, 4, 0, "fp32", "true", "none", "none", "nan_rows", "contiguous"),
        (6, 16, 4, 4, 0, "bf16", "false", "none", "none", "inf_rows", "contiguous"),
        (6, 16, 4, 4, 0, "fp16", "false", "none", "none", "neg_inf", "contiguous"),
        (6, 16, 4, 4, 0, "fp32", "true", "none", "none", "denormal", "contiguous"),
        (3, 24, 17, 4, 0, "fp32", "true", "none", "none", "normal", "contiguous"),
    ]
]


@pytest.mark.parametrize("words", CASES)
def test_machine_code_passes_the_judge_strictly(words):
    implementation = Implementation("topk_softmax_sorting", "triton", topk_softmax_sorting)
    case, device = parse_case(words), parse_device("sim:gfx942")
    verdict = examine(SPEC, case, implementation, device, strict=True).verdict
    assert verdict.ok, (verdict.failed, verdict.findings[:3])


def record(arch, tokens, experts, topk, dtype, width=0):
    logits = torch.empty((tokens, experts), dtype=DTYPES[dtype], device="meta")
    with recording(arch) as launches, noting() as chosen:
        topk_softmax_sorting(logits, topk, True, 32, None, None, width)
    return launches, chosen


@pytest.mark.parametrize(
    ("arch", "experts", "topk", "dtype"),
    [
        ("gfx90a", 256, 8, "bf16"),
        ("gfx942", 128, 4, "bf16"),
        ("gfx942", 256, 8, "fp32"),
        ("gfx950", 512, 10, "fp16"),
    ],
)
@pytest.mark.parametrize("tokens", [1, 16])
def test_few_tokens_take_one_launch_of_lean_code(arch, tokens, experts, topk, dtype):
    if tokens * triton.next_power_of_2(experts) > 4096:
        tokens = 4096 // triton.next_power_of_2(experts)
    (launch,), _ = record(arch, tokens, experts, topk, dtype, 2880)
    (metadata,) = read_metadata(launch.compiled.assembly)
    assert metadata.vgpr_spill_count == metadata.private_segment_fixed_size == 0
    assert launch.compiled.lds_bytes <= 4096
    words = launch.compiled.assembly.split()
    assert "buffer_store_dwordx4" in words or "global_store_dwordx4" in words, "zeros of moe_buf"


def test_what_is_not_fused_says_so():
    launches, chosen = record("gfx942", 4096, 256, 8, "bf16")
    assert len(launches) > 1
    assert chosen[0] == "gated_then_sorted announce=none"
    assert len(chosen) == 3, "the variants of both parts follow"


class Listener:
    """An executor that runs nothing and keeps what it was given."""

    arch = "gfx942"

    def launch(self, compiled, grid, arguments, /):
        self.arguments = arguments


@pytest.mark.parametrize(
    ("strides", "wide"),
    [((256, 1), False), ((2**20, 1), False), ((2**28, 1), True), ((1, 2**24), True)],
)
def test_offsets_are_64_bit_where_32_are_too_few(strides, wide):
    logits = torch.empty_strided((10, 256), strides, dtype=torch.bfloat16, device="meta")
    listener = Listener()
    with simulating(listener):
        topk_softmax_sorting(logits, 4, True, 32, None, None, 0)
    assert listener.arguments["WIDE"] == wide


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_passes_the_judge_strictly_on_a_gpu():
    implementation = Implementation("topk_softmax_sorting", "triton", topk_softmax_sorting)
    for row in SPEC.cases:
        case = SPEC.make_case(row)
        verdict = examine(SPEC, case, implementation, Device("gpu"), strict=True).verdict
        assert verdict.ok, (case.id, verdict.failed, verdict.findings[:3])
