"""`rocmoe isa`: what the code of kernels says of itself, for several targets in one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, format_table

if TYPE_CHECKING:
    from rocmoe.profiles.isa import IsaReport


def isa(
    target: Annotated[
        str,
        typer.Argument(metavar="OP|FILE", help="An op, an assembly file, or a code object."),
    ],
    arch: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Architectures; default: all, or the file's own."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The sizes of a model.")] = None,
    case: Annotated[str | None, typer.Option(metavar="ID", help="A single case.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of the case.")] = None,
    block: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Lanes of a workgroup, for a file.")
    ] = None,
    lds: Annotated[
        int | None, typer.Option(min=0, help="Bytes of LDS that a launch gives, for a file.")
    ] = None,
    budget: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Limits; beyond one is exit 3.")
    ] = None,
    asm: Annotated[bool, typer.Option("--asm", help="Also write annotated listings.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where --asm writes; ./rocmoe-artifacts/.")
    ] = None,
    form: options.Form = OutputFormat.table,
) -> None:
    """Compile an op's Triton kernels for AMD targets, or read a file, and show what they cost.

    Exit codes: 0 shown, 1 does not compile, 2 bad request, 3 beyond the budget, 4 no kernel.
    """
    from rocmoe.profiles.budget import load_budget
    from rocmoe.profiles.isa import apply_budget, judge_audit, run_audit, write_listings
    from rocmoe.profiles.isa_sources import Settings
    from rocmoe.profiles.validation import FOLDER

    limits = load_budget(budget) if budget is not None else None
    archs = tuple(dict.fromkeys(arch.split(","))) if arch is not None else ()
    report, audited = run_audit(Settings(target, archs, model, case, tokens, block, lds))
    if limits is not None:
        report = apply_budget(report, limits)
    paths = write_listings(audited, out or FOLDER, Path(target).stem) if asm else []
    _show(report, paths, form)
    raise typer.Exit(judge_audit(report))


def _show(report: IsaReport, paths: list[Path], form: OutputFormat) -> None:
    from rocmoe.profiles.isa import COLUMNS, list_rows, tell_report

    if form is OutputFormat.json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=1).decode())
    else:
        typer.echo(format_table(list_rows(report), COLUMNS, form))
        typer.echo("\n".join(["", *tell_report(report), *(f"listing: {path}" for path in paths)]))
    for line in (*report.failures, *report.exceeded):
        typer.echo(line, err=True)
