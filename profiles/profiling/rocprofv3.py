"""Runs a program under rocprofv3: once for times, and once more for each pass of counters.

Counters are never collected in the run that is timed: collecting them makes kernels run one after
another, and slower.  A pass is a run of its own, so that a pass that the hardware cannot take costs
no other.  The format is always named, because the default changed with ROCm 7.0, and `%pid%` is
always in the name, because processes that share one overwrite each other's files.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.rocprofv3_outcome import Ended, explain, find_last_lines
from rocmoe.profiles.profiling.rocprofv3_version import Rocprofv3
from rocmoe.profiles.tools import Machine

#: JSON beside CSV: only there are the bytes of LDS that a dispatch asked for, from ROCm 7.0 on.
OUTPUT = ("--output-format", "csv", "json")
PREFIX = "rocmoe"
TIMES = "times"
#: The command line of a run, in its folder.
COMMAND = "command.txt"
#: What is read of a standard error, from its end.
STDERR_BYTES = 1 << 20
#: A killed process is gone within this, unless the kernel driver holds it.
END_SECONDS = 10.0
#: `PREFIX_PID_KIND.csv`; of results and the configuration the ending belongs to the kind.
_FILE = re.compile(
    r"(?:.*_)?(?P<kind>agent_info|counter_collection|domain_stats"
    r"|(?:kernel|(?:hip|hsa|marker|rccl)_api|memory_(?:copy|allocation)|scratch_memory)"
    r"_(?:trace|stats))\.csv"
    r"|(?:.*_)?(?P<whole>results\.(?:json|db|pftrace|otf2)|config\.json)"
)

Files = Mapping[str, tuple[Path, ...]]


@dataclass(frozen=True)
class ToolRun:
    """One run of the tool.

    name: `times` or `pass_N`, also of its folder.  counters: asked for, none where it timed.
    returncode: of the program; negative for a signal, None where it was killed for its time.
    files: as of `list_files`.  problems: a line each, with the fix.
    """

    name: str
    folder: Path
    counters: tuple[str, ...]
    returncode: int | None
    files: Files
    stderr_tail: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class ProfileRun:
    """All runs of one program: the one that timed it, and one a pass of counters."""

    folder: Path
    runs: tuple[ToolRun, ...]

    @property
    def returncode(self) -> int | None:
        """Of the first run that did not end well, else 0."""
        return next((run.returncode for run in self.runs if run.returncode != 0), 0)

    @property
    def files(self) -> Files:
        """What all runs wrote, by kind, in the order of the runs."""
        kinds = dict.fromkeys(kind for run in self.runs for kind in run.files)
        return {kind: tuple(p for r in self.runs for p in r.files.get(kind, ())) for kind in kinds}

    @property
    def stderr_tail(self) -> str:
        """Of the first run with a problem, else of the last."""
        return next((run for run in self.runs if run.problems), self.runs[-1]).stderr_tail

    @property
    def problems(self) -> list[str]:
        """What went wrong, a line each: `RUN: what; fix`."""
        return [f"{run.name}: {problem}" for run in self.runs for problem in run.problems]


def profile_child(
    tool: Rocprofv3,
    command: Sequence[str],
    folder: Path,
    *,
    passes: Sequence[Sequence[str]] = (),
    timeout_seconds: float,
    machine: Machine | None = None,
    on_run: Callable[[str], None] = lambda name: None,
) -> ProfileRun:
    """Run a program under the tool, timed first and then once a pass of counters.

    folder: gets a folder a run; those must not be there yet.  passes: the counters of each.
    timeout_seconds: for each run, which is killed then with all that it started.  machine: whose
    environment the program gets.  on_run: told the name of each run before it starts.

    Where the timed run has a problem there are no passes: they would have the same.  What goes
    wrong is in the result's `problems`.  Raises `RocmoeError` for a request that cannot be run.
    """
    here = machine or Machine()
    folder = folder.resolve()  # the tool looks for it at the end, when the program may have moved
    if shutil.which(command[0], path=here.environ.get("PATH")) is None:
        raise RocmoeError(f"no program {command[0]!r} to profile; give one that is on PATH")
    asked = [(TIMES, ()), *((f"pass_{n}", tuple(names)) for n, names in enumerate(passes, 1))]
    for name, counters in asked:
        if name != TIMES and not counters:
            raise RocmoeError(f"{name} has no counters; name some, or leave it out")
        if (folder / name).exists():
            raise RocmoeError(f"{folder / name} is there already; name a new folder")
    runs: list[ToolRun] = []
    for name, counters in asked:
        on_run(name)
        runs.append(_run(tool, command, folder / name, counters, timeout_seconds, here))
        if name == TIMES and runs[0].problems:
            break
    return ProfileRun(folder, tuple(runs))


def build_command(
    tool: Rocprofv3, command: Sequence[str], folder: Path, counters: Sequence[str] = ()
) -> list[str]:
    """The command line for the tool's version, which writes below a folder.

    Before ROCm 6.3 counters cannot be named on it: they are in a `counters.txt` that is written
    into the folder.
    """
    if not counters:
        asked = ["--kernel-trace", "--marker-trace", "--stats"]
    elif tool.takes_pmc:
        asked = ["--pmc", *counters]
    else:
        # As text, not as JSON: the readers look at every JSON file in the folder.
        path = folder / "counters.txt"
        path.write_text(f"pmc: {' '.join(counters)}\n", encoding="utf-8")
        asked = ["-i", str(path)]
    where = ["-d", str(folder), "-o", f"{PREFIX}_%pid%"]
    return [str(tool.path), *asked, *OUTPUT, *where, "--", *command]


def list_files(folder: Path) -> dict[str, tuple[Path, ...]]:
    """What rocprofv3 wrote anywhere below a folder, by kind; of several processes, several files.

    Kinds are as the tool names them: `kernel_trace`, `kernel_stats`, `counter_collection`,
    `agent_info`, `marker_api_trace` ... for CSV; `results.json`, `results.db`, `config.json`.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (match := _FILE.fullmatch(path.name)):
            found.setdefault(match["kind"] or match["whole"], []).append(path)
    return {kind: tuple(paths) for kind, paths in found.items()}


def _run(
    tool: Rocprofv3,
    command: Sequence[str],
    folder: Path,
    counters: tuple[str, ...],
    seconds: float,
    machine: Machine,
) -> ToolRun:
    folder.mkdir(parents=True)
    line = build_command(tool, command, folder, counters)
    (folder / COMMAND).write_text(shlex.join(line) + "\n", encoding="utf-8")
    code = _wait_for(line, folder, seconds, machine.environ)
    stderr = _read_end(folder / "stderr.txt")
    files = list_files(folder)
    ended = Ended(command, counters, code, seconds, stderr, files)
    told = tuple(explain(tool, ended, machine))
    return ToolRun(folder.name, folder, counters, code, files, find_last_lines(stderr), told)


def _wait_for(
    line: Sequence[str], folder: Path, seconds: float, environ: Mapping[str, str]
) -> int | None:
    """The exit status of a command, whose output goes to files; None where its time ran out.

    Not to pipes: the tool's buffers are torn down wrongly behind one.
    """
    with (folder / "stdout.txt").open("wb") as out, (folder / "stderr.txt").open("wb") as err:
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=dict(environ),
            start_new_session=True,
        )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        # The whole group, whatever happened: what the program started would go on using the GPU
        # beside the next run.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # A process that the kernel driver holds cannot be waited for.
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)


def _read_end(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - STDERR_BYTES, 0))
        return file.read().decode("utf-8", "replace")
