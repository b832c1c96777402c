"""The `rocmoe` command: its subcommands, and how errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from rocmoe import __version__
from rocmoe.cli import (
    bench,
    bundle,
    compare,
    diff,
    doctor,
    graph,
    isa,
    listing,
    profile,
    report,
    sanitize,
    selftest,
    shrink,
    validate,
)

app = typer.Typer(
    name="rocmoe",
    help="Validate and profile ROCm kernels for mixture-of-experts routing and sampling.",
    no_args_is_help=True,
    add_completion=False,
    # Rich would double the time that --help takes.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("validate")(validate.validate)
app.command("bench")(bench.bench)
app.command("compare")(compare.compare)
app.command("diff")(diff.diff)
app.command("profile")(profile.profile)
app.command("graph")(graph.graph)
app.command("report")(report.report)
app.command("list")(listing.list_things)
app.command("doctor")(doctor.doctor)
app.command("selftest")(selftest.selftest)
app.command("sanitize")(sanitize.sanitize)
app.command("isa")(isa.isa)
app.add_typer(bundle.bundle)
app.command("shrink")(shrink.shrink)

#: click's base of all errors in the command line, which typer carries inside since 0.26.
_UsageError = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rocmoe {__version__}")
        raise typer.Exit


@app.callback()
def rocmoe(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Validate and profile ROCm kernels for mixture-of-experts routing and sampling."""
    del version


def main() -> NoReturn:
    """Run the command; every expected error is one line on stderr and its exit code."""
    # A closed descriptor (`rocmoe ... >&-`) leaves no stream to print to.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - for the whole process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        code = _explain(error)
    except KeyboardInterrupt:
        code = 130
    _flush()
    sys.exit(code)


def _explain(error: Exception) -> int:
    from rocmoe.ops.core.errors import NoGpuError, RocmoeError

    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, typer.Abort):
        return 130
    if isinstance(error, RocmoeError):
        print(f"rocmoe: {error}", file=sys.stderr)
        return 4 if isinstance(error, NoGpuError) else 2
    if isinstance(error, _UsageError):
        message = " ".join(error.format_message().split()).rstrip(".")  # type: ignore[attr-defined]
        print(f"rocmoe: {message}{_quote_found(error)}; see 'rocmoe --help'", file=sys.stderr)
        return 2
    if isinstance(error, BrokenPipeError):
        return 0
    if isinstance(error, OSError):
        print(f"rocmoe: the machine failed: {error}", file=sys.stderr)
        return 5
    raise error


def _quote_found(error: Exception) -> str:
    """What was given for the option that an error is about, which typer leaves out."""
    names = getattr(getattr(error, "param", None), "opts", ())
    for word, following in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name in names:
            return f" (found {value or following!r})"
    return ""


def _flush() -> None:
    """Flush now, so that a reader that went away (`| head`) is no traceback at exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
