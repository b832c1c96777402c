"""`rocmoe shrink`: the smallest case that still fails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, show_rows

if TYPE_CHECKING:
    from rocmoe.ops.core.case import Case


def shrink(
    result: Annotated[
        str,
        typer.Argument(
            metavar="ARTIFACT[#CASE[@BACKEND]]", help="A failing result; default: the first."
        ),
    ],
    seconds: Annotated[float, typer.Option(min=1.0, help="Try for so long.")] = 60.0,
    device: Annotated[str | None, typer.Option(help="Another device than where it failed.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Cases at a time; default: the cores, 1 on a GPU.")
    ] = None,
    out: options.Out = None,
    form: options.Form = OutputFormat.table,
) -> None:
    """Make a failing case as small and plain as can be, and write its artifact.

    Exit codes: 0 shrunk, or the smallest already; 2 bad request; 4 the failure is not seen again.
    """
    from rocmoe.profiles.shrinking.report import (
        COLUMNS,
        judge_shrunk,
        list_reductions,
        tell_shrunk,
    )
    from rocmoe.profiles.shrinking.shrink import read_target, run_shrink

    def on_step(what: str, case: Case, ran: int) -> None:
        print(f"{what}: {case.id[:200]} ({ran} tried)", file=sys.stderr)

    shrunk, artifact, path = run_shrink(read_target(result, device), seconds, out, jobs, on_step)
    if form is OutputFormat.json and path is not None:
        typer.echo(path.read_text(), nl=False)
    elif artifact is not None:
        show_rows(list_reductions(shrunk), COLUMNS, form)
    if form is not OutputFormat.json or artifact is None:
        typer.echo("\n".join(["", *tell_shrunk(shrunk, artifact, path, seconds)]).strip("\n"))
    raise typer.Exit(judge_shrunk(shrunk))
