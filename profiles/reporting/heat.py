"""The share of the streaming floor that each backend reaches, by shape and tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rocmoe.profiles.artifact import CACHES, Cache, Result, Timer
from rocmoe.profiles.bench_report import describe_case, find_varying
from rocmoe.profiles.measuring.measurement import find_ratio
from rocmoe.profiles.plots.curves import choose_timer, find_measurement, label_series
from rocmoe.profiles.plots.style import shorten_number
from rocmoe.profiles.reporting.document import HeatCell, HeatMap, Section
from rocmoe.profiles.reporting.machine import describe_machine
from rocmoe.profiles.reporting.sources import Run, list_timed
from rocmoe.profiles.suites import find_axis

_LABELS = ("op", "shape", "backend")


Place = tuple[str, str, str]


def make_heat(runs: Sequence[Run]) -> Section:
    """A map a machine, timer and cache state; of runs of the same the newest counts.

    Each run is looked at by the first timer that it used.
    """
    maps: dict[str, dict[Place, dict[int, HeatCell]]] = {}
    for run in list_timed(runs):
        timer = choose_timer(run.artifact.results)
        for cache in CACHES if timer else ():
            title = f"{describe_machine(run.artifact)}; {timer} timer, {cache}"
            for place, tokens, cell in _list_cells(run, timer or "graph", cache):
                maps.setdefault(title, {}).setdefault(place, {})[tokens] = cell
    lead = (
        "How near each time is to that of a kernel that only moves the same bytes, in percent: 100 "
        "is the floor. Small work is bound by launches, not by memory.",
    )
    heats = tuple(_make_map(title, rows) for title, rows in maps.items())
    return Section("floor", "Share of the floor reached", lead if heats else (), heats=heats)


def _make_map(title: str, rows: Mapping[Place, Mapping[int, HeatCell]]) -> HeatMap:
    tokens = sorted({each for cells in rows.values() for each in cells})
    cells = (
        (place, tuple(found.get(each, HeatCell("")) for each in tokens))
        for place, found in rows.items()
    )
    return HeatMap(title, _LABELS, tuple(map(shorten_number, tokens)), tuple(cells))


def _list_cells(run: Run, timer: Timer, cache: Cache) -> Iterator[tuple[Place, int, HeatCell]]:
    results = run.artifact.results
    labels, varying = label_series(results), find_varying(run.artifact)
    for result in results:
        cell = _make_cell(result, timer, cache)
        if cell is not None:
            case, axis = result.case, find_axis(result.case)
            words = describe_case(case, varying[case.op]).split()
            shape = " ".join(word for word in words if not word.startswith(f"{axis}="))
            label = labels[result.selector, result.device]
            yield (case.op, shape, label), case.sizes[axis], cell


def _make_cell(result: Result, timer: Timer, cache: Cache) -> HeatCell | None:
    """None where nothing was timed, or there is no floor beside it."""
    taken = find_measurement(result, timer, cache)
    ratio = find_ratio(taken) if taken else None
    if taken is None or not ratio:
        return None
    share = 1.0 / ratio
    if taken.status == "invalid":
        return HeatCell(f"({share:.0%})")
    return HeatCell(f"{share:.0%}", min(share, 1.0))
