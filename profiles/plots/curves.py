"""What a figure of latency shows: times and floors over tokens, of an artifact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rocmoe.profiles.artifact import (
    CACHES,
    Artifact,
    Cache,
    CaseRecord,
    Measurement,
    MeasurementStatus,
    Result,
    Timer,
)
from rocmoe.profiles.bench_report import describe_shape
from rocmoe.profiles.measuring.statistics import Interval, estimate_median, has_times
from rocmoe.profiles.measuring.timers import TIMERS
from rocmoe.profiles.suites import find_axis
from rocmoe.profiles.tables.model import group_families
from rocmoe.profiles.tables.view import name_backends

#: Floors by name, from the one that tells more.
FLOORS = ("stream", "empty")


@dataclass(frozen=True)
class Point:
    """A time at a number of tokens, or rows: microseconds a call with their 95 % interval."""

    tokens: int
    us: Interval
    status: MeasurementStatus
    result: Result


@dataclass(frozen=True)
class Curve:
    """One backend on one device, or one floor, by tokens.  processes: the fewest of a point."""

    label: str
    points: tuple[Point, ...]
    processes: int = 1


@dataclass(frozen=True)
class Panel:
    """Cases that differ in their tokens alone, by one timer in one cache state.

    shape: sizes, dtype, and what else differs among the op's cases.  axis: `T` or `B`, what the
    tokens are counted by.  floors: by name, those beside the fastest backend.  missing: lines on
    what is not in the curves, and why.
    """

    op: str
    shape: str
    axis: str
    timer: Timer
    cache: Cache
    curves: tuple[Curve, ...]
    floors: tuple[Curve, ...]
    missing: tuple[str, ...] = ()

    @property
    def tokens(self) -> list[int]:
        """Of all points, ascending."""
        return sorted({point.tokens for curve in self.curves for point in curve.points})


def find_latency_curves(artifact: Artifact, timer: Timer | None = None) -> list[Panel]:
    """A panel an op and shape, timer and cache state; none where nothing was timed.

    timer: the only one looked at; None for the first of `TIMERS` that a shape was timed by.  What
    did not pass has no time here; of pipelines only the whole is looked at, not their stages; no
    tokens at all have no place on a logarithmic axis.
    """
    return [
        panel
        for family in group_families(artifact)
        for panel in _list_panels(artifact, family, timer)
    ]


def find_measurement(result: Result, timer: Timer, cache: Cache) -> Measurement | None:
    """What was sampled of whole calls, None where nothing was or the result did not pass."""
    for each in (result.measurements or ()) if result.status == "pass" else ():
        if (each.timer, each.cache, each.stage) == (timer, cache, "") and has_times(
            each.samples_us
        ):
            return each
    return None


def choose_timer(results: Sequence[Result]) -> Timer | None:
    """The first of `TIMERS` that any of these was timed by."""
    return next(
        (
            timer
            for timer in TIMERS
            if any(find_measurement(each, timer, cache) for each in results for cache in CACHES)
        ),
        None,
    )


def _list_panels(
    artifact: Artifact, family: Sequence[Result], timer: Timer | None
) -> Iterator[Panel]:
    chosen = timer or choose_timer(family)
    for cache in CACHES if chosen else ():
        panel = _make_panel(artifact, family, chosen, cache) if chosen else None
        if panel and panel.curves:
            yield panel


def _make_panel(artifact: Artifact, family: Sequence[Result], timer: Timer, cache: Cache) -> Panel:
    labels = label_series(artifact.results)
    groups: dict[str, list[Result]] = {}
    for result in family:
        groups.setdefault(labels[result.selector, result.device], []).append(result)
    curves = [_make_curve(label, group, timer, cache) for label, group in groups.items()]
    shown = tuple(curve for curve in curves if curve.points)
    case = family[0].case
    return Panel(
        op=case.op, shape=_describe(artifact, case), axis=find_axis(case), timer=timer,
        cache=cache, curves=shown, floors=_find_floors(shown, timer, cache),
        missing=_list_missing(groups, timer, cache) if shown else (),
    )  # fmt: skip


def label_series(results: Sequence[Result]) -> dict[tuple[str, str], str]:
    """Names of lines by selector and device: the device is named where there are several."""
    short = name_backends(result.selector for result in results)
    keys = dict.fromkeys((result.selector, result.device) for result in results)
    several = len({device for _, device in keys}) > 1
    return {
        (selector, device): f"{short[selector]} {device}" if several else short[selector]
        for selector, device in keys
    }


def _make_curve(label: str, group: Sequence[Result], timer: Timer, cache: Cache) -> Curve:
    axis = find_axis(group[0].case)
    taken = [(each, find_measurement(each, timer, cache)) for each in group]
    points = [
        Point(each.case.sizes[axis], estimate_median(found.samples_us), found.status, each)
        for each, found in taken
        if found is not None and each.case.sizes[axis] > 0
    ]
    processes = [len(found.samples_us) for _, found in taken if found is not None]
    ordered = sorted(points, key=lambda point: point.tokens)
    return Curve(label, tuple(ordered), min(processes, default=1))


def _find_floors(curves: Sequence[Curve], timer: Timer, cache: Cache) -> tuple[Curve, ...]:
    """At each number of tokens those of the fastest that counts, else of the fastest at all."""
    fastest: dict[int, Point] = {}
    ordered = sorted(
        (point for curve in curves for point in curve.points),
        key=lambda point: (point.status == "invalid", point.us.value),
    )
    for point in ordered:
        fastest.setdefault(point.tokens, point)
    floors = []
    for name in FLOORS:
        found = [_find_floor(fastest[tokens], name, timer, cache) for tokens in sorted(fastest)]
        floors.append(Curve(name, tuple(point for point in found if point is not None)))
    return tuple(floor for floor in floors if floor.points)


def _find_floor(point: Point, name: str, timer: Timer, cache: Cache) -> Point | None:
    found = find_measurement(point.result, timer, cache)
    floor = found.floors.get(name) if found else None
    if floor is None or not has_times(floor.samples_us):
        return None
    return Point(point.tokens, estimate_median(floor.samples_us), "ok", point.result)


def _list_missing(groups: dict[str, list[Result]], timer: Timer, cache: Cache) -> tuple[str, ...]:
    """A line for what a backend has no point for, by its reason."""
    lines: dict[tuple[str, str], list[int]] = {}
    for label, group in groups.items():
        for result in group:
            tokens = result.case.sizes[find_axis(result.case)]
            if find_measurement(result, timer, cache) is None or tokens == 0:
                untimed = (
                    f"not timed by {timer}, {cache}" if tokens else "not on a logarithmic axis"
                )
                why = result.status if result.status != "pass" else untimed
                lines.setdefault((label, why), []).append(tokens)
    axis = find_axis(next(iter(groups.values()))[0].case)
    return tuple(
        f"{label}: {why} at {axis}={', '.join(map(str, sorted(tokens)))}"
        for (label, why), tokens in lines.items()
    )


def _describe(artifact: Artifact, case: CaseRecord) -> str:
    """The shape without the tokens."""
    axis = f"{find_axis(case)}="
    words = describe_shape(artifact, case).split()
    return " ".join(word for word in words if not word.startswith(axis))
