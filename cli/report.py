"""`rocmoe report`: what runs amount to, as a page to read and as the text of a pull request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    artifacts: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[ARTIFACT]...", help="Runs to report; default: that of --after."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A page; needs the extra `report`.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A pull request's text; default: printed.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Figures; needs the extra `plot`.")
    ] = None,
    max_chars: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Leave out the longest of the Markdown.")
    ] = None,
    before: Annotated[
        Path | None, typer.Option(metavar="A.json", help="An artifact from before a change.")
    ] = None,
    after: Annotated[Path | None, typer.Option(metavar="B.json", help="One from after it.")] = None,
    allow: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Compared all the same, as of `diff`.")
    ] = None,
    serving_before: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What sglang's serving benchmark printed or wrote."),
    ] = None,
    serving_after: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    accuracy_before: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What lm_eval printed or wrote.")
    ] = None,
    accuracy_after: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
) -> None:
    """Report runs: verdicts, what was not tested, every result, times over tokens beside floors,
    findings, the environment, and how to run them again; and what a change made of them.

    Exit codes: 0 written, 2 bad request, 5 machine failed.
    """
    from rocmoe.profiles.reporting.sources import Files, Pair
    from rocmoe.profiles.reporting.writing import Targets, write_report

    files = Files(
        artifacts or (),
        Pair("", before, after),
        Pair("serving-", serving_before, serving_after),
        Pair("accuracy-", accuracy_before, accuracy_after),
        allow,
    )
    written = write_report(files, Targets(html, markdown, png, max_chars))
    typer.echo(written.text, nl=False)
    for path in written.paths:
        typer.echo(f"report: {path}")
