"""Profiles that are read and not made: what profilers wrote, and artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import FORMAT, read_artifact
from rocmoe.profiles.hardware import load_hardware
from rocmoe.profiles.plots.page import write_plots
from rocmoe.profiles.profiling.reading import read_profile
from rocmoe.profiles.profiling.report import (
    check_empty,
    list_artifact_tables,
    list_tables,
    make_profile,
    view_trace,
)
from rocmoe.profiles.tables.table import Table

#: An artifact begins with its format.
_HEAD_BYTES = 256


def read_stored(
    path: Path, pattern: str | None, hardware: str | None, empty: str | None
) -> list[Table]:
    """The tables of an artifact, or of what a profiler wrote into a file or folder.

    pattern: of kernels' names.  hardware, empty: what those files do not tell, the latter in
    microseconds; an artifact has both.  Raises `RocmoeError` where there is nothing to show.
    """
    if is_artifact(path):
        if given := [word for word in (hardware, empty) if word]:
            raise RocmoeError(f"{path} is an artifact, which has its own; leave out {given[0]}")
        tables = list_artifact_tables(read_artifact(path), pattern)
        if not tables:
            raise RocmoeError(f"{path} holds no profile; `rocmoe profile OP` makes one")
        return tables
    arch = load_hardware(hardware).arch if hardware else None
    record = view_trace(read_profile(path, arch), pattern, hardware, check_empty(empty))
    return list_tables([make_profile(record)])


def draw_stored(path: Path, plots: Sequence[Path]) -> None:
    """Draw the roofline of a stored artifact; raises `RocmoeError` for what is none."""
    if plots and not is_artifact(path):
        raise RocmoeError(f"--plot {plots[0]}: {path} is no artifact of `rocmoe profile`")
    if plots:
        write_plots(read_artifact(path), plots)


def is_artifact(path: Path) -> bool:
    """Whether a file is one of rocmoe's own."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return FORMAT.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False
