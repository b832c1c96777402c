import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402

from rocmoe.ops.core.case import parse_case  # noqa: E402
from rocmoe.ops.core.device import Device, parse_device  # noqa: E402
from rocmoe.ops.core.implementation import Implementation  # noqa: E402
from rocmoe.ops.core.launch import recording  # noqa: E402
from rocmoe.ops.core.spec import load_op  # noqa: E402
from rocmoe.ops.gcn.assembly import read_metadata  # noqa: E402
from rocmoe.ops.kernels.top_p_renorm_probs import VARIANTS, top_p_renorm_probs  # noqa: E402
from rocmoe.profiles.examination import examine  # noqa: E402

SPEC = load_op("top_p_renorm_probs")
IMPLEMENTATION = Implementation("top_p_renorm_probs", "triton", top_p_renorm_probs)
WORDS = "top_p_renorm_probs:B={},V={}:fp32:top_p={}:{}:{}"


@pytest.mark.parametrize(
    "row",
    [
        (3, 1, 0.5, "normal", "contiguous"),
        (5, 111, 0.5, "halving", "contiguous"),
        (7, 500, "per_row", "bf16_ties", "strided"),
        (4, 500, 0.0, "tie_classes", "contiguous"),
        (3, 600, 1.0, "normal", "contiguous"),
        (4, 500, 0.9, "zero_rows", "offset"),
        (3, 700, 0.95, "denormal", "contiguous"),
        (2, 400, 0.5, "all_equal", "contiguous"),
        (2, 400, 0.9, "one_hot", "contiguous"),
        (4, 300, "per_row", "unnormalised", "contiguous"),
        (4, 300, 0.9, "nan_rows", "contiguous"),
        (1, 9001, 0.9, "peaked", "contiguous"),
    ],
)
def test_passes_the_judge_strictly(row):
    case = parse_case(WORDS.format(*row))
    verdict = examine(SPEC, case, IMPLEMENTATION, parse_device("sim:gfx942"), strict=True).verdict
    assert verdict.ok, (verdict.failed, verdict.findings[:2])


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("shape", [(3, 1000), (40, 128256)])
def test_code_neither_spills_nor_reads_the_data_on_the_host(shape, per_row):
    """Tensors without data tell: nothing on the host depends on what they hold."""
    probs = torch.empty(shape, device="meta")
    parameter = torch.empty(shape[0], dtype=torch.float32, device="meta") if per_row else 0.9
    with recording("gfx950") as launches:
        found = top_p_renorm_probs(probs, parameter)
    assert found.shape == shape
    assert found.is_contiguous()
    assert len(launches) == (1 if shape[1] == 1000 else 3)
    for launch in launches:
        (metadata,) = read_metadata(launch.compiled.assembly)
        assert metadata.vgpr_spill_count == metadata.sgpr_spill_count == 0
        assert metadata.private_segment_fixed_size == 0


def test_the_last_variant_serves_everything():
    last = VARIANTS[-1]
    assert (last.most, last.least, last.arch) == ({}, {}, "")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_passes_the_judge_strictly_on_a_gpu():
    for row in SPEC.cases:
        case = SPEC.make_case(row)
        verdict = examine(SPEC, case, IMPLEMENTATION, Device("gpu"), strict=True).verdict
        assert verdict.ok, (case.id, verdict.failed, verdict.findings[:3])
