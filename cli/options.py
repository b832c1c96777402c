"""Options that several commands share, as annotated types."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from rocmoe.cli.show import Annotator, OutputFormat

Impls = Annotated[
    list[str] | None,
    typer.Option("--impl", metavar="FILE.py:FUNC", help="A function of yours, like a backend."),
]
Backends = Annotated[
    list[str] | None,
    typer.Option("--backend", help="A backend; !NAME: all but it; none: all that are installed."),
]
Cases = Annotated[
    list[str] | None,
    typer.Option("--case", metavar="ID", help="A case; default: the op's first one over T or B."),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="NAME|FILE", help="A model, .toml profile or config.json: its shapes."
    ),
]
Pipelines = Annotated[
    list[str] | None,
    typer.Option("--pipeline", metavar="NAME", help="Ops as one composite: dflash-verify."),
]
Tokens = Annotated[
    str | None,
    typer.Option("--tokens", metavar="N,N,...", help="Tokens, or rows, of the cases."),
]
Sweeps = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep", metavar="NAME=V,V,...", help="Sizes, dtype, params ... to vary in the cases."
    ),
]
Timers = Annotated[
    list[str] | None,
    typer.Option(
        "--timer", help="graph, events, kernel, wall; default: graph, kernel, wall; cpu: wall."
    ),
]
Caches = Annotated[
    list[str] | None,
    typer.Option("--cache", help="warm (default), cold."),
]
Quick = Annotated[bool, typer.Option("--quick", help="Fewer samples and processes.")]
Rigorous = Annotated[bool, typer.Option("--rigorous", help="More samples and processes.")]
DeviceName = Annotated[
    str | None,
    typer.Option("--device", help="cpu, gpu, gpu:N or sim:ARCH (counts); default: gpu, else cpu."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Draw other inputs.")]
Strict = Annotated[bool, typer.Option("--strict", help="Judge strictly.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds a case may take.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="The artifact; default: in ./rocmoe-artifacts/."),
]
TableName = Annotated[
    str | None,
    typer.Option(
        "--table", help="list, model, or as posted: sglang, fused, flydsl, aiter, sampling."
    ),
]
Published = Annotated[
    bool, typer.Option("--published", help="Put published figures beside the run.")
]
Stored = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Measure nothing: the tables of an artifact."),
]
Plots = Annotated[
    list[Path] | None,
    typer.Option("--plot", metavar="FILE.png|.svg", help="Draw it; needs the extra `plot`."),
]
Calls = Annotated[int, typer.Option("--calls", min=1, help="Calls to look at, behind a warm-up.")]
ProfilerName = Annotated[str, typer.Option("--profiler", help="auto, rocprofv3 or torch.")]
Counters = Annotated[
    bool | None,
    typer.Option(
        "--counters/--no-counters", help="All counters, or none; default: what a diagnosis needs."
    ),
]
KernelName = Annotated[
    str | None,
    typer.Option("--kernel", metavar="NAME|REGEX", help="Show kernels with this in their name."),
]
HardwareName = Annotated[
    str | None,
    typer.Option("--hardware", help="The GPU whose peaks count, as mi300x; default: what it is."),
]
TraceFile = Annotated[
    Path | None,
    typer.Option("--trace", metavar="FILE.json", help="Also write a trace for Perfetto."),
]
Profiled = Annotated[
    Path | None,
    typer.Option(
        "--from", metavar="DIR|FILE", help="What rocprofv3, v2 or v1 wrote, or an artifact."
    ),
]
EmptyUs = Annotated[
    str | None,
    typer.Option("--empty", metavar="US", help="With --from DIR: us of an empty kernel there."),
]
Processes = Annotated[
    int, typer.Option("--processes", min=1, help="Fresh processes to capture in.")
]
Replays = Annotated[
    int, typer.Option("--replays", min=1, help="Replays of the trial of many replays.")
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Processes at a time, while none is timed.")
]
DotFile = Annotated[
    Path | None,
    typer.Option("--dot", metavar="FILE.dot", help="Also draw the graph; several: FILE-1.dot ..."),
]
GpuName = Annotated[str | None, typer.Option("--device", help="gpu (default) or gpu:N.")]
NoGuard = Annotated[
    bool,
    typer.Option("--no-guard", help="Also what a library would answer wrongly without a word."),
]
Annotations = Annotated[
    Annotator | None,
    typer.Option(
        "--annotations",
        help="For a change's page: on stderr, and the step summary; default: github where it runs.",
    ),
]
Form = Annotated[OutputFormat, typer.Option("--format", help="How to print.")]


def parse_tokens(text: str | None) -> list[int]:
    """Whole numbers of a list with commas; raises `RocmoeError` for another text."""
    from rocmoe.ops.core.errors import RocmoeError

    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    if strange := [word for word in words if not word.isdecimal()]:
        raise RocmoeError(f"--tokens {text}: found {strange[0]!r}, wanted whole numbers")
    return [int(word) for word in words]


def name_ops(ops: list[str] | None, pipelines: list[str] | None) -> list[str]:
    """The ops and pipelines asked for; raises `RocmoeError` for an unknown pipeline."""
    from rocmoe.ops.core.spec import load_pipeline

    return [*(ops or ()), *(load_pipeline(word).name for word in pipelines or ())]


def check_alone(option: str, *others: object) -> None:
    """Raise `RocmoeError` where an option that measures nothing comes with something to measure."""
    from rocmoe.ops.core.errors import RocmoeError

    if given := [each for each in others if each]:
        raise RocmoeError(f"{option} measures nothing, but found {given[0]} to measure; give one")


def choose_effort(quick: bool, rigorous: bool) -> str:
    """The name of an effort; raises `RocmoeError` where both are asked for."""
    from rocmoe.ops.core.errors import RocmoeError

    if quick and rigorous:
        raise RocmoeError("--quick and --rigorous contradict each other; give one")
    return "quick" if quick else "rigorous" if rigorous else "default"


def choose_annotator(chosen: Annotator | None, annotate: bool | None = None) -> Annotator:
    """Who is told: as chosen, else GitHub where its runner is.

    annotate: of the older --annotate and --no-annotate.  Raises `RocmoeError` for both.
    """
    from rocmoe.ops.core.errors import RocmoeError

    if annotate is not None:
        if chosen is not None:
            raise RocmoeError("--annotate is an older name of --annotations github; give one")
        return Annotator.github if annotate else Annotator.none
    here = os.environ.get("GITHUB_ACTIONS") == "true"
    return chosen or (Annotator.github if here else Annotator.none)
