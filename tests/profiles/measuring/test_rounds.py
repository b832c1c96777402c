"""Rounds over processes: how many, in which order, and what one process says of all."""

from pathlib import Path

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import (
    FORMAT,
    VERSION,
    CheckRecord,
    Header,
    Measurement,
    Request,
    Result,
    record_case,
)
from rocmoe.profiles.environment import collect_environment
from rocmoe.profiles.job import Job, Reply, Timing
from rocmoe.profiles.measuring.efforts import EFFORTS, Rounds, are_settled
from rocmoe.profiles.measuring.rounds import Book, merge_results, run_rounds
from rocmoe.profiles.stream import Recorder, read_stream
from rocmoe.references.judging.verdict import Finding

SPEC = load_op("topk_softmax")
CASES = [
    parse_case(f"topk_softmax:T={tokens},E=16,k=2:fp32:renormalize=true:normal:contiguous")
    for tokens in (1, 2, 3)
]
ROUNDS = Rounds(2, 4)


class Run:
    """A plan's entry; what it has no timing for is only judged."""

    def __init__(self, case, timed=True):
        self.case, self.timed = case, timed
        self.key = (case.id, "torch")

    def make_job(self, strict):
        return Job(self.case.id, "torch", "cpu", strict)

    def make_timing_job(self, strict, passed, inspect):
        if not self.timed:
            return None
        timing = Timing(["wall"], ["warm"], passed=list(passed), inspect=inspect)
        return Job(self.case.id, "torch", "cpu", strict, timing=timing)

    def make_result(self, reply):
        return Result(
            record_case(SPEC, self.case), "torch", "default", "cpu", reply.status,
            reason=reply.reason, checks=reply.checks, findings=reply.findings,
            measurements=reply.measurements, kernels=reply.kernels,
        )  # fmt: skip


class Judges:
    """Judges from a function of the case; keeps what it was asked."""

    def __init__(self, judge):
        self.judge, self.asked = judge, []

    def run(self, jobs, on_result):
        self.asked += jobs
        for index, job in enumerate(jobs):
            on_result(index, self.judge(parse_case(job.case_id).sizes["T"]))


class Timers:
    """Answers jobs from a function of the case and of how many processes it had."""

    def __init__(self, answer):
        self.answer, self.seen, self.rounds, self.jobs = answer, {}, [], []

    def run(self, jobs, on_result):
        if jobs:
            self.rounds.append([parse_case(job.case_id).sizes["T"] for job in jobs])
        self.jobs += jobs
        for index, job in enumerate(jobs):
            number = self.seen.get(job.case_id, 0)
            self.seen[job.case_id] = number + 1
            assert job.timing.passed, "a process that times is told what passed"
            assert job.timing.inspect == (number == 0), "only the first looks what runs"
            on_result(index, self.answer(parse_case(job.case_id).sizes["T"], number))


def judged(status="pass", reason=None, passed=((0, "digest"),)):
    checks = [CheckRecord("weights", True, 0.2, 1.0)]
    return Reply(status, reason, checks=checks, passed=[*passed])


def reply(*samples, status="pass", reason=None):
    taken = [Measurement("wall", "warm", "ok", [[*samples]], [1])] if samples else None
    checks = [CheckRecord("after_timing", True, 0.0, 0.0)]
    return Reply(status, reason, checks=checks, measurements=taken, passed=[(0, "digest")])


@pytest.fixture
def run(tmp_path):
    def run(answer, judge=lambda tokens: judged(), timed=True):
        judges, timers = Judges(judge), Timers(answer)
        request = Request("bench", ["topk_softmax"], [], "cpu", "smoke", [], 0, False)
        header = Header(FORMAT, VERSION, "", request, collect_environment())
        with Recorder(tmp_path / "run.json", header) as recorder:
            plan = [Run(case, timed) for case in CASES]
            book = Book(recorder, False, lambda *told: None, "draws")
            artifact = run_rounds(judges, timers, plan, ROUNDS, book)
        assert {job.draws for job in (*judges.asked, *timers.jobs)} == {"draws"}
        assert [job.timing for job in judges.asked] == [None] * len(CASES)
        return timers, artifact

    return run


def test_rounds_go_on_only_where_the_interval_is_wide_and_every_other_one_backwards(run):
    def answer(tokens, number):
        return reply(10.0, 10.0) if tokens == 1 else reply(10.0 + number * tokens, 10.0)

    pool, artifact = run(answer)
    assert pool.rounds == [[1, 2, 3], [3, 2, 1], [2, 3], [3, 2]]
    counts = [len(result.measurements[0].samples_us) for result in artifact.results]
    assert counts == [2, 4, 4]
    assert artifact.results[1].measurements[0].samples_us[3] == [16.0, 10.0]


def test_what_fails_or_has_nothing_to_hold_answers_against_is_not_timed(run):
    def judge(tokens):
        outcomes = {1: judged("fail", "why"), 2: judged("refused"), 3: judged(passed=())}
        return outcomes[tokens]

    pool, artifact = run(lambda *asked: reply(10.0), judge)
    assert pool.rounds == []
    assert [result.status for result in artifact.results] == ["fail", "refused", "pass"]


def test_what_has_no_timing_is_only_judged(run):
    pool, artifact = run(lambda *asked: reply(10.0), timed=False)
    assert pool.rounds == []
    assert [result.measurements for result in artifact.results] == [None, None, None]


def test_the_verdict_and_what_the_first_process_saw_are_kept_together(run):
    def answer(tokens, number):
        seen = ["symbol"] if number == 0 else []
        return msgspec.structs.replace(reply(10.0, 10.0), kernels=seen)

    _, artifact = run(answer)
    result = artifact.results[0]
    assert [check.name for check in result.checks] == ["weights", "after_timing"]
    assert result.kernels == ["symbol"]


def test_a_first_process_that_goes_wrong_says_so_with_all_it_checked(run):
    wrong = msgspec.structs.replace(
        reply(10.0, status="fail", reason="failed work_in_stream"),
        checks=[CheckRecord("work_in_stream", False, 1.0, 0.0)],
        findings=[Finding("work_in_stream", "weights", (0,), "late", "in time")],
    )
    pool, artifact = run(lambda tokens, number: wrong)
    result = artifact.results[0]
    assert (result.status, result.reason) == ("fail", "when timed: failed work_in_stream")
    assert [check.name for check in result.checks] == ["weights", "work_in_stream"]
    assert result.findings == wrong.findings
    assert pool.rounds == [[1, 2, 3]]


def test_one_process_that_goes_wrong_spoils_the_result_and_ends_its_rounds(run):
    def answer(tokens, number):
        if tokens == 2 and number == 1:
            return msgspec.structs.replace(
                reply(status="fail", reason="failed after_timing"),
                checks=[CheckRecord("after_timing", False, 1.0, 0.0, "wall warm")],
            )
        return reply(10.0, 11.0 + number)

    pool, artifact = run(answer)
    result = artifact.results[1]
    assert (result.status, result.reason) == ("fail", "in process 2: failed after_timing")
    assert [(check.name, check.ok) for check in result.checks] == [
        ("weights", True), ("after_timing", False),
    ]  # fmt: skip
    assert result.measurements[0].status == "invalid"
    assert 2 not in [tokens for later in pool.rounds[2:] for tokens in later]


def test_a_killed_run_has_the_newest_of_each_result_in_its_stream(run, tmp_path):
    seen = []

    def answer(tokens, number):
        if number == 1 and tokens == 1:
            seen.append(read_stream(tmp_path / "run.json")[1])
        return reply(10.0, 12.0)

    run(answer)
    counts = {r.case.sizes["T"]: len(r.measurements[0].samples_us) for r in seen[0]}
    assert counts == {1: 1, 2: 2, 3: 2}


def test_an_interrupted_run_keeps_what_is_done(run, tmp_path):
    def answer(tokens, number):
        if number == 1:
            raise KeyboardInterrupt
        return reply(10.0, 12.0)

    with pytest.raises(KeyboardInterrupt):
        run(answer)
    assert b'"complete":false' in Path(tmp_path / "run.json").read_bytes()


def test_the_first_processs_other_fields_stay():
    known = Run(CASES[0]).make_result(reply(10.0))
    known = msgspec.structs.replace(known, kernels=["symbol"], seconds=1.0)
    later = msgspec.structs.replace(known, kernels=[], seconds=2.0)
    merged = merge_results(known, later)
    assert (merged.kernels, merged.seconds) == (["symbol"], 3.0)


@pytest.mark.parametrize(
    ("samples", "settled"),
    [
        ([[10.0] * 5], False),
        ([[10.0] * 5] * 2, True),
        ([[10.0] * 5, [12.0] * 5], False),
        ([[10.0] * 5, [12.0] * 5] * 2, True),
    ],
)
def test_enough_is_a_narrow_interval_of_the_least_or_the_most_processes(samples, settled):
    measured = Measurement("wall", "warm", "ok", samples, [1] * len(samples))
    assert are_settled([measured], ROUNDS) is settled


def test_what_was_refused_asks_for_no_more():
    refused = Measurement("graph", "warm", "refused", [], [], reason="why")
    assert are_settled([refused], ROUNDS)


def test_efforts_grow():
    quick, default, rigorous = (EFFORTS[name] for name in ("quick", "default", "rigorous"))
    for less, more in ((quick, default), (default, rigorous)):
        assert less.most < more.most
        assert less.least < more.least
        assert less.effort.samples < more.effort.samples
