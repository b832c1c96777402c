"""How things are shown: tables in three formats, and the progress of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rocmoe.profiles.artifact import Artifact, Result
    from rocmoe.profiles.outcome import Exit
    from rocmoe.profiles.tables.table import Table
    from rocmoe.profiles.validation import OnProgress

#: Results between two lines of progress where there is no terminal.
LINE_EVERY = 50


class OutputFormat(str, Enum):
    """How a command prints its answer."""

    table = "table"
    json = "json"
    markdown = "markdown"


class Annotator(str, Enum):
    """Whose page a run is told on, beside what it prints."""

    github = "github"
    none = "none"


def format_table(
    rows: Sequence[Sequence[str]],
    columns: Sequence[str],
    form: OutputFormat,
    wrap: int | None = None,
) -> str:
    """Rows as a table to read, its cells wrapped at `wrap` characters, or as Markdown."""
    from tabulate import tabulate

    style = "github" if form is OutputFormat.markdown else "simple"
    width = None if form is OutputFormat.markdown else wrap
    return str(tabulate(rows, columns, tablefmt=style, disable_numparse=True, maxcolwidths=width))


def show_rows(
    rows: Sequence[Sequence[str]],
    columns: Sequence[str],
    form: OutputFormat,
    wrap: int | None = None,
) -> None:
    """Print rows as a table, as Markdown, or as a JSON list of objects."""
    if form is OutputFormat.json:
        import msgspec

        objects = [dict(zip(columns, row, strict=True)) for row in rows]
        typer.echo(msgspec.json.format(msgspec.json.encode(objects), indent=1).decode())
    else:
        typer.echo(format_table(rows, columns, form, wrap))


def show_run(
    artifact: Artifact, path: Path, form: OutputFormat, excesses: Sequence[str] = ()
) -> None:
    """Print a run: its table, its failures, what was not tested, and where it was written.

    excesses: lines on what is over a budget.
    """
    from rocmoe.profiles.outcome import judge_run, list_gaps
    from rocmoe.profiles.report import COLUMNS, summarize, tell_failures

    if form is OutputFormat.json:
        typer.echo(path.read_text(), nl=False)
        return
    typer.echo(format_table(summarize(artifact), COLUMNS, form))
    fence = ["```"] if form is OutputFormat.markdown else []
    if failures := tell_failures(artifact):
        typer.echo("\n".join(["", *fence, *failures, *fence]))
    if excesses:
        typer.echo("\n".join(["", "Over budget:", *(f"- {line}" for line in excesses)]))
    typer.echo("\n".join(["", "Not tested:", *(f"- {gap}" for gap in list_gaps(artifact))]))
    outcome = judge_run(artifact, excesses)
    typer.echo(f"\n{outcome.name.lower()} (exit {int(outcome)}); artifact: {path}")


def show_annotations(
    annotator: Annotator, artifact: Artifact, excesses: Sequence[str] = ()
) -> None:
    """Tell GitHub's runner, which reads stderr as well, and write its step summary."""
    if annotator is Annotator.none:
        return
    from rocmoe.profiles.run_annotations import annotate_run

    for line in annotate_run(artifact, excesses, os.environ.get("GITHUB_STEP_SUMMARY")):
        typer.echo(line, err=True)


def show_tables(
    artifact: Artifact,
    path: Path,
    form: OutputFormat,
    list_tables: Callable[[Artifact], Sequence[Table]],
    outcome: Exit | None = None,
) -> None:
    """Print a run of measurements: its tables, its failures, what was not measured, the outcome if
    it just ended."""
    from rocmoe.profiles.bench_report import tell_measurements
    from rocmoe.profiles.outcome import list_gaps
    from rocmoe.profiles.report import tell_failures

    if form is OutputFormat.json:
        typer.echo(path.read_text(), nl=False)
        return
    show_documents(list_tables(artifact), form)
    gaps = [*tell_measurements(artifact), *list_gaps(artifact)]
    told = [*tell_failures(artifact), "", "Not tested:", *(f"- {gap}" for gap in gaps)]
    typer.echo("\n".join(told).strip("\n"))
    if outcome is not None:
        typer.echo(f"\n{outcome.name.lower()} (exit {int(outcome)}); artifact: {path}")


def show_documents(tables: Sequence[Table], form: OutputFormat) -> None:
    """Print tables with their titles and what follows them; as JSON a list of objects."""
    if form is OutputFormat.json:
        import msgspec

        objects = [
            {
                "title": table.title,
                "rows": [dict(zip(table.columns, row, strict=True)) for row in table.rows],
                "notes": [*table.summary, *table.notes],
            }
            for table in tables
        ]
        typer.echo(msgspec.json.format(msgspec.json.encode(objects), indent=1).decode())
        return
    # In Markdown a line behind a table without a blank one is another row of it.
    gap = [""] if form is OutputFormat.markdown else []
    for table in tables:
        title = [table.title, *gap] if table.title else []
        told = [line for line in (*table.summary, *table.notes) if line]
        shown = [*title, format_table(table.rows, table.columns, form), *(gap if told else [])]
        typer.echo("\n".join([*shown, *told, ""]))


@contextmanager
def show_progress() -> Iterator[OnProgress]:
    """A function to call with each result: a bar on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield _print_lines()
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def advance(result: Result, done: int, planned: int) -> None:
            progress.update(task, completed=done, total=planned, description=result.case.op)

        yield advance


def _print_lines() -> OnProgress:
    def advance(result: Result, done: int, planned: int) -> None:
        if result.status not in ("pass", "refused", "unavailable"):
            print(f"{result.status}: {result.case.id}@{result.selector}", file=sys.stderr)
        if done == planned or done % LINE_EVERY == 0:
            print(f"{done} of {planned} done ({result.case.op})", file=sys.stderr)

    return advance
