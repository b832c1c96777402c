"""Measured times as tables: what `rocmoe bench` prints, and what documents publish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rocmoe.ops.core.case import format_value
from rocmoe.profiles.artifact import (
    CACHES,
    Artifact,
    CaseRecord,
    Measurement,
    MeasurementStatus,
    Result,
)
from rocmoe.profiles.hardware import Hardware, find_hardware, find_peak_share
from rocmoe.profiles.measuring.measurement import find_ratio
from rocmoe.profiles.measuring.statistics import estimate_median, find_median
from rocmoe.profiles.measuring.timers import TIMERS

#: What the timers are called above a column: the wall timer's figure is that of eager calls.
HEADINGS = {"graph": "graph us", "events": "events us", "kernel": "kernel us", "wall": "eager us"}
#: What a simulator counts, a token or row, by its heading.
COUNTED = {
    "instr/token": "instructions_per_token",
    "VALU/token": "instructions_valu_per_token",
    "load B/token": "load_bytes_per_token",
    "store B/token": "store_bytes_per_token",
    "LDS cycles/token": "lds_cycles_per_token",
}
#: What differs among cases beside their sizes and params.
_ASIDE = ("pattern", "layout")
#: From the status to be told first.
WORST: tuple[MeasurementStatus, ...] = ("invalid", "refused", "throttled", "unverified", "ok")
PUBLISHED = (
    "op", "shape", "backend", "graph us", "eager us", "kernel us", "floor us", "x floor",
)  # fmt: skip


def list_columns(artifact: Artifact) -> tuple[str, ...]:
    """The columns of `list_rows`: those of the timers that were used are among them, and counts
    where a simulator counted."""
    layout = _lay_out(artifact)
    times: tuple[str, ...] = ()
    if layout.timed:
        peak = ["peak %"] if layout.hardware else []
        floors = ("floor us", "x floor", *peak, "empty us")
        headings = [HEADINGS[timer] for timer in layout.timers]
        times = ("cache", *headings, "±%", *floors, "measured")
    return ("op", "shape", "backend", "variant", *times, *layout.counted, "judged")


@dataclass(frozen=True)
class _Layout:
    """What all rows of an artifact share."""

    timers: Sequence[str]
    counted: Sequence[str]
    hardware: Hardware | None
    varying: Mapping[str, frozenset[str]]

    @property
    def timed(self) -> bool:
        """Whether there are columns of times: not where a simulator only counted."""
        return bool(self.timers) or not self.counted


def _lay_out(artifact: Artifact) -> _Layout:
    counted = tuple(COUNTED) if any(result.counts for result in artifact.results) else ()
    return _Layout(
        _list_timers(artifact), counted, _find_hardware(artifact), find_varying(artifact)
    )


def _find_hardware(artifact: Artifact) -> Hardware | None:
    """The hardware that times are of, where there is a profile of it."""
    timed = any(result.measurements for result in artifact.results)
    gpus = artifact.environment.gpus if timed else []
    return find_hardware(gpus[0].name, gpus[0].arch) if gpus else None


def list_rows(artifact: Artifact) -> list[list[str]]:
    """A row a result and cache state, and one a stage of a pipeline; the floors are those of the
    first timer that has them, and the interval is that of the first timer."""
    layout = _lay_out(artifact)
    rows = []
    for result in artifact.results:
        taken = result.measurements or []
        for stage, cache in dict.fromkeys((e.stage, e.cache) for e in taken) or [("", "-")]:
            mine = [each for each in taken if (each.stage, each.cache) == (stage, cache)]
            row = _describe(result, cache, mine, layout)
            rows.append([f"- {stage}", *row[1:]] if stage else row)
    return rows


def _describe(
    result: Result,
    cache: str,
    mine: Sequence[Measurement],
    layout: _Layout,
) -> list[str]:
    statuses = {each.status for each in mine}
    stream, ratio, empty = _find_floors(mine)
    measured = [
        cache,
        *(_find_time(mine, timer) for timer in layout.timers),
        _find_interval(mine),
        stream,
        ratio,
        *([_find_peak(mine, layout.hardware)] if layout.hardware else []),
        empty,
        next((status for status in WORST if status in statuses), "-"),
    ]
    return [
        result.case.op,
        describe_case(result.case, layout.varying[result.case.op]),
        result.selector,
        "; ".join(result.variants) or "-",
        *(measured if layout.timed else ()),
        *(format_count(result, COUNTED[heading]) for heading in layout.counted),
        describe_verdict(result),
    ]


def format_count(result: Result, name: str) -> str:
    """A count of a simulated result, `-` where there is none."""
    value = (result.counts or {}).get(name)
    return "-" if value is None else f"{value:.4g}"


def describe_shape(artifact: Artifact, case: CaseRecord) -> str:
    """Sizes and dtype, and what else differs among the cases of the op in this artifact."""
    return describe_case(case, find_varying(artifact).get(case.op, frozenset()))


def find_varying(artifact: Artifact) -> dict[str, frozenset[str]]:
    """By op the names of params, `pattern` and `layout` in which its cases differ."""
    first: dict[str, CaseRecord] = {}
    varying: dict[str, set[str]] = {}
    for case in (result.case for result in artifact.results):
        known = first.setdefault(case.op, case)
        found = varying.setdefault(case.op, set())
        if known.params != case.params:
            names = {*known.params, *case.params}
            found |= {name for name in names if known.params.get(name) != case.params.get(name)}
        found |= {name for name in _ASIDE if getattr(known, name) != getattr(case, name)}
    return {op: frozenset(names) for op, names in varying.items()}


def describe_case(case: CaseRecord, varying: frozenset[str]) -> str:
    """Sizes and dtype, and those of the params, pattern and layout that are named."""
    words = [f"{name}={size}" for name, size in case.sizes.items()]
    words.append(case.dtype)
    words += [f"{k}={format_value(value)}" for k, value in case.params.items() if k in varying]
    words += [getattr(case, name) for name in _ASIDE if name in varying]
    return " ".join(words)


def describe_verdict(result: Result) -> str:
    """The status, and the worst error over its limit where errors have one."""
    ratio = result.error_ratio if result.status == "pass" else None
    return result.status if ratio is None else f"{result.status} {ratio:.2g}"


def format_us(us: float | None) -> str:
    """Three digits, `-` for a time that there is none of."""
    if us is None:
        return "-"
    return f"{us:.{2 if us < 10 else 1 if us < 100 else 0}f}"


def tell_measurements(artifact: Artifact) -> list[str]:
    """A line for measurements whose status is not ok, alike ones counted."""
    counted: dict[tuple[str, ...], Counter[str]] = {}
    for result in artifact.results:
        for each in result.measurements or ():
            if each.status != "ok":
                key = (result.selector, each.cache, each.status, each.reason or "")
                counted.setdefault(key, Counter())[each.timer] += 1
    return [
        f"{selector}: {status} by {', '.join(timers)}, {cache}: {reason}"
        f" ({max(timers.values())} case(s))"
        for (selector, cache, status, reason), timers in counted.items()
    ]


def render_markdown(artifact: Artifact) -> str:
    """The times of everything that passed as a Markdown table, for a document.

    With a column for the cache where something was measured cold.
    """
    from tabulate import tabulate

    whole = [
        (result, [each for each in result.measurements or () if not each.stage])
        for result in artifact.results
        if result.status == "pass"
    ]
    cold = any(each.cache == "cold" for _, measurements in whole for each in measurements)
    rows = []
    for result, measurements in whole:
        for cache in CACHES:
            taken = [each for each in measurements if each.cache == cache]
            if taken:
                times = [_find_time(taken, timer) for timer in ("graph", "wall", "kernel")]
                shape = describe_shape(artifact, result.case)
                floor, ratio, _ = _find_floors(taken)
                which = [cache] if cold else []
                row = [result.case.op, shape, result.selector, *which, *times, floor, ratio]
                rows.append(row)
    headers = [*PUBLISHED[:3], *(["cache"] if cold else []), *PUBLISHED[3:]]
    return str(tabulate(rows, headers, tablefmt="github", disable_numparse=True))


def _list_timers(artifact: Artifact) -> list[str]:
    used = {each.timer for result in artifact.results for each in result.measurements or ()}
    return [timer for timer in TIMERS if timer in used]


def _find_time(measurements: Sequence[Measurement], timer: str) -> str:
    """The median by a timer; in brackets where it does not count."""
    for each in measurements:
        if each.timer == timer:
            told = format_us(find_median(each.samples_us))
            return f"({told})" if each.status == "invalid" else told
    return "-"


def _find_interval(measurements: Sequence[Measurement]) -> str:
    """Half of the interval of the median, as a percentage, by the first timer of `TIMERS`."""
    for each in sorted(measurements, key=lambda each: TIMERS.index(each.timer)):
        if each.samples_us:
            return f"{100.0 * estimate_median(each.samples_us).half_width:.1f}"
    return "-"


def _find_peak(measurements: Sequence[Measurement], hardware: Hardware) -> str:
    """The bytes that a call must move, over its time by the first timer, as a percentage of the
    memory's bandwidth; over 100 where a cache serves it."""
    for each in sorted(measurements, key=lambda each: TIMERS.index(each.timer)):
        us, stream = find_median(each.samples_us), each.floors.get("stream")
        if us and stream:
            moved = stream.bytes_read + stream.bytes_written
            return f"{100.0 * find_peak_share(moved, us, hardware):.0f}"
    return "-"


def _find_floors(measurements: Sequence[Measurement]) -> list[str]:
    """The stream floor, the ratio to it, and the empty floor, by the first timer of `TIMERS`."""
    ordered = sorted(measurements, key=lambda each: TIMERS.index(each.timer))
    for each in (each for each in ordered if each.floors and each.samples_us):
        medians = {name: find_median(floor.samples_us) for name, floor in each.floors.items()}
        ratio = find_ratio(each)
        told = "-" if ratio is None else f"{ratio:.2f}"
        return [format_us(medians.get("stream")), told, format_us(medians.get("empty"))]
    return ["-", "-", "-"]
