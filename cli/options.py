"""Options that several commands share, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rocmoe.cli.show import OutputFormat

Impls = Annotated[
    list[str] | None,
    typer.Option("--impl", metavar="FILE.py:FUNC", help="A function of yours, like a backend."),
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
