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
from rocmoe.profiles.job import Reply
from rocmoe.profiles.measuring.efforts import EFFORTS, Rounds, are_settled
from rocmoe.profiles.measuring.rounds import merge_results, run_rounds
from rocmoe.profiles.stream import Recorder, read_stream

SPEC = load_op("topk_softmax")
CASES = [
    parse_case(f"topk_softmax:T={tokens},E=16,k=2:fp32:renormalize=true:normal:contiguous")
    for tokens in (1, 2, 3)
]
ROUNDS = Rounds(2, 4)


class Run:
    """A plan's entry, whose jobs are itself and what it is told of earlier processes."""

    def __init__(self, case):
        self.case = case
        self.key = (case.id, "torch")

    def make_job(self, strict, passed=()):
        return self, list(passed)

    def make_result(self, reply):
        return Result(
            record_case(SPEC, self.case), "torch", "default", "cpu", reply.status,
            reason=reply.reason, checks=reply.checks, measurements=reply.measurements,
        )  # fmt: skip


class Pool:
    """Answers jobs from a function of the case and of how many processes it had."""

    def __init__(self, answer):
        self.answer, self.seen, self.rounds = answer, {}, []

    def run(self, jobs, on_result):
        self.rounds.append([run.case.sizes["T"] for run, _ in jobs])
        for index, (run, passed) in enumerate(jobs):
            number = self.seen.get(run.key, 0)
            self.seen[run.key] = number + 1
            assert bool(passed) == (number > 0), "a later process is told what passed"
            on_result(index, self.answer(run.case.sizes["T"], number))


def reply(*samples, status="pass", reason=None):
    taken = [Measurement("wall", "warm", "ok", [[*samples]], [1])] if samples else None
    checks = [CheckRecord("weights", True, 0.2, 1.0), CheckRecord("after_timing", True, 0.0, 0.0)]
    return Reply(status, reason, checks=checks, measurements=taken, passed=[(0, "digest")])


@pytest.fixture
def run(tmp_path):
    def run(answer, rounds=ROUNDS):
        pool = Pool(answer)
        request = Request("bench", ["topk_softmax"], [], "cpu", "smoke", [], 0, False)
        header = Header(FORMAT, VERSION, "", request, collect_environment())
        with Recorder(tmp_path / "run.json", header) as recorder:
            plan = [Run(case) for case in CASES]
            artifact = run_rounds(pool, plan, False, rounds, recorder, lambda *told: None)
        return pool, artifact

    return run


def test_rounds_go_on_only_where_the_interval_is_wide_and_every_other_one_backwards(run):
    def answer(tokens, number):
        return reply(10.0, 10.0) if tokens == 1 else reply(10.0 + number * tokens, 10.0)

    pool, artifact = run(answer)
    assert pool.rounds == [[1, 2, 3], [3, 2, 1], [2, 3], [3, 2]]
    counts = [len(result.measurements[0].samples_us) for result in artifact.results]
    assert counts == [2, 4, 4]
    assert artifact.results[1].measurements[0].samples_us[3] == [16.0, 10.0]


def test_what_fails_or_has_nothing_to_time_is_run_once(run):
    def answer(tokens, number):
        return {1: reply(status="fail", reason="why"), 2: reply(status="refused"), 3: reply()}[
            tokens
        ]

    pool, artifact = run(answer)
    assert pool.rounds == [[1, 2, 3]]
    assert [result.status for result in artifact.results] == ["fail", "refused", "pass"]


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
