"""Latency over tokens, drawn: times with their intervals, and the floors under them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rocmoe.profiles.plots.curves import Curve, Panel, Point
from rocmoe.profiles.plots.style import FLOOR, Look, fold_title, shorten_number, style_grid

#: More labels than this run into each other on a panel.
MOST_TICKS = 9
#: What the lines of floors are, by name.
_FLOOR_LINES: Mapping[str, Any] = {"stream": (0, (4, 2)), "empty": (0, (1, 1.6))}
FLOOR_WORDS = {
    "stream": "floor: the same bytes streamed",
    "empty": "floor: an empty launch",
}
_NAMES = {"T": "tokens", "B": "rows"}


def draw_latency(axes: Any, panel: Panel, looks: Mapping[str, Look]) -> None:
    """A panel on some axes of matplotlib, log-log; looks: by the label of a curve."""
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for floor in panel.floors:
        _draw_floor(axes, floor)
    for curve in panel.curves:
        _draw_curve(axes, curve, looks[curve.label])
    _label_axes(axes, panel)
    axes.set_title(fold_title(panel.op, panel.shape))


def _draw_floor(axes: Any, floor: Curve) -> None:
    points = floor.points
    tokens: list[float] = [point.tokens for point in points]
    medians, lows, highs = _list_bounds(points)
    if len(points) == 1:
        # A line on both sides of the point, which would be none by itself.
        tokens = [tokens[0] / 1.5, tokens[0] * 1.5]
        medians, lows, highs = medians * 2, lows * 2, highs * 2
    axes.fill_between(tokens, lows, highs, color=FLOOR, alpha=0.3, linewidth=0)
    axes.plot(tokens, medians, color=FLOOR, linestyle=_FLOOR_LINES[floor.label], linewidth=1.1)
    axes.fill_between(tokens, [low * 1e-3 for low in lows], medians, color=FLOOR, alpha=0.07,
                      linewidth=0)  # fmt: skip


def _list_bounds(points: Sequence[Point]) -> tuple[list[float], list[float], list[float]]:
    """Medians, and both ends of their intervals."""
    return [p.us.value for p in points], [p.us.low for p in points], [p.us.high for p in points]


def _draw_curve(axes: Any, curve: Curve, look: Look) -> None:
    points = curve.points
    counted = [point for point in points if point.status != "invalid"]
    tokens = [point.tokens for point in counted]
    medians, lows, highs = _list_bounds(counted)
    axes.fill_between(tokens, lows, highs, color=look.colour, alpha=0.25, linewidth=0)
    axes.plot(tokens, medians, color=look.colour, linestyle=look.line)
    for point in points:
        _draw_point(axes, point, look)


def _draw_point(axes: Any, point: Point, look: Look) -> None:
    """Filled where the measurement is ok, hollow where it is doubted, a cross where it does not
    count; with its interval, that a band alone hides at a single point."""
    marker, size = ("x", 6.5) if point.status == "invalid" else (look.marker, 4.5)
    axes.errorbar(
        [point.tokens], [point.us.value],
        yerr=[[point.us.value - point.us.low], [point.us.high - point.us.value]],
        color=look.colour, marker=marker, markersize=size, capsize=2.0, elinewidth=0.9,
        linestyle="none",
        markerfacecolor=look.colour if point.status == "ok" else "white", zorder=3,
    )  # fmt: skip


def _label_axes(axes: Any, panel: Panel) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ticks = _thin(panel.tokens)
    axes.set_xticks(ticks, [shorten_number(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = _find_range(panel)
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(_list_us_ticks(low, high)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda us, _: f"{us:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"{_NAMES[panel.axis]} ({panel.axis})")
    axes.set_ylabel(f"µs a call ({panel.timer}, {panel.cache})")
    style_grid(axes)


def _find_range(panel: Panel) -> tuple[float, float]:
    """Microseconds from below the lowest interval to above the highest."""
    points = [point for each in (*panel.curves, *panel.floors) for point in each.points]
    low, high = min(point.us.low for point in points), max(point.us.high for point in points)
    return low / 1.3, high * 1.3


def _list_us_ticks(low: float, high: float) -> list[float]:
    """Round numbers in between: the more a decade the fewer decades there are."""
    decades = math.log10(high / low)
    steps = (1, 1.5, 2, 3, 4, 6, 8) if decades < 1.3 else (1, 2, 5) if decades < 2.5 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def _thin(tokens: Sequence[int]) -> list[int]:
    """So many that their labels have room, the last among them."""
    step = -(-len(tokens) // MOST_TICKS)
    return sorted(tokens[::-1][::step])


def list_statuses(panels: Sequence[Panel]) -> set[str]:
    """The statuses of all points of these panels."""
    return {p.status for panel in panels for curve in panel.curves for p in curve.points}


def make_floor_handle(name: str) -> Any:
    """What a legend shows of a floor."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=FLOOR, linestyle=_FLOOR_LINES[name], linewidth=1.1)
