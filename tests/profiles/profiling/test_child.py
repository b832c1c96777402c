"""The program that is profiled: exactly the calls asked for, and one line where there are none."""

import pytest
import torch

from rocmoe.ops.backends import torch as torch_backend
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.profiles.measuring.machine import WARM_UP_CALLS
from rocmoe.profiles.profiling import child
from rocmoe.profiles.profiling.calls import DELIMITERS

CASE = "topk_softmax:T=4,E=8,k=2:fp32:renormalize=true:normal:contiguous"


@pytest.fixture
def events(monkeypatch):
    """What happens to an implementation, and around it, in order."""
    seen = []

    def topk_softmax(gating_output, topk, renormalize):
        assert gating_output.shape == (4, 8)
        assert (topk, renormalize) == (2, True)
        seen.append("call")

    found = Implementation("topk_softmax", "torch", topk_softmax, devices=("cpu", "gpu"))
    monkeypatch.setattr(torch_backend, "find", lambda spec, variant: found)
    return seen


@pytest.fixture
def gpu(events, monkeypatch):
    """A GPU of pretence, whose memory is the host's, with markers."""
    monkeypatch.setattr(Device, "torch_name", "cpu")
    monkeypatch.setattr(Device, "find_absence", lambda self: None)
    for name in ("set_device", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, lambda index, name=name: events.append((name, index)))
    monkeypatch.setattr(child, "make_marker", lambda device: lambda: events.append("empty"))
    monkeypatch.setattr(child, "can_stream", lambda device: device.kind == "gpu")
    markers = torch.cuda.nvtx
    monkeypatch.setattr(markers, "range_push", lambda message: events.append(message))
    monkeypatch.setattr(markers, "range_pop", lambda: events.append("pop"))
    return events


def test_the_calls_stand_behind_the_warm_up_and_empty_kernels_between_markers(gpu):
    assert child.main([CASE, "torch", "gpu:1", "5"]) == 0
    wait = ("synchronize", 1)
    assert gpu == [
        *(("set_device", 1), *["call"] * WARM_UP_CALLS, wait),
        *(*["empty"] * DELIMITERS, wait),
        *(child.MARKER, *["call"] * 5, wait, "pop"),
    ]


@pytest.mark.parametrize("error", [RuntimeError("NVTX functions not installed"), OSError("no lib")])
def test_without_markers_the_calls_are_made_all_the_same(gpu, monkeypatch, error):
    def refuse(message):
        raise error

    monkeypatch.setattr(torch.cuda.nvtx, "range_push", refuse)
    assert child.main([CASE, "torch", "gpu", "2"]) == 0
    assert gpu.count("call") == WARM_UP_CALLS + 2
    assert "pop" not in gpu


def test_without_triton_there_are_no_empty_kernels(gpu, monkeypatch):
    monkeypatch.setattr(child, "can_stream", lambda device: False)
    assert child.main([CASE, "torch", "gpu", "1"]) == 0
    assert "empty" not in gpu
    assert gpu.count("call") == WARM_UP_CALLS + 1


def test_the_range_ends_where_a_call_raises(gpu, capsys):
    def fail():
        raise ValueError("the 2nd call\nis one too many")

    child.run_case(parse_case(CASE), "torch", Device("gpu"), 1)
    with pytest.raises(ValueError, match="too many"), child.mark(Device("gpu")):
        fail()
    assert gpu[-2:] == [child.MARKER, "pop"]


def test_the_processor_has_no_markers(events):
    assert child.main([CASE, "torch", "cpu", "4"]) == 0
    assert events == ["call"] * (WARM_UP_CALLS + 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "found 0 arguments, wanted CASE SELECTOR DEVICE CALLS"),
        ([CASE, "torch", "cpu", "0"], "calls '0': wanted a whole number of at least 1"),
        ([CASE, "torch", "cpu", "many"], "calls 'many': wanted a whole number"),
        (["topk:T=4", "torch", "cpu", "1"], "case 'topk:T=4': found 2 parts"),
        ([CASE.replace("topk_softmax", "topk_sofmax"), "torch", "cpu", "1"], "nearest: topk_sof"),
        ([CASE, "torhc", "cpu", "1"], "unknown backend 'torhc'; nearest: torch"),
        ([CASE, "torch", "cuda", "1"], "unknown device 'cuda'"),
        ([CASE, "torch", "sim:gfx942", "1"], "no profiler; `rocmoe bench --device sim:gfx942`"),
        ([CASE, "triton", "cpu", "1"], "triton refuses topk_softmax:T=4"),
        ([CASE, "torch", "gpu:99", "1"], "torch sees "),
    ],
)
def test_what_cannot_be_run_is_one_line_and_exit_2(capsys, arguments, said):
    assert child.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("rocmoe: ")
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_an_implementation_that_raises_is_one_line_and_exit_2(events, monkeypatch, capsys):
    def topk_softmax(gating_output, topk, renormalize):
        raise RuntimeError("HIP error: invalid device function\nCompile with ...")

    found = Implementation("topk_softmax", "torch", topk_softmax)
    monkeypatch.setattr(torch_backend, "find", lambda spec, variant: found)
    assert child.main([CASE, "torch", "cpu", "1"]) == 2
    assert capsys.readouterr().err == (
        "rocmoe: RuntimeError: HIP error: invalid device function; see what `rocmoe validate` says "
        "of it\n"
    )


def test_a_reason_of_several_lines_is_one_line(events, monkeypatch, capsys):
    monkeypatch.setattr(
        torch_backend, "find_absence", lambda: "no library\n  of that name; do this"
    )
    assert child.main([CASE, "torch", "cpu", "1"]) == 2
    assert capsys.readouterr().err == "rocmoe: no library of that name; do this\n"


def test_an_implementation_whose_library_is_not_here_says_so(events, monkeypatch, capsys):
    monkeypatch.setattr(Implementation, "find_absence", lambda self: "no such library; install it")
    assert child.main([CASE, "torch", "cpu", "1"]) == 2
    assert capsys.readouterr().err == "rocmoe: no such library; install it\n"
    assert events == []


def test_the_real_program_runs_under_the_real_driver(stage):
    stage.install("7.0")
    stage.environ["OMP_NUM_THREADS"] = "1"
    done = stage.profile(child.build_child_command(CASE, "torch", "cpu", 2), timeout_seconds=60)
    assert (done.returncode, done.problems) == (0, [])
    assert "kernel_trace" in done.files


def test_why_the_real_program_cannot_run_is_what_the_driver_says(stage):
    stage.install("7.0")
    done = stage.profile(child.build_child_command(CASE, "trotch", "cpu", 2), timeout_seconds=60)
    assert done.returncode == 2
    assert done.problems == ["times: unknown backend 'trotch'; nearest: torch"]
