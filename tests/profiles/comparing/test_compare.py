"""A comparison run: who is judged, who takes turns, for how long, and whose fault a crash is."""

import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import FORMAT, VERSION, CheckRecord, Header, Measurement, Request
from rocmoe.profiles.bench import BenchRun
from rocmoe.profiles.comparing.compare import _Match
from rocmoe.profiles.environment import collect_environment
from rocmoe.profiles.job import Reply, Timing
from rocmoe.profiles.measuring.efforts import Rounds
from rocmoe.profiles.measuring.rounds import Book
from rocmoe.profiles.stream import Recorder

SPEC = load_op("topk_softmax")
CASE = parse_case("topk_softmax:T=1,E=16,k=2:fp32:renormalize=true:normal:contiguous")
NAMES = ONE, OTHER, THIRD = "torch", "torch:other", "torch:third"
ROUNDS = Rounds(2, 4)


class Pool:
    """Judges everything right but `wrong`, and answers turns from `turns(round)`."""

    def __init__(self, turns, wrong=()):
        self.turns, self.wrong, self.duels = turns, wrong, []

    def run(self, jobs, on_result):
        for index, job in enumerate(jobs):
            if job.timing is None:
                status = "fail" if job.selector in self.wrong else "pass"
                checks = [CheckRecord("weights", True, 0.1, 1.0)]
                passed = [(0, f"judged {job.selector}")]
                on_result(index, Reply(status, checks=checks, passed=passed))
            else:
                assert job.timing.inspect == (not self.duels), "only the first looks what runs"
                self.duels.append((job.selectors, list(job.timing.passed)))
                on_result(index, self.turns(len(self.duels) - 1))


def take(*times):
    """A reply of a process in which all took turns, with a median for each."""
    return Reply("pass", turns=[
        Reply("pass", checks=[CheckRecord("after_timing", True, 0.0, 0.0)],
              measurements=[Measurement("wall", "warm", "ok", [[us, us, us]], [1])],
              passed=[(0, f"digest {us}")])
        for us in times
    ])  # fmt: skip


@pytest.fixture
def match(tmp_path):
    def match(turns, wrong=()):
        pool = Pool(turns, wrong)
        request = Request("compare", ["topk_softmax"], [*NAMES], "cpu", "smoke", [], 0, False)
        header = Header(FORMAT, VERSION, "", request, collect_environment())
        timing = Timing(["wall"], ["warm"])
        plan = [BenchRun(SPEC, CASE, name, "cpu", timing) for name in NAMES]
        with Recorder(tmp_path / "run.json", header) as recorder:
            book = Book(recorder, False, lambda *told: None)
            _Match(pool, pool, plan, book).play(ROUNDS)
            artifact = recorder.finish([run.key for run in plan], complete=True)
        return pool, {result.selector: result for result in artifact.results}

    return match


def test_all_that_passed_take_turns_until_nothing_is_ambiguous(match):
    pool, results = match(lambda number: take(10.0, 20.0, 10.0))
    assert [names for names, _ in pool.duels] == [NAMES] * ROUNDS.least
    assert [len(result.measurements[0].samples_us) for result in results.values()] == [2, 2, 2]
    assert [check.name for check in results[ONE].checks] == ["weights", "after_timing"]


def test_what_is_ambiguous_gets_more_processes_as_far_as_the_effort_goes(match):
    pool, _ = match(lambda number: take(10.0, 10.0 + number % 2, 10.0))
    assert len(pool.duels) == ROUNDS.most


def test_later_processes_are_told_what_passed_in_earlier_ones(match):
    pool, _ = match(lambda number: take(10.0, 20.0, 30.0))
    (_, first), (_, second) = pool.duels
    assert {word for _, word in first} == {f"judged {name}" for name in NAMES}
    assert {word for _, word in second} == {"digest 10.0", "digest 20.0", "digest 30.0"}


def test_what_is_wrong_takes_no_turn_and_one_alone_has_nobody_to_race(match):
    pool, results = match(lambda number: take(10.0, 20.0), wrong=(OTHER,))
    assert {names for names, _ in pool.duels} == {(ONE, THIRD)}
    assert results[OTHER].measurements is None
    pool, _ = match(lambda number: take(10.0), wrong=(OTHER, THIRD))
    assert pool.duels == []


def test_a_process_that_dies_is_the_fault_of_all_who_took_turns_in_it(match):
    died = Reply("crash", "the process died of SIGSEGV before it answered")
    pool, results = match(lambda number: died if number == 1 else take(10.0, 20.0, 30.0))
    assert len(pool.duels) == 2
    for result in results.values():
        assert result.status == "crash"
        assert f"as {', '.join(NAMES)} took turns: the process died of SIG" in result.reason
        assert {each.status for each in result.measurements} == {"invalid"}


def test_one_that_goes_wrong_in_its_turn_leaves_the_others_to_go_on(match):
    wrong = Reply("fail", "failed after_timing",
                  checks=[CheckRecord("after_timing", False, 1.0, 0.0)])  # fmt: skip

    def turns(number):
        if number == 0:
            good = take(10.0, 20.0, 30.0).turns
            return Reply("pass", turns=[good[0], wrong, good[2]])
        return take(10.0, 30.0)

    pool, results = match(turns)
    assert [names for names, _ in pool.duels] == [NAMES, (ONE, THIRD)]
    assert results[OTHER].status == "fail"
    assert len(results[THIRD].measurements[0].samples_us) == 2
