"""Traces as files that Perfetto and Chrome load: the JSON of the trace event format.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: complete events
(ph X) with their start and duration in microseconds, and metadata (ph M) that names their rows.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import check_writable, write_atomically
from rocmoe.profiles.profiling.kernels import short_name
from rocmoe.profiles.profiling.trace import Dispatch, Trace

#: Categories: launches of the calls that are looked at, and all others.
CALLS, OUTSIDE = "kernel", "outside of the calls"


def check_trace_file(path: Path | None) -> None:
    """Raise `RocmoeError` for a file that no trace can be written to."""
    if path is None:
        return
    if not path.name.endswith((".json", ".json.gz")):
        raise RocmoeError(f"--trace {path}: wanted a name that ends in .json or .json.gz")
    check_writable(path, "--trace")


def name_files(path: Path, count: int) -> list[Path]:
    """A file for each of several profiles: `t.json` itself for one, `t.01.json` and on for more."""
    if count == 1:
        return [path]
    suffix = ".json.gz" if path.name.endswith(".gz") else ".json"
    stem, width = path.name.removesuffix(suffix), max(2, len(str(count)))
    return [path.with_name(f"{stem}.{n:0{width}}{suffix}") for n in range(1, count + 1)]


def write_trace_file(content: bytes, path: Path) -> None:
    """Write a trace whole or not at all, packed where the name says so; `OSError`."""
    write_atomically(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def render_trace(trace: Trace, outside: Sequence[Dispatch] = ()) -> bytes:
    """The timed launches of a trace, a row a stream or queue, and those outside of its calls.

    Launches without times, and those while counters were collected, are left out.
    """
    marked = [*((each, CALLS) for each in trace.dispatches), *((each, OUTSIDE) for each in outside)]
    timed = [(each, cat) for each, cat in marked if each.duration_ns and not each.counted]
    first = min((each.start_ns or 0 for each, _ in timed), default=0)
    rows = {(each.process, each.agent, _find_row(each)): None for each, _ in timed}
    processes = {key: n for n, key in enumerate(dict.fromkeys((p, a) for p, a, _ in rows), 1)}
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": number, "tid": 0,
         "args": {"name": f"{agent or 'GPU'} ({process})"}}
        for (process, agent), number in processes.items()
    ]  # fmt: skip
    events += [
        {"ph": "M", "name": "thread_name", "pid": processes[process, agent], "tid": row,
         "args": {"name": f"stream or queue {row}"}}
        for process, agent, row in rows
    ]  # fmt: skip
    events += [
        _render(each, category, processes[each.process, each.agent], first)
        for each, category in sorted(timed, key=lambda found: found[0].start_ns or 0)
    ]
    document = {"displayTimeUnit": "ns", "traceEvents": events, "otherData": {"tool": trace.tool}}
    return json.dumps(document).encode()


def _find_row(launch: Dispatch) -> int:
    return next((n for n in (launch.stream, launch.queue) if n is not None), 0)


def _render(launch: Dispatch, category: str, process: int, first_ns: int) -> dict[str, Any]:
    told = {
        "kernel": launch.kernel,
        "grid (work-items)": launch.grid,
        "workgroup": launch.workgroup,
        "blocks": launch.blocks,
        "LDS bytes": launch.lds_bytes,
        "scratch bytes": launch.scratch_bytes,
        "VGPRs": launch.vgprs,
        "accumulators": launch.accum_vgprs,
        "registers": launch.total_vgprs,
        "SGPRs": launch.sgprs,
        "dispatch": launch.dispatch_id,
        "correlation": launch.correlation_id,
    }
    return {
        "ph": "X",
        "cat": category,
        "name": short_name(launch.kernel),
        "pid": process,
        "tid": _find_row(launch),
        "ts": ((launch.start_ns or 0) - first_ns) / 1e3,
        "dur": (launch.duration_ns or 0) / 1e3,
        "args": {name: value for name, value in told.items() if value is not None},
    }
