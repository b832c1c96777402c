"""The jobs of a run of graphs, what several processes come to, and what is told of it."""

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import FORMAT, VERSION, CheckRecord, Header, Measurement, Request
from rocmoe.profiles.bench import BenchRun
from rocmoe.profiles.environment import collect_environment
from rocmoe.profiles.graphs.processes import compare_processes
from rocmoe.profiles.graphs.record import (
    BRIEF,
    CAPTURE,
    COUNTS,
    INPUTS,
    MATRIX,
    PROCESSES,
    SURVIVES,
    TIMED,
    GraphRecord,
    GraphTask,
    Trial,
    add_trial,
    judge_trials,
)
from rocmoe.profiles.graphs.report import judge_graphs, list_graph_tables
from rocmoe.profiles.graphs.request import Options
from rocmoe.profiles.graphs.work import GraphWork
from rocmoe.profiles.job import Job, Reply, Timing
from rocmoe.profiles.pool import _Slot
from rocmoe.profiles.stream import Recorder
from rocmoe.profiles.worker import _run

SPEC = load_op("topk_softmax")
CASE = parse_case("topk_softmax:T=1,E=16,k=2:fp32:renormalize=true:normal:contiguous")
TIMING = Timing(["wall", "graph", "kernel"], ["warm"], "quick")


def make_record(*faults, answers=("one", "two"), tried=MATRIX):
    """All trials passed, but for those of some names: (name, fault)."""
    record = GraphRecord("not tried", nodes={"kernel": 3}, answers={"topk_ids": [*answers]})
    bad = dict(faults)
    for name in tried:
        fault = bad.get(name)
        record = add_trial(record, Trial(name, fault is None, f"detail of {name}", fault))
    return record


def reply(record, status="pass", reason=None):
    return Reply(status, reason, graph=record, checks=[CheckRecord("weights", True, 0.5, 1.0)],
                 passed=[(0, "digest")])  # fmt: skip


def timed(timing, status="pass", **more):
    taken = [Measurement(timer, "warm", "ok", [[us, us]], [1])
             for timer, us in zip(timing.timers, (30.0, 5.0, 4.0), strict=False)]  # fmt: skip
    return Reply(status, measurements=taken, **more)


class Pool:
    """Answers jobs from a function of the job; jobs that are not wanted are left out."""

    def __init__(self, answer):
        self.answer, self.jobs = answer, []

    def run(self, jobs, on_result, wanted=lambda index: True):
        for index, job in enumerate(jobs):
            if wanted(index):
                self.jobs.append(job)
                on_result(index, self.answer(job))


@pytest.fixture
def work(tmp_path):
    def run(answer, selectors=("torch",), time=timed, options=None):
        request = Request("graph", ["topk_softmax"], [*selectors], "gpu", "smoke", [], 0, False)
        header = Header(FORMAT, VERSION, "", request, collect_environment())
        plan = [BenchRun(SPEC, CASE, selector, "gpu", TIMING) for selector in selectors]
        told = []
        pool = Pool(lambda job: time(job.timing) if job.timing else answer(job))
        with Recorder(tmp_path / "run.json", header) as recorder:
            made = GraphWork(plan, False, options or Options(), recorder, lambda *t: told.append(t))
            made.try_all(pool)
            made.time_all(pool)
            artifact = recorder.finish(made.order, complete=True)
        return pool, artifact, told

    return run


def list_graph_jobs(pool):
    return [job.graph for job in pool.jobs if job.graph is not None]


def test_a_safe_op_is_tried_in_three_processes_and_then_timed(work):
    pool, artifact, told = work(lambda job: reply(make_record(tried=job.graph.trials)))
    first, *others = list_graph_jobs(pool)
    assert (first.trials, first.judged, first.replays) == ([*MATRIX], True, 200)
    assert [(each.trials, each.judged) for each in others] == [([*BRIEF], False)] * 2
    assert pool.jobs[-1].timing.timers == ["wall", "graph", "kernel"]
    assert pool.jobs[-1].timing.passed == [(0, "digest")]
    (result,) = artifact.results
    assert (result.status, result.graph.verdict) == ("pass", "safe")
    assert result.graph.trials[-2].detail == "3 processes, the same topk_ids"
    assert [trial.name for trial in result.graph.trials[-2:]] == [PROCESSES, TIMED]
    assert [t[1:] for t in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert judge_graphs(artifact) == 0


def test_the_row_has_eager_graph_and_kernel_time_beside_each_other(work):
    _, artifact, _ = work(lambda job: reply(make_record(tried=job.graph.trials)))
    (table,) = list_graph_tables(artifact)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row == {
        "op": "topk_softmax", "shape": "T=1 E=16 k=2 fp32", "backend": "torch", "graph": "safe",
        "nodes": "3 kernel", "eager us": "30.0", "graph us": "5.00", "kernel us": "4.00",
        "trials": "11/11", "judged": "pass 0.5",
    }  # fmt: skip
    assert table.summary == ()


def test_what_is_refused_is_not_captured_again_and_timed_without_a_graph(work):
    def answer(job):
        return reply(make_record((CAPTURE, "refused"), tried=[CAPTURE]))

    pool, artifact, _ = work(answer)
    assert len(list_graph_jobs(pool)) == 1
    (result,) = artifact.results
    assert pool.jobs[-1].timing.timers == ["wall", "kernel"]
    assert [(m.timer, m.status) for m in result.measurements] == [
        ("wall", "ok"), ("graph", "refused"), ("kernel", "ok"),
    ]  # fmt: skip
    assert result.measurements[1].reason == "not timed: the graph is refused"
    assert judge_graphs(artifact) == 1
    (table,) = list_graph_tables(artifact)
    assert table.summary == (f"REFUSED {CASE.id}@torch: capture: detail of capture",)
    assert table.rows[0][table.columns.index("trials")] == "0/1"


def test_a_further_process_is_tried_while_the_first_is_not_known(work):
    """Several run at once: what a first process found may come later."""
    pool = Pool(lambda job: None)
    pool.run = lambda jobs, on_result, wanted: seen.extend(wanted(n) for n in range(len(jobs)))
    seen = []
    made = GraphWork([BenchRun(SPEC, CASE, "torch", "gpu", TIMING)], False, Options(), None, None)
    with pytest.raises(KeyError):
        made.try_all(pool)
    assert seen == [True, True, True]


@pytest.mark.parametrize(
    ("other", "fault", "said"),
    [
        (reply(make_record(tried=BRIEF, answers=("one", "three"))), "differs",
         "in process 2: topk_ids is unlike that of process 1, on the same inputs"),
        (reply(make_record((INPUTS, "stale"), tried=BRIEF)), "stale",
         "in process 2: changed inputs: detail of changed inputs"),
        (Reply("crash", "died of SIGSEGV"), "wrong", "in process 2: crash: died of SIGSEGV"),
        (reply(make_record(tried=[CAPTURE])), None,
         "in process 2: unchanged: was not reached"),
    ],
)  # fmt: skip
def test_what_another_process_does_otherwise_counts(other, fault, said):
    trial = compare_processes(make_record(), [other])
    assert (trial.fault, trial.detail) == (fault, said)
    assert trial.ok is (False if fault else None)


def test_processes_without_a_canonical_form_are_each_judged():
    trial = compare_processes(
        msgspec.structs.replace(make_record(), answers={}),
        [reply(msgspec.structs.replace(make_record(tried=BRIEF), answers={}))],
    )
    assert trial.ok
    assert trial.detail == "2 processes, each answer judged, no canonical form to compare"


def test_one_process_compares_nothing(work):
    _, artifact, _ = work(
        lambda job: reply(make_record(tried=job.graph.trials)), options=Options(processes=1)
    )
    (result,) = artifact.results
    trial = next(each for each in result.graph.trials if each.name == PROCESSES)
    assert (trial.ok, result.graph.verdict) == (None, "safe")
    (table,) = list_graph_tables(artifact)
    assert table.notes == ("not tried: processes: there was one process only (1 result(s))",)


def test_where_the_process_died_in_a_graph_eager_calls_are_not_to_blame(work):
    def answer(job):
        return Reply("crash", "died of SIGABRT") if job.graph else reply(None)

    pool, artifact, _ = work(answer)
    (result,) = artifact.results
    assert (result.status, result.graph.verdict) == ("pass", "wrong")
    assert [each.name for each in result.graph.trials] == [SURVIVES, PROCESSES]
    assert result.graph.reason == "survives: the process died: died of SIGABRT"
    assert len(list_graph_jobs(pool)) == 1
    assert judge_graphs(artifact) == 1


def test_what_is_wrong_when_called_is_not_blamed_on_graphs(work):
    def answer(job):
        return Reply("error", "ValueError: no")

    _, artifact, _ = work(answer)
    (result,) = artifact.results
    assert (result.status, result.graph, result.measurements) == ("error", None, None)
    assert judge_graphs(artifact) == 1


def test_where_there_is_no_such_gpu_nothing_ran(work):
    pool, artifact, _ = work(lambda job: Reply("unavailable", "gpu:7 is not here"))
    assert len(pool.jobs) == 1
    assert judge_graphs(artifact) == 4


def test_replays_that_are_wrong_while_they_are_timed_are_not_safe(work):
    def time(timing):
        check = CheckRecord("after_timing", False, 1.0, 0.0, "graph warm, the last call: weights")
        return timed(timing, "fail", checks=[check])

    _, artifact, _ = work(lambda job: reply(make_record(tried=job.graph.trials)), time=time)
    (result,) = artifact.results
    assert (result.status, result.graph.verdict) == ("pass", "wrong")
    assert result.graph.reason.startswith("timed replays: after_timing: graph warm, the last call")


def test_a_timing_that_dies_is_no_evidence_either_way(work):
    _, artifact, _ = work(
        lambda job: reply(make_record(tried=job.graph.trials)),
        time=lambda timing: Reply("crash", "died of SIGKILL"),
    )
    (result,) = artifact.results
    assert (result.graph.verdict, result.graph.trials[-1].ok) == ("safe", None)
    assert {each.reason for each in result.measurements} == {"not timed: crash: died of SIGKILL"}


def test_dot_files_are_one_a_run_and_only_of_the_first_process(work, tmp_path):
    options = Options(processes=2, dot=tmp_path / "graph.dot")
    pool, _, _ = work(lambda job: reply(make_record(tried=job.graph.trials)), options=options)
    assert [task.dot for task in list_graph_jobs(pool)] == [str(tmp_path / "graph.dot"), None]
    pool, _, _ = work(
        lambda job: reply(make_record(tried=job.graph.trials)), ("torch", "triton"), timed, options
    )
    names = [task.dot for task in list_graph_jobs(pool) if task.dot]
    assert names == [str(tmp_path / "graph-1.dot"), str(tmp_path / "graph-2.dot")]


def test_the_first_fault_decides_and_what_was_not_tried_is_no_evidence():
    assert make_record().verdict == "safe"
    assert make_record((COUNTS, "stale"), (INPUTS, "wrong")).verdict == "wrong"
    untold = [Trial(CAPTURE, True), Trial("unchanged", True), Trial(INPUTS, None, "alike")]
    assert judge_trials(untold) == ("not tried", "changed inputs: alike")
    assert judge_trials(untold[:2]) == ("not tried", "changed inputs: was not reached")


def test_a_graph_of_which_nothing_is_known_is_inconclusive(work):
    record = make_record(tried=[CAPTURE])
    _, artifact, _ = work(lambda job: reply(record))
    assert artifact.results[0].graph.verdict == "not tried"
    assert judge_graphs(artifact) == 4


def test_a_worker_answers_with_the_record_and_with_what_a_validation_says(machine, monkeypatch):
    monkeypatch.setattr("rocmoe.profiles.graphs.examination.GraphGpu", lambda index: machine)
    job = Job(CASE.id, "torch", "cpu", False, graph=GraphTask([*BRIEF], True, 8))
    answered = msgspec.json.decode(msgspec.json.encode(_run(job)), type=Reply)
    assert (answered.status, answered.graph.verdict) == ("pass", "safe")
    assert [trial.name for trial in answered.graph.trials] == [*BRIEF]
    names = [check.name for check in answered.checks]
    assert "selection_is_top_k" in names
    assert [draw for draw, _ in answered.passed] == [0, 1]


def test_each_job_of_graphs_has_a_process_of_its_own(monkeypatch):
    replaced = []
    slot = _Slot(None, None, (), 1.0, None)
    monkeypatch.setattr(slot, "discard", lambda: replaced.append(1))
    monkeypatch.setattr(slot, "ask", lambda job, seconds: Reply("pass"))
    plain = Job(CASE.id, "torch", "gpu", False)
    for job in (plain, plain):
        slot.run(job)
    assert len(replaced) == 1, "the first of a backend"
    graph = msgspec.structs.replace(plain, graph=GraphTask([*BRIEF], False, 8))
    for job in (graph, graph):
        slot.run(job)
    assert len(replaced) == 3
