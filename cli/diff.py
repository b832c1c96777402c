"""`rocmoe diff`: what became wrong, slower or costlier from one run to another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import Annotator, OutputFormat, format_table

if TYPE_CHECKING:
    from rocmoe.profiles.comparing.diff import Diff

_FAIL_ON = "Of correctness, slower, counts, resources, ambiguous; default: the first three."
_ALLOW = "Compare although these differ: gpu, clocks, versions, host, variables, request."


def diff(
    base: Annotated[str, typer.Argument(metavar="BASE[#CASE[@BACKEND]]", help="An artifact.")],
    new: Annotated[str, typer.Argument(metavar="NEW[#CASE[@BACKEND]]", help="A later one.")],
    fail_on: Annotated[str | None, typer.Option(metavar="A,B,...", help=_FAIL_ON)] = None,
    allow: Annotated[str | None, typer.Option(metavar="A,B,...", help=_ALLOW)] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="What passed in BASE may be gone.")
    ] = False,
    count_tolerance: Annotated[
        float, typer.Option(min=0.0, metavar="PERCENT", help="By which counts may grow.")
    ] = 0.5,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML.")] = None,
    annotations: options.Annotations = None,
    annotate: Annotated[bool | None, typer.Option("--annotate/--no-annotate", hidden=True)] = None,
    every: Annotated[bool, typer.Option("--all", help="Also show what is unchanged.")] = False,
    form: options.Form = OutputFormat.table,
) -> None:
    """Compare two artifacts, result by result, and fail on what became worse.

    Exit codes: 0 no worse, 1 wrong or gone, 2 bad request, 3 slower or costlier, 4 inconclusive.
    """
    from rocmoe.profiles.comparing.diff import make_diff, make_gate, read_side
    from rocmoe.profiles.comparing.diff_junit import check_junit, write_diff_junit
    from rocmoe.profiles.comparing.diff_report import annotate_diff

    annotator = options.choose_annotator(annotations, annotate)
    gate = make_gate(fail_on, allow, allow_missing, count_tolerance)
    sides = read_side(base), read_side(new)
    if junit is not None:
        check_junit(junit, *sides)
    found = make_diff(*sides, gate)
    if junit is not None:
        write_diff_junit(found, junit)
    _show(found, form, every)
    if annotator is Annotator.github:
        # GitHub's runner reads stderr as well, and no file is made of it.
        for line in annotate_diff(found, os.environ.get("GITHUB_STEP_SUMMARY")):
            typer.echo(line, err=True)
    raise typer.Exit(found.exit)


def _show(diff: Diff, form: OutputFormat, every: bool) -> None:
    from rocmoe.profiles.comparing.diff_report import (
        COLUMNS,
        list_rows,
        render_markdown,
        tell_lines,
    )

    if form is OutputFormat.json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(diff), indent=1).decode())
    elif form is OutputFormat.markdown:
        typer.echo(render_markdown(diff, every=every))
    else:
        if rows := list_rows(diff, every=every):
            typer.echo(format_table(rows, COLUMNS, form) + "\n")
        typer.echo("\n".join(tell_lines(diff, every=every)))
