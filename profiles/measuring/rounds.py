"""Rounds of a benchmark: all cases judged, then timed again and again in fresh processes."""

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
    """One implementation on one case, that is judged and may then be timed in several processes."""

    @property
    def key(self) -> tuple[str, str]: ...

    def make_job(self, strict: bool) -> Job:
        """The job that only judges."""

    def make_timing_job(
        self, strict: bool, passed: Sequence[tuple[int, str]], inspect: bool
    ) -> Job | None:
        """The job of one process that times, of answers known to be right; None for no timing."""

    def make_result(self, reply: Reply) -> Result: ...


class Book:
    """What is known so far, by case and selector.

    draws: a folder for inputs, which all processes share.
    """

    def __init__(
        self, recorder: Recorder, strict: bool, on_progress: OnProgress, draws: str = ""
    ) -> None:
        self.recorder, self.strict = recorder, strict
        self._on_progress, self._draws = on_progress, draws
        self.results: dict[tuple[str, str], Result] = {}
        self.passed: dict[tuple[str, str], list[tuple[int, str]]] = {}

    def judge(self, pool: Pool, plan: Sequence[TimedRun]) -> None:
        """Put down the verdict on everything."""
        jobs = [run.make_job(self.strict) for run in plan]

        def keep(index: int, reply: Reply) -> Result:
            key = plan[index].key
            self.passed[key] = reply.passed
            return self.put(key, plan[index].make_result(reply))

        self.run(pool, jobs, keep)

    def run(self, pool: Pool, jobs: Sequence[Job], keep: Callable[[int, Reply], Result]) -> None:
        """Run jobs, which share inputs; see `run_counted`."""
        sharing = [msgspec.structs.replace(job, draws=self._draws) for job in jobs]
        run_counted(pool, sharing, keep, self._on_progress)

    def is_timed(self, key: tuple[str, str]) -> bool:
        """Whether it passed, with answers that those of timed calls can be held against."""
        return self.results[key].status == "pass" and bool(self.passed[key])

    def add(self, run: TimedRun, reply: Reply) -> Result:
        """Add what a process that timed found."""
        result, known = run.make_result(reply), self.results[run.key]
        if reply.passed:
            self.passed[run.key] = reply.passed
        begin = known.measurements is None
        return self.put(run.key, _begin(known, result) if begin else merge_results(known, result))

    def put(self, key: tuple[str, str], result: Result) -> Result:
        self.results[key] = result
        self.recorder.put(result)
        return result


def run_rounds(
    judging: Pool, timing: Pool, plan: Sequence[TimedRun], rounds: Rounds, book: Book
) -> Artifact:
    """Judge everything, time what passed in as many processes as it needs, and finish the recorder.

    A round goes over all that is not settled, every other one backwards, so that what drifts is
    shared.  What did not pass, or has nothing that is timed, is in none.
    """
    order = [run.key for run in plan]
    try:
        book.judge(judging, plan)
        for number in range(rounds.most):
            todo = [run for run in plan if not _is_settled(run, book, rounds)]
            _time_round(timing, todo[::-1] if number % 2 else todo, book, first=number == 0)
    except KeyboardInterrupt:
        book.recorder.finish(order, complete=False)
        raise
    return book.recorder.finish(order, complete=True)


def _is_settled(run: TimedRun, book: Book, rounds: Rounds) -> bool:
    measured = book.results[run.key].measurements
    return not book.is_timed(run.key) or (measured is not None and are_settled(measured, rounds))


def _time_round(pool: Pool, todo: Sequence[TimedRun], book: Book, *, first: bool) -> None:
    made = [(run, run.make_timing_job(book.strict, book.passed[run.key], first)) for run in todo]
    jobs = [(run, job) for run, job in made if job is not None]

    def keep(index: int, reply: Reply) -> Result:
        return book.add(jobs[index][0], reply)

    book.run(pool, [job for _, job in jobs], keep)


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


def _begin(judged: Result, timed: Result) -> Result:
    """A result that was judged, with what the first process that timed it found."""
    reason = None if timed.status == "pass" else f"when timed: {timed.reason}"
    return msgspec.structs.replace(
        judged, status=timed.status, reason=reason, checks=[*judged.checks, *timed.checks],
        findings=[*judged.findings, *timed.findings], measurements=timed.measurements,
        kernels=timed.kernels, seconds=judged.seconds + timed.seconds,
    )  # fmt: skip


def merge_results(known: Result, later: Result) -> Result:
    """A result with what another process found added: its samples, or what went wrong in it."""
    processes = 1 + max((len(each.samples_us) for each in known.measurements or ()), default=0)
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
