"""Reads a profile, whatever tool and version wrote it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.csv_table import Table, read_table
from rocmoe.profiles.profiling.legacy import read_v1, read_v2
from rocmoe.profiles.profiling.rocpd import read_rocpd
from rocmoe.profiles.profiling.rocprof_csv import (
    join_launches,
    read_agents,
    read_counters,
    read_kernel_trace,
    read_stats,
)
from rocmoe.profiles.profiling.rocprof_json import read_json
from rocmoe.profiles.profiling.sanity import check_trace
from rocmoe.profiles.profiling.sniff import Source, list_sources
from rocmoe.profiles.profiling.trace import Trace, merge_traces

_TABLES: dict[str, Callable[[Table, str], Trace]] = {
    "kernel_trace": read_kernel_trace,
    "counters": read_counters,
    "agents": read_agents,
    "stats": read_stats,
    "v1": read_v1,
    "v2": read_v2,
}
_WANTED = (
    "*_results.db, *_results.json, *_kernel_trace.csv or *_counter_collection.csv of rocprofv3, "
    "or the results*.csv of rocprof or rocprofv2"
)


def read_profile(path: Path, arch: str | None = None) -> Trace:
    """All kernels, counters and agents of a file, or of the files in a folder and its folders.

    Where a process left several forms, the database counts, then JSON, then CSV: the first two have
    the LDS of launches, and every launch is there once.  arch: of the GPU, where the files do not
    tell.  What is not to be trusted is None or left out, and `notes` says so.
    Raises `RocmoeError` where nothing is there, where a file is malformed (with its line and
    column), and where its schema is not known.
    """
    if not path.exists():
        raise RocmoeError(f"{path}: found nothing; wanted {_WANTED}")
    sources = list_sources(path)
    used = [source for source in sources if source.kind not in ("unused", "foreign")]
    if not any(source.kind != "agents" for source in used):
        raise RocmoeError(f"{path}: found {_tell_found(sources)}; wanted {_WANTED}{_hint(sources)}")
    traces = _read_sources(used)
    foreign = tuple(
        f"{source.name}: not of a profiler that is known; left out"
        for source in sources
        if source.kind == "foreign"
    )
    trace = merge_traces([trace for trace in traces if trace.form] or traces)
    whole = merge_traces(traces)
    trace = replace(whole, tool=trace.tool, form=trace.form, notes=whole.notes + foreign)
    return check_trace(trace, arch)


def _tell_found(sources: list[Source]) -> str:
    if not sources:
        return "no .db, .json or .csv file"
    names = ", ".join(source.name for source in sources[:3])
    return f"{len(sources)} file(s) without kernels ({names}{', ...' if sources[3:] else ''})"


def _hint(sources: list[Source]) -> str:
    """rocprofv3 exits 0 and leaves nothing of a program that launches no kernel."""
    return "" if sources else ": a run that launches no kernel leaves no files"


def _read_sources(sources: list[Source]) -> list[Trace]:
    runs: dict[str, list[Source]] = {}
    for source in sources:
        runs.setdefault(source.run, []).append(source)
    chosen = {run: _choose(of_run) for run, of_run in runs.items()}
    databases = [
        read_rocpd(source.path, source.name, run)
        for run, of_run in chosen.items()
        for source in of_run
        if source.kind == "rocpd"
    ]
    guids = frozenset().union(*(trace.guids for trace in databases))
    traces = list(databases)
    for run, of_run in chosen.items():
        kept = [source for source in of_run if source.kind != "rocpd"]
        parts = [_read_source(source, run, guids) for source in kept]
        traces += join_launches(parts)
    return traces


def _choose(sources: list[Source]) -> list[Source]:
    """Of a run's files those of the best form, and its statistics, which CSV alone has."""
    stats = [source for source in sources if source.kind == "stats"]
    for kind in ("rocpd", "json"):
        best = [source for source in sources if source.kind == kind]
        if best:
            return best + stats
    return sources


def _read_source(source: Source, run: str, guids: frozenset[str]) -> Trace:
    if source.kind == "json":
        return read_json(source.path, source.name, run)
    table = read_table(source.path, source.name)
    if "Guid" in table.header:
        table = _drop_known(table, guids)
    return _TABLES[source.kind](table, run)


def _drop_known(table: Table, guids: frozenset[str]) -> Table:
    """A converted table without what was read from the database that it was converted from."""
    return replace(table, rows=tuple(row for row in table.rows if row.cells["Guid"] not in guids))
