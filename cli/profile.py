"""`rocmoe profile`: what a profiler saw of kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, show_documents

_EMPTY = "Microseconds of a kernel that does nothing there, as `bench` measures it."


def profile(
    stored: Annotated[
        Path,
        typer.Option("--from", metavar="DIR|FILE", help="What rocprofv3, v2 or v1 wrote."),
    ],
    kernel: Annotated[
        str | None, typer.Option(metavar="NAME|REGEX", help="Kernels with this in their name.")
    ] = None,
    hardware: Annotated[
        str | None, typer.Option(help="The GPU, as mi300x; default: what the files tell.")
    ] = None,
    empty: Annotated[str | None, typer.Option(metavar="US", help=_EMPTY)] = None,
    form: options.Form = OutputFormat.table,
) -> None:
    """Read what AMD's profilers wrote: times, registers, LDS, counters, what holds kernels back.

    Exit codes: 0 read, 2 bad request, nothing there or malformed.
    """
    from rocmoe.profiles.hardware import load_hardware
    from rocmoe.profiles.profiling.reading import read_profile
    from rocmoe.profiles.profiling.report import check_empty, list_profile_tables, make_view

    arch = load_hardware(hardware).arch if hardware else None
    view = make_view(read_profile(stored, arch), kernel, hardware, check_empty(empty))
    show_documents(list_profile_tables(view), form)
