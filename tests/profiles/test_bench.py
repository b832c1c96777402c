"""What a benchmark request means on a machine: cases, backends, devices, timers."""

import threading

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Measurement
from rocmoe.profiles.bench import make_bench_request, plan_bench
from rocmoe.profiles.job import Job, Reply
from rocmoe.profiles.pool import _Slot

CASE = "topk_softmax:T=4,E=16,k=2:fp32:renormalize=true:normal:contiguous"


def ask(ops=("topk_softmax",), **more):
    given = {"device": None, "cases": [], "sweep": [], "timers": [], "caches": ["warm"],
             "backends": [], "impls": []}  # fmt: skip
    return make_bench_request(ops, seed=0, strict=False, **{**given, **more})


def test_on_a_gpu_everything_that_runs_there_is_timed_by_graph_kernel_and_wall():
    plan = plan_bench(ask(cases=[CASE]), has_gpu=True)
    assert {(run.selector, run.device) for run in plan} >= {("torch", "gpu"), ("triton", "gpu")}
    timing = plan[0].make_job(strict=False).timing
    assert (timing.timers, timing.caches) == (["graph", "kernel", "wall"], ["warm"])


def test_without_a_gpu_only_what_runs_on_the_cpu_is_timed_by_the_wall():
    plan = plan_bench(ask(cases=[CASE]), has_gpu=False)
    assert {(run.selector, run.device) for run in plan} == {("torch", "cpu")}
    assert plan[0].timing.timers == ["wall"]


def test_a_backend_that_is_named_is_planned_where_it_would_run():
    (run,) = plan_bench(ask(cases=[CASE], backends=["triton"]), has_gpu=False)
    assert run.device == "gpu"


def test_timers_of_a_gpu_are_refused_where_there_is_none():
    request = ask(cases=[CASE], timers=["wall", "kernel"])
    with pytest.raises(RocmoeError, match="timer kernel needs a GPU; on cpu there is wall"):
        plan_bench(request, has_gpu=False)
    assert plan_bench(request, has_gpu=True)[0].timing.timers == ["wall", "kernel"]


def test_a_sweep_changes_the_case_that_is_named_and_a_name_given_twice_counts_once():
    request = ask(cases=[CASE], sweep=["T=1,2"], timers=["wall", "wall"], caches=["cold", "cold"])
    assert request.cases == [CASE.replace("T=4", "T=1"), CASE.replace("T=4", "T=2")]
    assert (request.timers, request.caches) == (["wall"], ["cold"])


def test_a_seed_is_part_of_every_case():
    request = make_bench_request(
        ["topk_softmax"], [], [], device=None, cases=[CASE], sweep=["T=1"], timers=[],
        caches=["warm"], seed=3, strict=False,
    )  # fmt: skip
    assert request.cases == [CASE.replace("T=4", "T=1") + ":seed=3"]
    assert plan_bench(request, has_gpu=False)[0].case.seed == 3


@pytest.mark.parametrize(("status", "replaced"), [("refused", 1), ("ok", 0)])
def test_a_process_whose_capture_failed_serves_no_further_job(monkeypatch, status, replaced):
    slot = _Slot(None, None, (), 1.0, threading.Event())
    measured = Measurement("graph", "warm", status, [], 0)
    discarded = []
    monkeypatch.setattr(slot, "ask", lambda job, seconds: Reply("pass", measurements=[measured]))
    monkeypatch.setattr(slot, "discard", lambda: discarded.append(job.selector))
    job = Job(CASE, "torch", "gpu", False)
    slot.run(job)
    before = len(discarded) - replaced
    assert before == 1, "the first job of a backend has a worker of its own"
    slot.run(job)
    assert len(discarded) == 1 + 2 * replaced
