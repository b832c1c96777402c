"""Rounds of a benchmark: all cases again and again, each round in processes of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from rocmoe.profiles.artifact import Artifact, CheckRecord, Measurement, Result
from rocmoe.profiles.job import Job, Reply
from rocmoe.profiles.measuring.aftercheck import CHECK
from rocmoe.profiles.measuring.efforts import Rounds, are_settled
from rocmoe.profiles.measuring.measurement import invalidate, merge_measurements
from rocmoe.profiles.pool import Pool
from rocmoe.profiles.stream import Recorder
from rocmoe.profiles.validation import OnProgress


class TimedRun(Protocol):
    """One implementation on one case, that may be timed in several processes."""

    @property
    def key(self) -> tuple[str, str]: ...

    def make_job(self, strict: bool, passed: Sequence[tuple[int, str]] = ()) -> Job: ...

    def make_result(self, reply: Reply) -> Result: ...


def run_rounds(
    pool: Pool,
    plan: Sequence[TimedRun],
    strict: bool,
    rounds: Rounds,
    recorder: Recorder,
    on_progress: OnProgress,
) -> Artifact:
    """Run every plan's job in as many processes as it needs, and finish the recorder.

    A round goes over all that is not settled, every other one backwards, so that what drifts is
    shared.  What did not pass, or has nothing that is timed, is run once.
    """
    book = _Book(recorder)
    order = [run.key for run in plan]
    try:
        for number in range(rounds.most):
            todo = [run for run in plan if number == 0 or not book.is_settled(run.key, rounds)]
            if not todo:
                break
            if number % 2:
                todo.reverse()
            _run_round(pool, todo, strict, book, on_progress)
    except KeyboardInterrupt:
        recorder.finish(order, complete=False)
        raise
    return recorder.finish(order, complete=True)


def _run_round(
    pool: Pool, todo: Sequence[TimedRun], strict: bool, book: _Book, on_progress: OnProgress
) -> None:
    jobs = [run.make_job(strict, book.passed.get(run.key, ())) for run in todo]

    def keep(index: int, reply: Reply) -> Result:
        run = todo[index]
        return book.keep(run.key, run.make_result(reply), reply.passed)

    run_counted(pool, jobs, keep, on_progress)


def run_counted(
    pool: Pool,
    jobs: Sequence[Job],
    keep: Callable[[int, Reply], Result],
    on_progress: OnProgress,
) -> None:
    """Run jobs, and tell of each that is done: of what `keep` makes of its reply."""
    done = 0

    def count(index: int, reply: Reply) -> None:
        nonlocal done
        done += 1
        on_progress(keep(index, reply), done, len(jobs))

    pool.run(jobs, count)


class _Book:
    """What is known so far, by case and selector."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._results: dict[tuple[str, str], Result] = {}
        self.passed: dict[tuple[str, str], list[tuple[int, str]]] = {}

    def keep(self, key: tuple[str, str], result: Result, passed: list[tuple[int, str]]) -> Result:
        known = self._results.get(key)
        merged = result if known is None else merge_results(known, result)
        self._results[key] = merged
        self.passed[key] = passed
        self._recorder.put(merged)
        return merged

    def is_settled(self, key: tuple[str, str], rounds: Rounds) -> bool:
        result = self._results[key]
        return result.status != "pass" or are_settled(result.measurements or (), rounds)


def merge_results(known: Result, later: Result) -> Result:
    """A result with what another process found added: its samples, or what went wrong in it."""
    processes = 1 + max((len(each.samples_us) for each in known.measurements or ()), default=1)
    seconds = known.seconds + later.seconds
    if later.status != "pass":
        reason = f"in process {processes}: {later.reason}"
        spoilt = [invalidate(each, reason) for each in known.measurements or ()]
        return msgspec.structs.replace(
            known, status=later.status, reason=reason, checks=_replace_check(known, later),
            findings=later.findings, measurements=spoilt, seconds=seconds,
        )  # fmt: skip
    return msgspec.structs.replace(
        known, checks=_replace_check(known, later), seconds=seconds,
        measurements=_merge(known.measurements or [], later.measurements or []),
    )  # fmt: skip


def _merge(known: Sequence[Measurement], later: Sequence[Measurement]) -> list[Measurement]:
    found = {(each.timer, each.cache, each.stage): each for each in later}
    return [merge_measurements([each, found[each.timer, each.cache, each.stage]]) for each in known]


def _replace_check(known: Result, later: Result) -> list[CheckRecord]:
    """The checks of the first process, and of what the last timed calls answered the newest."""
    newest = [check for check in later.checks if check.name == CHECK]
    return [*(check for check in known.checks if not newest or check.name != CHECK), *newest]
