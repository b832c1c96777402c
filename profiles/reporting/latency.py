"""Latency over tokens, and the roofline, as charts for Plotly with the figures in tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from rocmoe.profiles.artifact import Artifact
from rocmoe.profiles.bench_report import format_us
from rocmoe.profiles.measuring.statistics import Interval
from rocmoe.profiles.plots.curves import Curve, Panel, Point, find_latency_curves
from rocmoe.profiles.plots.latency import FLOOR_WORDS
from rocmoe.profiles.plots.roof_points import (
    RoofChart,
    RoofPoint,
    find_roofline_points,
    list_series,
)
from rocmoe.profiles.plots.style import shorten_number
from rocmoe.profiles.reporting.document import Figure, Section
from rocmoe.profiles.reporting.machine import describe_machine
from rocmoe.profiles.reporting.sources import Run, list_timed
from rocmoe.profiles.tables.table import Table

#: What `meta` says of a trace that is no backend: the page draws it in the colour of text.
FLOOR_LOOK, ROOF_LOOK = "floor", "roof"
_DASHES = {"stream": "dash", "empty": "dot"}
_SYMBOLS = {"ok": "circle", "invalid": "x-thin-open"}
_DOUBTED = "circle-open"
_AXES = {"T": "tokens (T)", "B": "rows (B)"}


def make_latency(runs: Sequence[Run]) -> Section:
    """A chart a panel of `find_latency_curves`; of runs of the same on one machine the newest."""
    newest: dict[tuple[str, ...], tuple[Panel, Run]] = {}
    for run in list_timed(runs):
        for panel in _list_panels(run):
            key = (panel.op, panel.shape, panel.timer, panel.cache, describe_machine(run.artifact))
            newest[key] = (panel, run)
    several = len({describe_machine(run.artifact) for run in runs}) > 1
    labels = [curve.label for panel, _ in newest.values() for curve in panel.curves]
    looks = {label: n for n, label in enumerate(dict.fromkeys(labels))}
    figures = [
        _draw_panel(panel, looks, describe_machine(run.artifact) if several else "")
        for panel, run in newest.values()
    ]
    lead = [
        "Medians with their 95 % intervals. Dashed: the same bytes streamed; dotted: an empty "
        "launch. Hollow points were throttled or are unverified, crosses do not count."
    ]
    if any(curve.processes == 1 for panel, _ in newest.values() for curve in panel.curves):
        lead.append("Intervals of a single process know nothing of others, and are too narrow.")
    return Section("latency", "Latency", tuple(lead) if figures else (), figures=tuple(figures))


def _list_panels(run: Run) -> list[Panel]:
    """Op by op: what differs among cases is told by op, and looked for in all that are given."""
    artifact = run.artifact
    ops = dict.fromkeys(result.case.op for result in artifact.results if result.measurements)
    return [
        panel
        for op in ops
        for panel in find_latency_curves(
            msgspec.structs.replace(
                artifact, results=[each for each in artifact.results if each.case.op == op]
            )
        )
    ]


def _draw_panel(panel: Panel, looks: dict[str, int], machine: str) -> Figure:
    traces = [_draw_floor(floor) for floor in panel.floors]
    traces += [_draw_curve(curve, looks[curve.label]) for curve in panel.curves]
    tokens = panel.tokens
    points = [point for each in (*panel.curves, *panel.floors) for point in each.points]
    ticks = list_ticks(min(p.us.low for p in points), max(p.us.high for p in points))
    layout = {
        "xaxis": {
            "title": {"text": _AXES[panel.axis]}, "type": "log", "tickvals": tokens,
            "ticktext": [shorten_number(each) for each in tokens],
        },
        "yaxis": {
            "title": {"text": "µs a call"}, "type": "log", "tickvals": ticks,
            "ticktext": [f"{each:g}" for each in ticks],
        },
    }  # fmt: skip
    words = [f"{panel.op} {panel.shape}", f"{panel.timer}, {panel.cache}", machine]
    return Figure(
        "; ".join(filter(None, words)), traces, layout, _tabulate(panel), notes=panel.missing
    )


def list_ticks(low: float, high: float) -> list[float]:
    """Round numbers from below one number to above another: of fewer decades more of each."""
    decades = math.log10(high / low)
    steps = (1, 1.5, 2, 3, 4, 5, 7) if decades < 0.8 else (1, 2, 5) if decades < 2.5 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if low / 1.5 <= tick <= high * 1.5]


def _draw_curve(curve: Curve, look: int) -> dict[str, Any]:
    points = curve.points
    return {
        "type": "scatter", "mode": "lines+markers", "name": curve.label, "meta": {"look": look},
        "x": [point.tokens for point in points], "y": [point.us.value for point in points],
        "error_y": {
            "type": "data", "symmetric": False,
            "array": [point.us.high - point.us.value for point in points],
            "arrayminus": [point.us.value - point.us.low for point in points],
        },
        "marker": {"symbol": [_SYMBOLS.get(point.status, _DOUBTED) for point in points]},
        "text": [_describe_point(point) for point in points],
        "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def _draw_floor(floor: Curve) -> dict[str, Any]:
    """As a line; of a single point that point alone, which a line does not show."""
    points = floor.points
    return {
        "type": "scatter", "mode": "lines" if len(points) > 1 else "markers",
        "name": FLOOR_WORDS[floor.label], "meta": {"look": FLOOR_LOOK},
        "x": [point.tokens for point in points], "y": [point.us.value for point in points],
        "line": {"dash": _DASHES[floor.label]}, "marker": {"symbol": "line-ew-open", "size": 14},
        "text": [_describe_point(point) for point in points],
        "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def _describe_point(point: Point) -> str:
    status = "" if point.status == "ok" else f", {point.status}"
    return f"{point.tokens}: {_tell(point.us)} us{status}"


def _tell(us: Interval) -> str:
    return f"{format_us(us.value)} [{format_us(us.low)}, {format_us(us.high)}]"


def _tabulate(panel: Panel) -> Table:
    """A row a number of tokens: medians with their intervals, and the medians of the floors."""
    curves = [{point.tokens: point for point in curve.points} for curve in panel.curves]
    floors = [{point.tokens: point for point in floor.points} for floor in panel.floors]
    columns = (
        panel.axis,
        *(f"{curve.label} us" for curve in panel.curves),
        *(f"{floor.label} us" for floor in panel.floors),
    )
    rows = [
        [
            str(tokens),
            *(_tell_point(points.get(tokens)) for points in curves),
            *(format_us(p.us.value) if (p := each.get(tokens)) else "-" for each in floors),
        ]
        for tokens in panel.tokens
    ]
    return Table("", columns, rows)


def _tell_point(point: Point | None) -> str:
    if point is None:
        return "-"
    return _tell(point.us) + ("" if point.status == "ok" else f" {point.status}")


def make_rooflines(runs: Sequence[Run]) -> Section:
    """A chart a GPU whose peaks are known, and what was timed on it: of all runs together."""
    charts = map(find_roofline_points, join_machines(runs))
    figures = tuple(_draw_roofline(chart) for chart in charts if chart is not None)
    return Section("roofline", "Roofline", figures=figures)


def join_machines(runs: Sequence[Run]) -> list[Artifact]:
    """An artifact a machine, with the results of all `list_timed` on it; of the same the newest."""
    machines: dict[str, list[Run]] = {}
    for run in list_timed(runs):
        machines.setdefault(describe_machine(run.artifact), []).append(run)
    return [_join(each) for each in machines.values()]


def _join(runs: Sequence[Run]) -> Artifact:
    results = {
        (each.case.id, each.selector, each.device): each
        for run in runs
        for each in run.artifact.results
    }
    return msgspec.structs.replace(runs[-1].artifact, results=list(results.values()))


def _draw_roofline(chart: RoofChart) -> Figure:
    hardware, peak = chart.hardware, chart.hardware.fp32_tflops
    assert peak is not None
    slope = hardware.memory_gb_per_s / 1e3
    ridge = peak / slope
    found = [point.intensity for point in chart.points]
    low, high = min(*found, ridge) / 2.0, max(*found, ridge) * 4.0
    roofs = (
        (f"memory {slope:.3g} TB/s", "dash", [low, ridge], [low * slope, peak]),
        (f"FP32 vector {peak:g} TFLOP/s", "solid", [ridge, high], [peak, peak]),
    )
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "name": words, "x": x, "y": y,
         "line": {"dash": dash}, "meta": {"look": ROOF_LOOK}, "hoverinfo": "name"}
        for words, dash, x, y in roofs
    ]  # fmt: skip
    series = list_series(chart.points)
    traces += [_draw_series(series_name, points, n)
               for n, (series_name, points) in enumerate(series.items())]  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "operations a byte"}, "type": "log", "dtick": 1,
                  "exponentformat": "power"},
        "yaxis": {"title": {"text": "TFLOP/s"}, "type": "log", "dtick": 1,
                  "exponentformat": "power"},
    }  # fmt: skip
    title = f"Roofline of {hardware.summary}; {chart.what}"
    return Figure(
        title, traces, layout, _tabulate_points(chart.points), notes=chart.notes, wide=True
    )


def _draw_series(name: str, points: Sequence[RoofPoint], look: int) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": name, "meta": {"look": look},
        "x": [point.intensity for point in points], "y": [point.tflops for point in points],
        "text": [f"{point.label}: {format_us(point.us)} us" for point in points],
        "hovertemplate": "%{text}<br>%{x:.3g}, %{y:.3g} TFLOP/s<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def _tabulate_points(points: Sequence[RoofPoint]) -> Table:
    rows = [
        [p.series, p.label, f"{p.intensity:.3g}", f"{p.tflops:.3g}", format_us(p.us)]
        for p in points
    ]
    return Table("", ("series", "case", "operations a byte", "TFLOP/s", "us"), rows)
