"""`rocmoe bench`: judge implementations, then time what passed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rocmoe.cli.show import OutputFormat, format_table, show_progress

if TYPE_CHECKING:
    from rocmoe.profiles.artifact import Artifact


def bench(
    ops: Annotated[list[str], typer.Argument(metavar="OP...", help="Ops to time.")],
    backend: Annotated[
        list[str] | None, typer.Option(help="A backend to time; none means all installed.")
    ] = None,
    impl: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE.py:FUNC", help="A function of yours, timed like a backend."),
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A case; default: one over T or B.")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=V,V,...", help="Sizes, dtype, params ... to vary in the case."),
    ] = None,
    timer: Annotated[
        list[str] | None,
        typer.Option(help="graph, events, kernel, wall; default: graph, kernel, wall; cpu: wall."),
    ] = None,
    cache: Annotated[list[str] | None, typer.Option(help="warm (default), cold.")] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, gpu or gpu:N; default: gpu, else cpu.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draw other inputs.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Judge strictly.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a case may take.")] = 300.0,
    out: Annotated[
        Path | None, typer.Option(help="The artifact; default: in ./rocmoe-artifacts/.")
    ] = None,
    form: Annotated[OutputFormat, typer.Option("--format", help="How to print.")] = (
        OutputFormat.table
    ),
) -> None:
    """Judge implementations on each case, time those that pass, and write a JSON artifact.

    Exit codes: 0 measured, 1 failed, 2 bad request, 4 not all measured or faster than possible, 5
    machine failed, 130 interrupted.
    """
    from rocmoe.profiles.bench import judge_bench, make_bench_request, run_bench
    from rocmoe.profiles.validation import Settings

    request = make_bench_request(
        ops, backend or (), impl or (), device=device, cases=case or (), sweep=sweep or (),
        timers=timer or (), caches=cache or ("warm",), seed=seed, strict=strict,
    )  # fmt: skip
    # One at a time: cases that run beside each other slow each other down.
    with show_progress() as on_progress:
        artifact, path = run_bench(request, Settings(1, timeout, out), on_progress)
    _show(artifact, path, form)
    raise typer.Exit(judge_bench(artifact))


def _show(artifact: Artifact, path: Path, form: OutputFormat) -> None:
    from rocmoe.profiles import bench_report as report
    from rocmoe.profiles.bench import judge_bench
    from rocmoe.profiles.outcome import list_gaps
    from rocmoe.profiles.report import tell_failures

    if form is OutputFormat.json:
        typer.echo(path.read_text(), nl=False)
        return
    typer.echo(format_table(report.list_rows(artifact), report.list_columns(artifact), form))
    gaps = [*report.tell_measurements(artifact), *list_gaps(artifact)]
    told = [tell_failures(artifact), ["Not tested:", *(f"- {gap}" for gap in gaps)]]
    typer.echo("\n".join(line for lines in told if lines for line in ["", *lines]))
    outcome = judge_bench(artifact)
    typer.echo(f"\n{outcome.name.lower()} (exit {int(outcome)}); artifact: {path}")
