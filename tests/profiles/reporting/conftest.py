from pathlib import Path

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import (
    CheckRecord,
    Floor,
    Measurement,
    Result,
    read_artifact,
    record_case,
)
from rocmoe.profiles.environment import Gpu
from rocmoe.profiles.reporting.sources import Run, Sources
from rocmoe.references.judging.verdict import Finding

SAMPLE = Path(__file__).parents[2] / "artifacts/v4.json"
CASES = {
    "topk_softmax": "topk_softmax:T={},E=256,k=8:bf16:renormalize=true:normal:contiguous",
    "topk_sigmoid": "topk_sigmoid:T={},E=64,k=4:bf16:"
                    "renormalize=true,correction_bias=none:normal:contiguous",
}  # fmt: skip


@pytest.fixture
def make_result():
    """make_result(64, "torch", 4.0, stream=2.0): a result timed by graph in three processes."""

    def make(tokens, selector="triton", us=None, *, op="topk_softmax", status="pass",
             device="gpu:0", stream=None, measured="ok", spread=0.01, **more):  # fmt: skip
        case = parse_case(CASES[op].format(tokens))
        floors = {"stream": Floor([[stream]] * 3, [20] * 3)} if stream else {}
        groups = [[us * (1.0 + n * spread)] * 3 for n in (-1, 0, 1)] if us else []
        taken = [Measurement("graph", "warm", measured, groups, [20] * 3, floors)] if us else []
        backend, _, variant = selector.partition(":")
        return Result(
            record_case(load_op(op), case), backend, variant or "default", device, status,
            checks=[CheckRecord("weights", status == "pass", 0.25, 1.0)],
            measurements=taken or None, **more,
        )  # fmt: skip

    return make


@pytest.fixture
def make_artifact():
    """make_artifact(results..., created=...): an artifact of an H100, of rocmoe bench."""
    sample = read_artifact(SAMPLE)

    def make(*results, gpu="NVIDIA H100 80GB HBM3", created="2026-01-02T03:04:05+00:00",
             command="bench", **requested):  # fmt: skip
        replace = msgspec.structs.replace
        request = replace(
            sample.request, command=command, ops=sorted({r.case.op for r in results}),
            backends=[], device="gpu", cases=[], timers=["graph"], caches=["warm"], models=[],
        )  # fmt: skip
        environment = replace(
            sample.environment, gpus=[Gpu(0, gpu, "sm_90", 80 << 30)], variables={}
        )
        return replace(
            sample, created=created, request=replace(request, **requested), complete=True,
            environment=environment, results=[*results],
        )  # fmt: skip

    return make


@pytest.fixture
def make_sources(make_artifact):
    """make_sources(results..., more=...): the sources of one run."""

    def make(*results, more=None, **told):
        return Sources((Run("run", make_artifact(*results, **told)),), **(more or {}))

    return make


@pytest.fixture
def make_finding():
    """make_finding(41, "load past the end"): what a sanitizer saw at a line of a kernel."""

    def make(line, found, kernel="select", text="buffer_load_ushort v6, v2, s[0:3], 0 offen"):
        where = f"{kernel}:{line}: {text} (mine.py:12:14)"
        return Finding("memcheck", kernel, (), found, "", 1, where, "workgroup 1, wave 2, lane 3")

    return make
