"""The commands that runs were made by, written anew from what their artifacts say of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rocmoe.ops.core.spec import list_pipelines
from rocmoe.profiles.artifact import Request
from rocmoe.profiles.reporting.document import Section
from rocmoe.profiles.reporting.sources import Run
from rocmoe.profiles.sanitize import split_order

#: Commands that judge suites, and those that time.
_JUDGING = ("validate", "sanitize")
_TIMING = ("bench", "compare")
#: Options that a command is told on one line with; the rest begin new ones.
_WIDTH = 100


def make_commands(runs: Sequence[Run]) -> Section:
    """A command for each run, those alike once."""
    told = dict.fromkeys(write_command(run.artifact.request) for run in runs)
    lead = (
        ("Paths of your own files are shortened.",) if any(".../" in each for each in told) else ()
    )
    return Section("reproduce", "Reproduce", lead, commands=tuple(told))


def write_command(request: Request) -> str:
    """The command line of a request, wrapped as a shell takes it.

    What no result depends on, such as the number of processes, is not in requests.
    """
    words = ["rocmoe", request.command, *_list_targets(request)]
    options = [*_list_backends(request), *_list_cases(request), *_list_rest(request)]
    lines = [shlex.join(words)]
    for option in (shlex.join(each) for each in options):
        if len(lines[-1]) + len(option) < _WIDTH:
            lines[-1] += f" {option}"
        else:
            lines.append(f"    {option}")
    return " \\\n".join(lines)


def _list_targets(request: Request) -> list[str]:
    """Ops; of assembly that is sanitized the file, which is all that its backend says."""
    if request.command == "sanitize" and not request.ops:
        named = (split_order(each)[0] for each in request.backends)
        return list(dict.fromkeys(each.partition(":")[2] for each in named))
    # All ops are what no op stands for, and models bring theirs.
    everything = request.command == "validate" and not request.backends and not request.cases
    shown = [] if request.models or (everything and len(request.ops) > 1) else request.ops
    return [op for op in shown if op not in list_pipelines()]


def _list_backends(request: Request) -> list[list[str]]:
    options = [["--pipeline", op] for op in request.ops if op in list_pipelines()]
    named = [
        split_order(each)[0] if request.command == "sanitize" else each for each in request.backends
    ]
    for backend in dict.fromkeys(named):
        kind, _, rest = backend.partition(":")
        if kind == "user":
            options.append(["--impl", rest])
        elif not (request.command == "sanitize" and kind == "assembly"):
            options.append(["--backend", backend])
    return [*options, *(["--backend", f"!{each}"] for each in request.disabled)]


def _list_cases(request: Request) -> list[list[str]]:
    options = [["--model", each] for each in request.models]
    if request.tokens:
        options.append(["--tokens", ",".join(map(str, request.tokens))])
    if not request.models:
        options += [["--case", each] for each in request.cases]
    return options


def _list_rest(request: Request) -> list[list[str]]:
    options = []
    if request.device:
        options.append(["--device", request.device])
    if request.command in _JUDGING and not request.cases:
        options.append(["--suite", request.suite])
    if request.command in _TIMING:
        options += [["--timer", each] for each in request.timers]
        options += [["--cache", each] for each in request.caches]
        options += [[f"--{request.effort}"]] if request.effort in ("quick", "rigorous") else []
    if request.seed:
        options.append(["--seed", str(request.seed)])
    if request.strict:
        options.append(["--strict"])
    if not request.guard:
        options.append(["--no-guard"])
    return options
