"""A comparison run: implementations judged one by one, then timed in turns in one process."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Artifact, Request, Result
from rocmoe.profiles.bench import BenchRun, plan_bench, set_cases
from rocmoe.profiles.bench_cases import Shapes
from rocmoe.profiles.comparing.comparison import compare_results, list_comparisons
from rocmoe.profiles.job import Job, Reply, Timing
from rocmoe.profiles.measuring.efforts import Rounds, load_effort
from rocmoe.profiles.measuring.rounds import Book
from rocmoe.profiles.outcome import Exit, judge_run
from rocmoe.profiles.pool import Pool
from rocmoe.profiles.stream import Recorder
from rocmoe.profiles.validation import OnProgress, Settings, make_header, make_path, probe


@dataclass(frozen=True)
class Duel:
    """All that passed on one case, to be timed in turns."""

    runs: tuple[BenchRun, ...]
    timing: Timing

    def make_job(self, strict: bool, passed: Collection[tuple[int, str]], inspect: bool) -> Job:
        first, *others = (run.selector for run in self.runs)
        timing = msgspec.structs.replace(self.timing, passed=sorted(passed), inspect=inspect)
        case, device = self.runs[0].case.id, self.runs[0].device
        return Job(case, first, device, strict, timing=timing, against=others)


def run_comparison(
    request: Request, shapes: Shapes, settings: Settings, on_progress: OnProgress
) -> tuple[Artifact, Path]:
    """Judge everything of a request, time what passed in turns, and write the artifact.

    Processes are added until no ratio is ambiguous, as far as the effort goes.  Raises as
    `run_validation`, and `RocmoeError` where fewer than two backends would run.
    """
    path = settings.out or make_path(request.command)
    environment = probe(request)
    has_gpu = bool(environment.gpus)
    request = set_cases(request, shapes, has_gpu=has_gpu)
    plan = plan_bench(request, has_gpu)
    selectors = list(dict.fromkeys(run.selector for run in plan))
    if len(selectors) < 2:
        found = ", ".join(selectors) or "none"
        raise RocmoeError(f"two backends are needed to compare, found {found}: --backend, --impl")
    request = msgspec.structs.replace(request, backends=selectors)
    devices = {run.device for run in plan}
    with (
        Recorder(path, make_header(request, environment)) as recorder,
        settings.make_judging_pool(*devices) as judging,
        settings.make_pool(*devices) as timing,
        TemporaryDirectory(prefix="rocmoe-draws-") as draws,
    ):
        book = Book(recorder, request.strict, on_progress, draws)
        try:
            _Match(judging, timing, plan, book).play(load_effort(request.effort))
        except KeyboardInterrupt:
            recorder.finish([run.key for run in plan], complete=False)
            raise
        return recorder.finish([run.key for run in plan], complete=True), path


class _Match:
    """The rounds of a comparison."""

    def __init__(self, judging: Pool, timing: Pool, plan: Sequence[BenchRun], book: Book) -> None:
        self._judging, self._timing = judging, timing
        self._plan, self._book = plan, book

    def play(self, rounds: Rounds) -> None:
        """Judge everything, and time in turns on the cases on which at least two passed."""
        self._book.judge(self._judging, self._plan)
        for number in range(rounds.most):
            duels = [duel for duel in self._list_duels() if not self._is_settled(duel, rounds)]
            if not duels:
                return
            self._time_round(duels[::-1] if number % 2 else duels, first=number == 0)

    def _list_duels(self) -> list[Duel]:
        by_case: dict[str, list[BenchRun]] = {}
        for run in self._plan:
            if self._book.is_timed(run.key) and run.timing is not None:
                by_case.setdefault(run.case.id, []).append(run)
        return [
            Duel(tuple(runs), runs[0].timing)
            for runs in by_case.values()
            if len(runs) > 1 and runs[0].timing is not None
        ]

    def _is_settled(self, duel: Duel, rounds: Rounds) -> bool:
        results = [self._book.results[run.key] for run in duel.runs]
        processes = max(
            (len(each.samples_us) for result in results for each in result.measurements or ()),
            default=0,
        )
        tried = all(result.measurements for result in results)
        if (tried and not processes) or processes >= rounds.most:
            return True
        compared = compare_results(results)
        return processes >= rounds.least and all(each.verdict != "AMBIGUOUS" for each in compared)

    def _time_round(self, duels: Sequence[Duel], *, first: bool) -> None:
        book = self._book
        jobs = [
            duel.make_job(
                book.strict, {each for run in duel.runs for each in book.passed[run.key]}, first
            )
            for duel in duels
        ]

        def keep(index: int, reply: Reply) -> Result:
            return self._keep_turns(duels[index], reply)

        book.run(self._timing, jobs, keep)

    def _keep_turns(self, duel: Duel, reply: Reply) -> Result:
        """The first run's result, of a reply a run.

        Where a call raised or the process died, nobody knows whose fault it was: it is everybody's.
        """
        if not reply.turns:
            names = ", ".join(run.selector for run in duel.runs)
            reply = msgspec.structs.replace(reply, reason=f"as {names} took turns: {reply.reason}")
        turns = reply.turns or [reply] * len(duel.runs)
        kept = [self._book.add(run, turn) for run, turn in zip(duel.runs, turns, strict=True)]
        return kept[0]


def judge_comparison(artifact: Artifact) -> Exit:
    """As a validation; and 4 where nothing was compared, or nothing could be told apart or called
    the same."""
    outcome = judge_run(artifact)
    if outcome is not Exit.PASSED:
        return outcome
    compared = list_comparisons(artifact)
    answered = [each for each in compared if each.verdict != "AMBIGUOUS"]
    return Exit.PASSED if answered else Exit.INCONCLUSIVE
