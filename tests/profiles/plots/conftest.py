from pathlib import Path

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import Floor, Measurement, Result, read_artifact, record_case
from rocmoe.profiles.environment import Gpu

SAMPLE = Path(__file__).parents[2] / "artifacts/v4.json"
CASES = {
    "topk_softmax": "topk_softmax:T={},E=256,k=8:bf16:renormalize=true:normal:contiguous",
    "top_p_renorm_probs": "top_p_renorm_probs:B={},V=1000:fp32:top_p=0.9:normal:contiguous",
}


@pytest.fixture
def make_result():
    """make_result(64, [[4.0, 4.1]], stream=2.0): a result timed by graph, with its floors."""

    def make(tokens, groups=None, selector="triton", *, op="topk_softmax", status="pass",
             device="gpu:0", stream=None, empty=None, more=(), **changed):  # fmt: skip
        case = parse_case(CASES[op].format(tokens))
        floors = {
            name: Floor([[us]], [20])
            for name, us in (("stream", stream), ("empty", empty))
            if us is not None
        }
        told = {"timer": "graph", "cache": "warm", "status": "ok", "floors": floors, **changed}
        taken = [Measurement(samples_us=groups, calls=[20] * len(groups), **told)] if groups else []
        backend, _, variant = selector.partition(":")
        return Result(
            record_case(load_op(op), case), backend, variant or "default", device, status,
            measurements=[*taken, *more],
        )  # fmt: skip

    return make


@pytest.fixture
def make_artifact():
    """make_artifact(results...): an artifact of an H100."""
    sample = read_artifact(SAMPLE)

    def make(*results, gpu="NVIDIA H100 80GB HBM3"):
        replace = msgspec.structs.replace
        environment = replace(sample.environment, gpus=[Gpu(0, gpu, "sm_90", 80 << 30)])
        return replace(sample, environment=environment, results=[*results])

    return make
