"""`rocmoe doctor`: what is installed here, what works, and what the lack of it costs."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rocmoe.profiles.doctor import Finding


class OutputFormat(str, Enum):
    """How the findings are printed."""

    table = "table"
    json = "json"


def doctor(
    output_format: Annotated[
        OutputFormat, typer.Option("--format", help="A table to read, or JSON for a program.")
    ] = OutputFormat.table,
) -> None:
    """Show what rocmoe finds on this machine, what its absence costs, and how to mend it.

    Exits 0 whatever it finds: only Python and torch are not optional.
    """
    import msgspec

    from rocmoe.profiles.doctor import examine

    findings = examine()
    if output_format is OutputFormat.json:
        typer.echo(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode())
    else:
        typer.echo(format_table(findings))


def format_table(findings: list[Finding]) -> str:
    """The findings as a table, then a line for each that this version would use and can be mended."""
    from tabulate import tabulate

    from rocmoe.profiles.doctor import UNUSED

    rows = [(f.name, f.status, f.found, f.costs) for f in findings]
    table = tabulate(rows, ("", "status", "found", "without it"), tablefmt="simple")
    fixes = [f"{f.name}: {f.fix}" for f in findings if f.fix and f.costs != UNUSED]
    return "\n".join([table, "", *fixes]) if fixes else table
