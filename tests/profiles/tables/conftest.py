from pathlib import Path

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import (
    CheckRecord,
    Measurement,
    Result,
    read_artifact,
    record_case,
)
from rocmoe.profiles.environment import Gpu

SAMPLE = Path(__file__).parents[2] / "artifacts/v4.json"


@pytest.fixture
def make_result():
    """make_result("OP:...", "torch", 4.0, wall=30.0): a result timed by graph, and by wall."""

    def make(case, selector, graph=None, *, status="pass", measured="ok", cache="warm", **more):
        backend, _, variant = selector.partition(":")
        times = {"graph": graph, **{name: more.pop(name) for name in ("wall", "kernel", "events")
                                    if name in more}}  # fmt: skip
        parsed = parse_case(case)
        taken = [
            Measurement(timer, cache, measured, [[us, us, us]], [1], reason="why")
            for timer, us in times.items()
            if us is not None
        ]
        return Result(
            record_case(load_op(parsed.op), parsed), backend, variant or "default", "gpu:0",
            status, checks=[CheckRecord("weights", True, 0.25, 1.0)], measurements=taken, **more,
        )  # fmt: skip

    return make


@pytest.fixture
def make_artifact():
    """make_artifact(results, models=[...]): an artifact of one GPU."""
    sample = read_artifact(SAMPLE)

    def make(results, models=()):
        replace = msgspec.structs.replace
        gpu = Gpu(0, "NVIDIA H100", "sm_90", 80 << 30)
        return replace(
            sample,
            request=replace(sample.request, models=[*models]),
            environment=replace(sample.environment, gpus=[gpu]),
            results=[*results],
        )

    return make
