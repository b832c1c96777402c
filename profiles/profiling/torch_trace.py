"""The Chrome trace that torch's profiler exports: kernels, copies and fills as launches of a trace.

It holds all that the profiler tells of the device, times to the nanosecond too, so that nothing
else has to be read (pytorch/kineto, libkineto/src/output_json.cpp and CuptiActivity.cpp).  Of a
kernel its `args` have the launch on NVIDIA GPUs; on AMD's some of them are missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.trace import Agent, Dispatch, Trace

TOOL = "torch's profiler"
PROCESS = "torch"
#: What the device does; the other categories are of the host, or repeat ranges of it.
KERNEL = "kernel"
CATEGORIES = (KERNEL, "gpu_memcpy", "gpu_memset")


def read_torch_trace(path: Path, agents: Sequence[Agent] = ()) -> Trace:
    """The launches in the order in which they began.

    agents: the GPUs, whose `of_type` is torch's number.  Raises `RocmoeError` for what is not such
    a trace, with the place.
    """
    events = _read_events(path)
    dispatches = [
        _read_launch(event, number, path.name)
        for number, event in enumerate(events)
        if event.get("ph") == "X" and event.get("cat") in CATEGORIES
    ]
    return Trace(
        tool=TOOL,
        form="Chrome trace",
        dispatches=tuple(sorted(dispatches, key=lambda each: each.start_ns or 0)),
        agents=tuple(agents),
        sources=(path.name,),
    )


def _read_events(path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise RocmoeError(f"{path.name}: found no readable file ({error.strerror})") from None
    except ValueError as error:
        raise RocmoeError(f"{path.name}: found no JSON ({error})") from None
    events = document.get("traceEvents") if isinstance(document, dict) else None
    if not isinstance(events, list) or not all(isinstance(each, dict) for each in events):
        raise RocmoeError(f"{path.name}: found no list of traceEvents; wanted a Chrome trace")
    return events


def _read_launch(event: Mapping[str, Any], number: int, file: str) -> Dispatch:
    place = f"{file}: traceEvents[{number}]"
    args = event.get("args")
    if not isinstance(args, dict) or not isinstance(event.get("name"), str):
        raise RocmoeError(f"{place}: found {event.get('cat')} without name or args")
    start_ns = _read_ns(event, "ts", place)
    grid, block = _find_xyz(args, "grid"), _find_xyz(args, "block")
    has_both = grid is not None and block is not None
    device = _find_number(args, "device")
    filled = _find_number(args, "est. achieved occupancy %")
    return Dispatch(
        process=PROCESS,
        kernel=event["name"],
        agent=None if device is None else f"GPU {int(device)}",
        stream=_find_int(args, "stream"),
        correlation_id=_find_int(args, "correlation"),
        start_ns=start_ns,
        end_ns=start_ns + _read_ns(event, "dur", place),
        grid=tuple(n * k for n, k in zip(grid or (), block or (), strict=True))
        if has_both
        else None,
        workgroup=block if has_both else None,
        lds_bytes=_find_int(args, "shared memory"),
        vgprs=_find_int(args, "registers per thread"),
        # Below 0 where the profiler does not know the GPU.
        occupancy=filled if filled is not None and filled >= 0.0 else None,
        waves_per_cu=_find_number(args, "warps per SM"),
    )


def _read_ns(event: Mapping[str, Any], key: str, place: str) -> int:
    """A time in microseconds, with the nanoseconds behind the point."""
    found = _find_number(event, key)
    if found is None:
        raise RocmoeError(f"{place}: {key}: found {event.get(key)!r}; wanted microseconds")
    return round(found * 1000.0)


def _find_number(values: Mapping[str, Any], key: str) -> float | None:
    """A finite number; the profiler writes `"inf"` where it divides by what it does not know."""
    found = values.get(key)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        return None
    return float(found)


def _find_int(values: Mapping[str, Any], key: str) -> int | None:
    found = _find_number(values, key)
    return None if found is None else int(found)


def _find_xyz(values: Mapping[str, Any], key: str) -> tuple[int, ...] | None:
    found = values.get(key)
    if not isinstance(found, list) or len(found) != 3:
        return None
    sizes = tuple(each for each in found if isinstance(each, int) and each > 0)
    return sizes if len(sizes) == 3 else None
