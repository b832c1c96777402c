"""`rocmoe doctor`: what is installed here, what works, and what the lack of it costs."""

from __future__ import annotations

from typing import Annotated

import typer

from rocmoe.cli.show import OutputFormat, show_rows

COLUMNS = ("name", "status", "found", "costs", "fix")


def doctor(
    output_format: Annotated[
        OutputFormat, typer.Option("--format", help="How to print.")
    ] = OutputFormat.table,
) -> None:
    """Show what rocmoe finds on this machine, what its absence costs, and how to mend it.

    Exits 0 whatever it finds: only Python and torch are not optional.
    """
    from rocmoe.profiles.doctor import examine

    findings = examine()
    rows = [(f.name, f.status, f.found, f.costs, f.fix) for f in findings]
    if output_format is OutputFormat.json:
        show_rows(rows, COLUMNS, output_format)
        return
    show_rows([row[:4] for row in rows], ("", "status", "found", "without it"), output_format)
    fixes = [f"- {f.name}: {f.fix}" for f in findings if f.fix and f.matters]
    if fixes:
        typer.echo("\n".join(["\nTo mend:", *fixes]))
