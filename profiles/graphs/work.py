"""The jobs of a run of graphs, and what their replies come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from rocmoe.profiles.artifact import Measurement, Result
from rocmoe.profiles.bench import BenchRun
from rocmoe.profiles.graphs.processes import compare_processes, is_captured, record_death
from rocmoe.profiles.graphs.record import (
    BRIEF,
    MATRIX,
    TIMED,
    GraphTask,
    GraphVerdict,
    Trial,
    add_trial,
)
from rocmoe.profiles.graphs.request import Options
from rocmoe.profiles.job import Job, Reply, Timing
from rocmoe.profiles.measuring.measurement import refuse_measurement
from rocmoe.profiles.pool import Pool
from rocmoe.profiles.stream import Recorder
from rocmoe.profiles.validation import OnProgress

#: What became of a process that the eager calls alone may be to blame for.
DIED = ("crash", "timeout", "error")


@dataclass(frozen=True)
class Task:
    """A job of a run, of process `process`; 0 is the one that makes all trials."""

    run: BenchRun
    process: int
    job: Job


class GraphWork:
    """The jobs of a run, and what is known so far."""

    def __init__(
        self,
        plan: Sequence[BenchRun],
        strict: bool,
        options: Options,
        recorder: Recorder,
        on_progress: OnProgress,
    ) -> None:
        self.order = [run.key for run in plan]
        self._plan, self._strict, self._options = plan, strict, options
        self._recorder, self._on_progress = recorder, on_progress
        self._results: dict[tuple[str, str], Result] = {}
        self._passed: dict[tuple[str, str], list[tuple[int, str]]] = {}
        self._done, self._planned = 0, len(plan) * (options.processes + 1)

    def try_all(self, pool: Pool) -> None:
        """All trials of everything, each process a new one, several at a time."""
        others: dict[tuple[str, str], dict[int, Reply]] = {run.key: {} for run in self._plan}

        def keep(task: Task, reply: Reply) -> Result:
            key = task.run.key
            if task.process:
                others[key][task.process] = reply
                return self._results.get(key, task.run.make_result(reply))
            self._passed[key] = reply.passed
            return self._put(key, task.run.make_result(reply))

        tasks = self._list_tasks()
        self._run(pool, tasks, keep, lambda task: not task.process or self._may_capture(task.run))
        self._follow_up(pool)
        for run in self._plan:
            replies = [reply for _, reply in sorted(others[run.key].items())]
            result = self._results[run.key]
            if result.graph is not None:
                trial = compare_processes(result.graph, replies)
                self._put(run.key, _with_trial(result, trial))

    def _list_tasks(self) -> list[Task]:
        """The first process of each run ahead of all further ones."""
        return [
            Task(run, process, self._make_job(run, process, number))
            for process in range(self._options.processes)
            for number, run in enumerate(self._plan)
        ]

    def _make_job(self, run: BenchRun, process: int, number: int) -> Job:
        dot = self._name_dot(number) if not process else None
        trials = [*(BRIEF if process else MATRIX)]
        task = GraphTask(trials, not process, self._options.replays, dot)
        return msgspec.structs.replace(run.make_job(self._strict), graph=task)

    def _name_dot(self, number: int) -> str | None:
        """A file for each run where there are several; absolute, for other processes."""
        dot = self._options.dot
        if dot is None:
            return None
        single = len(self._plan) == 1
        return str((dot if single else dot.with_stem(f"{dot.stem}-{number + 1}")).absolute())

    def _may_capture(self, run: BenchRun) -> bool:
        """Whether a further process may find out more; not where nothing was captured."""
        result = self._results.get(run.key)
        if result is None:
            return True
        return result.graph is not None and is_captured(result.graph)

    def _follow_up(self, pool: Pool) -> None:
        """Where the process of a run died, eager calls alone, to see who is to blame."""
        died = [run for run in self._plan if self._results[run.key].status in DIED]

        def keep(task: Task, reply: Reply) -> Result:
            before = self._results[task.run.key]
            result = task.run.make_result(reply)
            if reply.status == "pass":
                result = msgspec.structs.replace(result, graph=record_death(before.reason or ""))
            return self._put(task.run.key, result)

        self._planned += len(died)
        self._run(pool, [Task(run, 0, run.make_job(self._strict)) for run in died], keep)

    def time_all(self, pool: Pool) -> None:
        """Times of what passed, one after another; only what is safe is timed in a graph."""

        def keep(task: Task, reply: Reply) -> Result:
            result = self._results[task.run.key]
            assert result.graph is not None
            verdict = result.graph.verdict
            taken = _list_measurements(task.run.timing, verdict, reply)
            result = msgspec.structs.replace(result, measurements=taken, kernels=reply.kernels)
            if verdict == "safe":
                result = _with_trial(result, _judge_timed(reply))
            return self._put(task.run.key, result)

        runs = [run for run in self._plan if self._is_timed(run)]
        self._run(pool, [Task(run, 0, self._make_timed_job(run)) for run in runs], keep)

    def _is_timed(self, run: BenchRun) -> bool:
        result = self._results[run.key]
        right = result.status == "pass" and result.case.out_of_contract is None
        return right and result.graph is not None and run.timing is not None

    def _make_timed_job(self, run: BenchRun) -> Job:
        graph = self._results[run.key].graph
        assert graph is not None
        assert run.timing is not None
        timers = [each for each in run.timing.timers if each != "graph" or graph.verdict == "safe"]
        passed = self._passed.get(run.key, [])
        timing = msgspec.structs.replace(run.timing, timers=timers, passed=passed)
        return msgspec.structs.replace(run.make_job(self._strict), timing=timing)

    def _run(
        self,
        pool: Pool,
        tasks: Sequence[Task],
        keep: Callable[[Task, Reply], Result],
        wanted: Callable[[Task], bool] = lambda task: True,
    ) -> None:
        def take(index: int, reply: Reply) -> None:
            self._done += 1
            self._on_progress(keep(tasks[index], reply), self._done, self._planned)

        pool.run([task.job for task in tasks], take, lambda index: wanted(tasks[index]))

    def _put(self, key: tuple[str, str], result: Result) -> Result:
        self._results[key] = result
        self._recorder.put(result)
        return result


def _with_trial(result: Result, trial: Trial) -> Result:
    assert result.graph is not None
    return msgspec.structs.replace(result, graph=add_trial(result.graph, trial))


def _list_measurements(
    timing: Timing | None, verdict: GraphVerdict, reply: Reply
) -> list[Measurement]:
    """A measurement a timer, in the order asked for; refused where there is none."""
    assert timing is not None
    why = {"graph": f"not timed: the graph is {verdict}"} if verdict != "safe" else {}
    taken = list(reply.measurements or ())
    found: list[Measurement] = []
    for timer in timing.timers:
        mine = [each for each in taken if each.timer == timer]
        reason = why.get(timer, f"not timed: {reply.status}: {reply.reason}")
        found += mine or [refuse_measurement(timer, "warm", reason)]
    return found


def _judge_timed(reply: Reply) -> Trial:
    """Whether the answers of timed calls, replays among them, were right."""
    bad = [check for check in reply.checks if check.ok is False]
    if reply.status == "fail" and bad:
        return Trial(TIMED, False, "; ".join(f"{c.name}: {c.detail}" for c in bad), "wrong")
    if reply.status != "pass":
        return Trial(TIMED, None, f"not timed: {reply.status}: {reply.reason}")
    taken = reply.measurements or ()
    graphs = [each for each in taken if each.timer == "graph" and not each.stage]
    if refused := [each.reason or "" for each in graphs if each.status == "refused"]:
        return Trial(TIMED, False, refused[0], "refused")
    return Trial(TIMED, True, "answers of timed replays, and of replays behind them")
