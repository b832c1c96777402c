"""What a benchmark request means on a machine: cases, backends, devices, timers."""

import threading

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Measurement
from rocmoe.profiles.bench import make_bench_request, plan_bench, set_cases
from rocmoe.profiles.bench_cases import Shapes
from rocmoe.profiles.job import Job, Reply
from rocmoe.profiles.pool import _Slot

CASE = "topk_softmax:T=4,E=16,k=2:fp32:renormalize=true:normal:contiguous"


def ask(ops=("topk_softmax",), timers=(), caches=("warm",), backends=(), device=None,
        effort="default", **shapes):  # fmt: skip
    return make_bench_request(
        ops, backends, (), Shapes(**shapes), device=device, timers=timers, caches=caches,
        effort=effort, strict=False,
    )  # fmt: skip


def test_on_a_gpu_everything_that_runs_there_is_timed_by_graph_kernel_and_wall():
    plan = plan_bench(ask(cases=[CASE]), has_gpu=True)
    assert {(run.selector, run.device) for run in plan} >= {("torch", "gpu"), ("triton", "gpu")}
    assert plan[0].make_job(strict=False).timing is None
    timing = plan[0].make_timing_job(False, [(0, "digest")], inspect=False).timing
    assert (timing.passed, timing.inspect) == ([(0, "digest")], False)
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
    request = ask(cases=[CASE], sweep=["T=1"], seed=3)
    assert request.cases == [CASE.replace("T=4", "T=1") + ":seed=3"]
    assert plan_bench(request, has_gpu=False)[0].case.seed == 3


def test_a_model_brings_its_ops_and_their_shapes_over_the_tokens():
    request = ask(ops=(), models=["gpt-oss-120b"], tokens=[4, 64])
    assert "topk_softmax:T=64,E=128,k=4:bf16:renormalize=true:normal:contiguous" in request.cases
    assert {"topk_softmax", "topk_softmax_sorting", "moe_sorting"} <= set(request.ops)
    assert not {"grouped_topk", "topk_sigmoid", "qk_rmsnorm"} & set(request.ops)
    assert (request.models, request.tokens) == (["gpt-oss-120b"], [4, 64])


def test_tokens_of_a_model_are_fewer_where_there_is_no_gpu():
    shapes = Shapes(models=["gpt-oss-120b"])
    request = ask(models=["gpt-oss-120b"])
    on_gpu = set_cases(request, shapes, has_gpu=True).cases
    on_cpu = set_cases(request, shapes, has_gpu=False).cases
    assert len(on_gpu) == 12
    assert set(on_cpu) < set(on_gpu)
    assert len(on_cpu) == 3


def test_tokens_without_a_model_are_a_sweep_over_them():
    request = ask(cases=[CASE], tokens=[1, 9])
    assert request.cases == [CASE.replace("T=4", "T=1"), CASE.replace("T=4", "T=9")]
    with pytest.raises(RocmoeError, match="--sweep names T twice"):
        ask(cases=[CASE], tokens=[1, 9], sweep=["T=3"])


def test_a_quick_run_has_fewer_tokens_unless_they_are_named():
    quick = ask(models=["gpt-oss-120b"], quick=True)
    assert [case.partition("T=")[2].partition(",")[0] for case in quick.cases] == [
        "1", "8", "64", "1024", "16384",
    ]  # fmt: skip
    named = ask(models=["gpt-oss-120b"], quick=True, tokens=[4096])
    assert len(named.cases) == 1


def test_a_sweep_varies_the_cases_of_a_model():
    request = ask(models=["gpt-oss-120b"], tokens=[4], sweep=["dtype=bf16,fp32"])
    assert [case.split(":")[2] for case in request.cases] == ["bf16", "fp32"]


def test_an_op_that_a_model_does_not_use_is_told():
    with pytest.raises(RocmoeError, match="gpt-oss-120b does not use grouped_topk"):
        ask(ops=["grouped_topk"], models=["gpt-oss-120b"])


def test_nothing_to_time_is_told():
    with pytest.raises(RocmoeError, match="nothing to time: rocmoe bench OP, or --model NAME"):
        ask(ops=())


def test_an_unknown_effort_is_told():
    with pytest.raises(RocmoeError, match=r"unknown effort 'quik'.*nearest: quick"):
        ask(effort="quik")


def test_a_simulator_only_counts():
    (run,) = plan_bench(ask(cases=[CASE], backends=["triton"], device="sim:gfx942"), has_gpu=False)
    assert run.timing is None
    assert run.make_job(strict=False).timing is None
    timed = ask(cases=[CASE], backends=["triton"], device="sim:gfx942", timers=["graph"])
    with pytest.raises(RocmoeError, match="timer graph: sim:gfx942 has no time, only counts"):
        plan_bench(timed, has_gpu=False)


@pytest.mark.parametrize(("status", "replaced"), [("refused", 1), ("ok", 0)])
def test_a_process_whose_capture_failed_serves_no_further_job(monkeypatch, status, replaced):
    slot = _Slot(None, None, (), 1.0, threading.Event())
    measured = Measurement("graph", "warm", status, [], [])
    discarded = []
    monkeypatch.setattr(slot, "ask", lambda job, seconds: Reply("pass", measurements=[measured]))
    monkeypatch.setattr(slot, "discard", lambda: discarded.append(job.selector))
    job = Job(CASE, "torch", "gpu", False)
    slot.run(job)
    before = len(discarded) - replaced
    assert before == 1, "the first job of a backend has a worker of its own"
    slot.run(job)
    assert len(discarded) == 1 + 2 * replaced
