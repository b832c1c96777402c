"""`rocmoe bundle`: a failure as a bundle that stands alone; making, running and showing one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, format_table, show_progress, show_run

bundle = typer.Typer(
    name="bundle",
    help="A failure with all that it takes to see it, without rocmoe; see docs/bundles.md.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_File = Annotated[Path, typer.Argument(metavar="FILE", help="A .tar.gz, or its folder.")]


@bundle.command("create")
def create(
    result: Annotated[
        str, typer.Argument(metavar="ARTIFACT[#CASE@BACKEND]", help="Default: the first failure.")
    ],
    out: Annotated[Path | None, typer.Option(help="The folder; the archive is beside it.")] = None,
    runs: Annotated[int, typer.Option(min=1, max=100, help="Times it is run again.")] = 3,
    timeout: options.Timeout = 120.0,
) -> None:
    """Run a failure again and write it with inputs, outputs, a repro.py and an issue.

    Exit codes: 0 written, 2 bad request, 4 written, but the failure did not show again.
    """
    from rocmoe.profiles.bundle.creation import create_bundle
    from rocmoe.profiles.bundle.report import tell_created

    created = create_bundle(result, out, runs, timeout)
    typer.echo("\n".join(tell_created(created)))
    raise typer.Exit(created.exit)


@bundle.command("run")
def run(
    file: _File,
    impl: Annotated[
        str | None, typer.Option(metavar="FILE.py:FUNC", help="Code that you want to be run.")
    ] = None,
    device: options.DeviceName = None,
    timeout: options.Timeout = 120.0,
    out: options.Out = None,
    form: options.Form = OutputFormat.table,
) -> None:
    """Verify a bundle and judge its kernel on its inputs; no code in it is run.

    Exit codes: 0 the bug does not show, 1 it shows, 2 refused or bad request, 4 nothing ran.
    """
    from rocmoe.profiles.bundle.replay import run_bundle
    from rocmoe.profiles.outcome import judge_run
    from rocmoe.profiles.validation import Settings

    settings = Settings(jobs=1, timeout=timeout, out=out)
    with show_progress() as on_progress:
        artifact, path = run_bundle(file, impl, device, settings, on_progress)
    show_run(artifact, path, form)
    raise typer.Exit(judge_run(artifact))


@bundle.command("show")
def show(file: _File) -> None:
    """Verify a bundle and tell what is in it, without unpacking it."""
    from rocmoe.profiles.bundle.report import COLUMNS, list_files, tell_bundle
    from rocmoe.profiles.bundle.verification import read_bundle

    found = read_bundle(file)
    table = format_table(list_files(found), COLUMNS, OutputFormat.table)
    typer.echo("\n".join([*tell_bundle(found), "", table]))
