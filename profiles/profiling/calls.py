"""Tells the launches of the calls to look at from all others that a profiler saw.

A profiler of whole processes also sees what draws and lays out inputs, and the warm-up.  The
profiled program launches an empty kernel several times between the warm-up and the calls, waits for
the device on both sides, and ends behind the calls: so all that comes after the last empty kernel
is of the calls.  That is exact, needs no clock of the host beside the device's, and holds in runs
that collect counters too, where rocprofv3 records no markers.

Where the empty kernel cannot be launched, for want of Triton, launches are counted: a kernel that
each call launches m times was launched m times by each warm-up call too, and the last m times the
calls are kept.  What is not launched in such a proportion is left out, and told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from rocmoe.profiles.measuring.machine import WARM_UP_CALLS
from rocmoe.profiles.profiling.kernels import short_name
from rocmoe.profiles.profiling.trace import Dispatch, Trace

#: The kernel of `ops.kernels.stream.empty`.
DELIMITER = "do_nothing"
#: How often it is launched: the median over them is the time of an empty kernel.
DELIMITERS = 20


@dataclass(frozen=True)
class Calls:
    """trace: with the launches of the calls alone, and their counters.  outside: the others that
    were timed.  empty_us: of the empty kernel, where it was launched and timed."""

    trace: Trace
    outside: tuple[Dispatch, ...]
    empty_us: float | None


def keep_calls(trace: Trace, calls: int) -> Calls:
    """The launches of the last `calls` calls of every process of a trace.

    A process that made none, such as one that the program started, has nothing to keep.
    """
    kept: list[Dispatch] = []
    notes: list[str] = []
    for launches in _split_by_process(trace):
        places = [n for n, each in enumerate(launches) if is_delimiter(each)]
        if places:
            kept += launches[places[-1] + 1 :]
        else:
            mine, strange = _count_off(launches, calls)
            kept += mine
            notes += _tell_counted(launches, strange)
    inside = {id(each) for each in kept}
    numbers = {(each.process, each.dispatch_id) for each in kept}
    empty_ns = [
        each.duration_ns
        for each in trace.dispatches
        if is_delimiter(each) and not each.counted and each.duration_ns is not None
    ]
    return Calls(
        replace(
            trace,
            dispatches=tuple(kept),
            counters=tuple(c for c in trace.counters if (c.process, c.dispatch_id) in numbers),
            stats=(),  # of all launches
            notes=(*trace.notes, *dict.fromkeys(notes), *_find_gaps(kept, calls)),
        ),
        tuple(d for d in trace.dispatches if id(d) not in inside and not d.counted),
        median(empty_ns) / 1e3 if empty_ns else None,
    )


def is_delimiter(launch: Dispatch) -> bool:
    """Whether a launch is of the empty kernel."""
    return short_name(launch.kernel) == DELIMITER


def _split_by_process(trace: Trace) -> list[list[Dispatch]]:
    """The launches of each process, as they were queued."""
    processes: dict[str, list[Dispatch]] = {}
    for each in trace.dispatches:
        processes.setdefault(each.process, []).append(each)
    return [_sort(launches) for launches in processes.values()]


def _sort(launches: list[Dispatch]) -> list[Dispatch]:
    """By their numbers, which all versions of the JSON have and runs with counters too; or else by
    time."""
    if all(each.dispatch_id is not None for each in launches):
        return sorted(launches, key=lambda each: each.dispatch_id or 0)
    return sorted(launches, key=lambda each: each.start_ns or 0)


def _count_off(launches: Sequence[Dispatch], calls: int) -> tuple[list[Dispatch], list[str]]:
    """The launches of the calls by their number, and the kernels that are not in proportion."""
    kernels: dict[tuple[str, int | None, int | None], list[int]] = {}
    for place, each in enumerate(launches):
        kernels.setdefault((each.kernel, each.work_items, each.lanes), []).append(place)
    kept: list[int] = []
    strange: list[str] = []
    for (name, _, _), places in kernels.items():
        a_call, rest = divmod(len(places), WARM_UP_CALLS + calls)
        if rest:
            strange.append(f"{short_name(name)} ({len(places)})")
        else:
            kept += places[-a_call * calls :]
    return [launches[place] for place in sorted(kept)], strange


def _tell_counted(launches: Sequence[Dispatch], strange: Sequence[str]) -> list[str]:
    if not launches:
        return []
    left_out = f"; left out, not in proportion to the calls: {', '.join(strange)}"
    return [
        f"no {DELIMITER} stands ahead of the calls: launches were told apart by their number"
        f"{left_out if strange else ''}"
    ]


def _find_gaps(kept: Sequence[Dispatch], calls: int) -> list[str]:
    timed = [each for each in kept if not each.counted]
    return tell_uneven(timed, calls) if timed else ["nothing of the calls was timed"]


def tell_uneven(launches: Sequence[Dispatch], calls: int) -> list[str]:
    """A note where a kernel was not launched as often in each call, or not seen each time."""
    counted = Counter(short_name(each.kernel) for each in launches)
    uneven = [f"{name} ({count})" for name, count in counted.items() if count % calls]
    told = f"not as often in each of {calls} calls, or not seen each time: {', '.join(uneven)}"
    return [told] if uneven else []
