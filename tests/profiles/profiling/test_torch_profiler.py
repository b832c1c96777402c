"""Calls under torch's profiler, in a worker; without a GPU its trace is one of an H100."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
import torch

from rocmoe.ops.backends import torch as torch_backend
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles import worker
from rocmoe.profiles.environment import Gpu
from rocmoe.profiles.job import Answer, Job, Message, Profiling
from rocmoe.profiles.measuring.machine import WARM_UP_CALLS
from rocmoe.profiles.measuring.timers import RefusedError
from rocmoe.profiles.profiling import torch_profiler
from rocmoe.profiles.profiling.torch_profiler import (
    export_chrome_trace,
    measure_empty,
    profile_calls,
)

FIXTURE = Path(__file__).parent / "fixtures/torch/h100.json"
CASE = "topk_softmax:T=4096,E=256,k=8:bf16:renormalize=true:normal:contiguous"
SPEC = load_op("topk_softmax")
CPU = Device("cpu")


@pytest.fixture
def seen(monkeypatch):
    """What happens to an implementation, in order."""
    events = []

    def topk_softmax(gating_output, topk, renormalize):
        events.append("call")

    found = Implementation("topk_softmax", "torch", topk_softmax)
    monkeypatch.setattr(torch_backend, "find", lambda spec, variant: found)
    monkeypatch.setattr(torch_profiler, "measure_empty", lambda device: 1.5)
    gpu = Gpu(0, "NVIDIA H100 80GB HBM3", "sm_90", 80 << 30)
    monkeypatch.setattr(torch_profiler, "list_gpus", lambda: [gpu])
    monkeypatch.setattr(torch_profiler, "_count_units", lambda index: 132)

    def export(work, path):
        events.append("begin")
        work()
        events.append("end")
        shutil.copy(FIXTURE, path)

    monkeypatch.setattr(torch_profiler, "export_chrome_trace", export)
    return events


def ask(tmp_path, **more):
    return Profiling(2, str(tmp_path / "0.json"), "h100", **more)


def test_the_calls_alone_are_under_the_profiler_behind_a_warm_up(seen, tmp_path):
    implementation = torch_backend.find(SPEC, "")
    found = profile_calls(SPEC, parse_case(CASE), implementation, CPU, ask(tmp_path, notes=["why"]))
    assert seen == [*["call"] * WARM_UP_CALLS, "begin", "call", "call", "end"]
    assert (found.tool, found.version) == ("torch's profiler", torch.__version__)
    assert (found.calls, found.hardware, found.empty_us) == (2, "h100", 1.5)
    assert found.notes == ["why"]
    assert [each.agent for each in found.kernels] == ["sm_90"] * 3
    assert found.roofline.moved_bytes == 4096 * (256 * 2 + 8 * 8)
    assert found.commands == []


def test_a_worker_answers_with_the_record_and_leaves_the_trace(seen, tmp_path):
    job = Job(CASE, "torch", "cpu", False, profiling=ask(tmp_path))
    # As messages between processes are.
    sent = msgspec.json.decode(msgspec.json.encode(job), type=Message)
    reply = msgspec.json.decode(msgspec.json.encode(worker._run(sent)), type=Answer)
    assert (reply.status, len(reply.profile.kernels)) == ("pass", 3)
    assert json.loads((tmp_path / "0.json").read_text())["traceEvents"]
    again = worker._run(Job(CASE, "torch", "gpu:9", False, profiling=ask(tmp_path)))
    assert again.status == "unavailable"


def test_a_call_that_raises_under_the_profiler_is_an_error(seen, tmp_path, monkeypatch):
    def fail(work, path):
        raise RuntimeError("CUPTI initialization failed")

    monkeypatch.setattr(torch_profiler, "export_chrome_trace", fail)
    reply = worker._run(Job(CASE, "torch", "cpu", False, profiling=ask(tmp_path)))
    assert (reply.status, reply.profile) == ("error", None)
    assert "CUPTI initialization failed" in reply.reason


def test_a_profiler_that_saw_nothing_or_not_all_says_so(seen, tmp_path):
    implementation = torch_backend.find(SPEC, "")

    def see_nothing(work, path):
        path.write_text('{"traceEvents": []}')

    case = parse_case(CASE)
    blind = profile_calls(SPEC, case, implementation, CPU, ask(tmp_path), see_nothing)
    assert blind.kernels == []
    assert "saw nothing on the device in 2 calls" in blind.notes[0]
    three = Profiling(3, str(tmp_path / "0.json"))
    (note,) = profile_calls(SPEC, case, implementation, CPU, three).notes
    assert note.startswith("not as often in each of 3 calls, or not seen each time: at::native")


def test_an_empty_kernel_that_was_not_seen_each_time_has_no_time(monkeypatch):
    def refuse(*arguments):
        raise RefusedError("the profiler saw 19 device activities in 20 calls")

    assert measure_empty(CPU) is None, "there are no floors"
    measure_empty.cache_clear()
    monkeypatch.setattr(torch_profiler.Floors, "measure", refuse)
    assert measure_empty(CPU) is None
    measure_empty.cache_clear()


def test_torch_exports_a_trace_that_is_read_here_too(tmp_path, monkeypatch):
    """Of the processor, so without launches: the file and its form are torch's own."""
    profile, activity = torch.profiler.profile, torch.profiler.ProfilerActivity
    monkeypatch.setattr(
        torch.profiler, "profile",
        lambda activities, **more: profile(activities=[activity.CPU], **more),
    )  # fmt: skip
    done = []
    export_chrome_trace(lambda: done.append(torch.ones(4).sum()), tmp_path / "t.json")
    assert len(done) == 1
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert any(each.get("name") == "aten::sum" and each["ph"] == "X" for each in events)
    assert torch_profiler.read_torch_trace(tmp_path / "t.json").dispatches == ()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
def test_a_real_gpu_is_seen(tmp_path):
    implementation = torch_backend.find(SPEC, "")
    profiling = Profiling(5, str(tmp_path / "t.json"))
    found = profile_calls(SPEC, parse_case(CASE), implementation, Device("gpu"), profiling)
    assert found.kernels
    assert found.notes == []
    assert all(each.durations_ns and each.a_call >= 1.0 for each in found.kernels)
    assert 0.5 < found.empty_us < 20.0
    if torch.version.hip is None:
        launched = [each for each in found.kernels if not each.short.startswith("Mem")]
        assert all(each.blocks and each.lanes and each.vgprs for each in launched)
        assert all(each.occupancy for each in launched)
