"""Which profiler wrote a file, and what is in it: by its first bytes and header, not its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.csv_table import read_header
from rocmoe.profiles.profiling.rocpd import MAGIC, has_rocpd
from rocmoe.profiles.profiling.rocprof_csv import DOMAINS
from rocmoe.profiles.profiling.rocprof_json import ROOT

Kind = Literal[
    "rocpd", "json", "kernel_trace", "counters", "agents", "stats", "v1", "v2", "unused", "foreign"
]

#: The root of the JSON form is its first key.
_HEAD_BYTES = 4096
_SUFFIXES = (".db", ".json", ".csv")
#: What a table has whose rows are no kernels: API calls, copies, allocations, PC samples,
#: instructions.
_UNUSED = ("Function", "Operation", "Direction", "Sample_Timestamp", "Hitcount")


@dataclass(frozen=True)
class Source:
    """A file of a profile.

    name: relative to what was asked for.  run: what its name begins with, which the files of one
    process share, and differs by pass.
    """

    path: Path
    name: str
    run: str
    kind: Kind


def sniff(path: Path) -> Kind:
    """What a file holds; `unused`: a profiler's, without kernels; `foreign`: of something else.

    Raises `RocmoeError` for a file that cannot be opened.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise RocmoeError(f"{path}: found no readable file ({error.strerror})") from None
    if head.startswith(MAGIC):
        return "rocpd" if has_rocpd(path) else "foreign"
    if path.suffix == ".db":
        return "rocpd"  # named like one; what is wrong with it is told when it is read
    if head.lstrip().startswith(b"{"):
        return "json" if f'"{ROOT}"'.encode() in head else "foreign"
    return _sniff_table(read_header(path))


def _sniff_table(header: tuple[str, ...]) -> Kind:
    """By columns that no other table has."""
    has = set(header).__contains__
    if has("Counter_Name"):
        return "counters"
    if has("Kernel_Name") and has("Kind"):
        return "kernel_trace"
    if has("Dispatch_ID"):
        return "v2"
    if has("KernelName") and has("grd"):
        return "v1"
    if has("TotalDurationNs"):
        return "stats"
    if has("Logical_Node_Id"):
        return "agents"
    return "unused" if any(map(has, _UNUSED)) else "foreign"


def list_sources(path: Path) -> list[Source]:
    """The files of a folder and its folders that may be a profiler's, or the one file, by name.

    The agents that lie beside a single file are of its run and listed too.
    """
    if path.is_dir():
        files = [each for each in path.rglob("*") if each.suffix in _SUFFIXES and each.is_file()]
        return [_make(file, file.relative_to(path)) for file in sorted(files)]
    source = _make(path, Path(path.name))
    if source.kind not in ("kernel_trace", "counters"):
        return [source]
    beside = path.with_name(f"{source.run}_agent_info.csv")
    return [source, *([_make(beside, Path(beside.name))] if beside.is_file() else [])]


_ENDINGS = (
    *("agent_info", "kernel_trace", "counter_collection", "counter_collection_trace", "results"),
    *(f"{domain}_stats" for domain in DOMAINS),
)


def _make(path: Path, relative: Path) -> Source:
    name = relative.with_suffix("").as_posix()
    run = next((name[: -len(end) - 1] for end in _ENDINGS if name.endswith(f"_{end}")), name)
    return Source(path, relative.as_posix(), run, sniff(path))
