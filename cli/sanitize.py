"""`rocmoe sanitize`: run a kernel in the simulator with everything watching."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, format_table, show_progress

if TYPE_CHECKING:
    from rocmoe.profiles.artifact import Artifact


def sanitize(
    target: Annotated[
        str,
        typer.Argument(
            metavar="OP|FILE", help="An op, assembly (.s), a code object, or a launch file (.toml)."
        ),
    ],
    launch: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="How the code of FILE is launched.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="sim:ARCH; default: the code's own, sim:gfx942 for an op.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="The implementation of OP; default: triton.")
    ] = None,
    impl: Annotated[
        str | None, typer.Option(metavar="FILE.py:FUNC", help="A function of yours instead.")
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A single case; default: a few small.")
    ] = None,
    suite: Annotated[str | None, typer.Option(help="smoke, quick or full.")] = None,
    orders: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Orders of waves; default: all four.")
    ] = None,
    checks: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Sanitizers; default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draw other inputs.")] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also want order, lowest index on ties, same bits.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs at a time.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a run may take.")] = 120.0,
    out: Annotated[
        Path | None, typer.Option(help="The artifact; default: in ./rocmoe-artifacts/.")
    ] = None,
    form: options.Form = OutputFormat.table,
) -> None:
    """Run a kernel in the simulator under all sanitizers and several orders of waves.

    Exit codes: 0 nothing found, 1 a finding, 2 bad request, 4 nothing ran, 130 interrupted.
    """
    from rocmoe.profiles.sanitize import Options, find_subject, run_sanitizers
    from rocmoe.profiles.sanitize_report import judge_sanitized
    from rocmoe.profiles.validation import Settings

    subject = find_subject(target, launch, backend, impl)
    listed = {"orders": orders, "checks": checks}
    chosen = {name: tuple(text.split(",")) for name, text in listed.items() if text is not None}
    options = Options(device, suite, tuple(case or ()), seed=seed, strict=strict, **chosen)
    with show_progress() as on_progress:
        artifact, path = run_sanitizers(subject, options, Settings(jobs, timeout, out), on_progress)
    _show(artifact, path, form)
    raise typer.Exit(judge_sanitized(artifact))


def _show(artifact: Artifact, path: Path, form: OutputFormat) -> None:
    from rocmoe.profiles import sanitize_report as report

    if form is OutputFormat.json:
        typer.echo(path.read_text(), nl=False)
        return
    typer.echo(format_table(report.summarize_orders(artifact), report.COLUMNS, form))
    fence = ["```"] if form is OutputFormat.markdown else []
    typer.echo("\n".join(report.tell_run(artifact, path, fence)))
