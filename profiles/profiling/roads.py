"""The two roads from an implementation that passed to its profile: rocprofv3, and torch's own."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Result, Status
from rocmoe.profiles.environment import hide_home
from rocmoe.profiles.hardware import Hardware
from rocmoe.profiles.job import Profiling, Reply
from rocmoe.profiles.measuring.rounds import run_counted
from rocmoe.profiles.pool import Pool
from rocmoe.profiles.profiling.calls import keep_calls
from rocmoe.profiles.profiling.child import build_child_command
from rocmoe.profiles.profiling.kernels import list_kernels
from rocmoe.profiles.profiling.perfetto import name_files, render_trace, write_trace_file
from rocmoe.profiles.profiling.reading import read_profile
from rocmoe.profiles.profiling.recording import Setting, make_record
from rocmoe.profiles.profiling.rocprof_csv import TOOL
from rocmoe.profiles.profiling.rocprofv3 import COMMAND, ProfileRun, ToolRun, profile_child
from rocmoe.profiles.profiling.rocprofv3_outcome import BY_ITSELF, CHILD_PREFIX
from rocmoe.profiles.profiling.rocprofv3_version import Rocprofv3
from rocmoe.profiles.profiling.trace import Trace
from rocmoe.profiles.tools import Machine
from rocmoe.profiles.validation import OnProgress, Planned

#: What becomes of a run's number and its reply: the result to tell of.
Keep = Callable[[int, Reply], Result]


@dataclass(frozen=True)
class Notes:
    """What to say of profiles: of all, and of those of an op by its name."""

    general: tuple[str, ...] = ()
    by_op: Mapping[str, str] = field(default_factory=dict)

    def list_for(self, op: str) -> list[str]:
        """The notes on the profile of an op."""
        return [*self.general, *([self.by_op[op]] if op in self.by_op else [])]


class Road(Protocol):
    """How what passed is profiled."""

    def profile(
        self, pool: Pool, runs: Sequence[Planned], keep: Keep, on_progress: OnProgress
    ) -> None:
        """Profile each run; `keep` is given the reply of each, and `on_progress` its result."""


@dataclass(frozen=True)
class TorchRoad:
    """torch's profiler, in workers.

    traces: the file that Chrome traces go to, or the start of their names; None for none.
    """

    calls: int
    hardware: Hardware | None = None
    traces: Path | None = None
    notes: Notes = Notes()

    def profile(
        self, pool: Pool, runs: Sequence[Planned], keep: Keep, on_progress: OnProgress
    ) -> None:
        files = name_files(self.traces, len(runs)) if self.traces and runs else []
        with tempfile.TemporaryDirectory(prefix="rocmoe-") as folder:
            exported = [Path(folder) / f"{number}.json" for number in range(len(runs))]
            jobs = [
                msgspec.structs.replace(
                    run.make_job(strict=False), timing=None, profiling=self._ask(run, path)
                )
                for run, path in zip(runs, exported, strict=True)
            ]

            def take(index: int, reply: Reply) -> Result:
                if files and reply.profile is not None:
                    write_trace_file(exported[index].read_bytes(), files[index])
                return keep(index, reply)

            run_counted(pool, jobs, take, on_progress)

    def _ask(self, run: Planned, path: Path) -> Profiling:
        name = self.hardware.name if self.hardware else None
        return Profiling(self.calls, str(path), name, self.notes.list_for(run.spec.name))


@dataclass(frozen=True)
class Rocprofv3Road:
    """rocprofv3 around processes of their own: one that is timed, and one a pass of counters.

    folder: gets a folder a run with all that the tool wrote.  passes: the counters of each.
    seconds: for each process.  machine: whose environment the processes get.
    """

    tool: Rocprofv3
    folder: Path
    calls: int
    passes: Sequence[Sequence[str]] = ()
    arch: str | None = None
    hardware: Hardware | None = None
    traces: Path | None = None
    notes: Notes = Notes()
    seconds: float = 300.0
    machine: Machine | None = None

    def profile(
        self, pool: Pool, runs: Sequence[Planned], keep: Keep, on_progress: OnProgress
    ) -> None:
        del pool  # rocprofv3 starts the processes
        files = name_files(self.traces, len(runs)) if self.traces and runs else []
        for number, run in enumerate(runs):
            start = time.perf_counter()
            reply = self._profile_one(run, number, files[number] if files else None)
            seconds = time.perf_counter() - start
            result = keep(number, msgspec.structs.replace(reply, seconds=seconds))
            on_progress(result, number + 1, len(runs))

    def _profile_one(self, run: Planned, number: int, trace_file: Path | None) -> Reply:
        command = build_child_command(run.case.id, run.selector, run.device, self.calls)
        folder = self.folder / f"{number + 1:03}"
        try:
            done = profile_child(
                self.tool, command, folder, passes=self.passes, timeout_seconds=self.seconds,
                machine=self.machine,
            )  # fmt: skip
            if failure := find_failure(done):
                return failure
            return self._read(run, done, trace_file)
        except RocmoeError as error:  # of what the tool wrote
            return Reply("error", f"{self.tool}: {error}")

    def _read(self, run: Planned, done: ProfileRun, trace_file: Path | None) -> Reply:
        trace, notes = _read_all(done, self.arch)
        found = keep_calls(trace, self.calls)
        if trace_file is not None:
            write_trace_file(render_trace(found.trace, found.outside), trace_file)
        setting = Setting(
            hardware=self.hardware,
            empty_us=found.empty_us,
            calls=self.calls,
            cost=run.spec.cost(run.case),
            version=str(self.tool).removeprefix(f"{TOOL} "),
            notes=(*self.notes.list_for(run.spec.name), *done.problems, *notes),
            commands=tuple(_tell_command(each) for each in done.runs),
        )
        return Reply("pass", profile=make_record(found.trace, list_kernels(found.trace), setting))


def _read_all(done: ProfileRun, arch: str | None) -> tuple[Trace, list[str]]:
    """What all runs left; times alone, with the reason, where the rest cannot be read."""
    try:
        return read_profile(done.folder, arch), []
    except RocmoeError as error:
        trace = read_profile(done.runs[0].folder, arch)
        return trace, [f"counters are left out: {error}"]


def _tell_command(run: ToolRun) -> tuple[str, ...]:
    """The command line of a run, without the folders of this machine."""
    line = shlex.split((run.folder / COMMAND).read_text(encoding="utf-8"))
    home, here = os.path.expanduser("~"), f"{run.folder.parent}{os.sep}"
    words = ["python" if word == sys.executable else word.removeprefix(here) for word in line[1:]]
    return (TOOL, *(hide_home(word, home) for word in words))


def find_failure(done: ProfileRun) -> Reply | None:
    """The reply for a run whose kernels could not be timed; None for one with something to read.

    It is an error where the program failed, and else `unavailable`, since the tool did.
    """
    timed = done.runs[0]
    if not timed.problems:
        return None
    status: Status = "unavailable"
    if timed.returncode is None:
        status = "timeout"
    elif CHILD_PREFIX in timed.stderr_tail or timed.problems[0].startswith(BY_ITSELF):
        status = "error"
    return Reply(status, "; ".join(timed.problems))
