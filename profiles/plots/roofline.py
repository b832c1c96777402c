"""The roofline, drawn: points under the roofs of a GPU's memory and of its vector units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rocmoe.profiles.plots.roof_points import RoofChart, list_series
from rocmoe.profiles.plots.style import Look, escape, fold_title, style_grid

_ROOF = "#303030"


def draw_roofline(axes: Any, chart: RoofChart, looks: Mapping[str, Look]) -> None:
    """A chart on some axes of matplotlib, log-log; looks: by series.

    The chart's hardware has a peak of FP32.
    """
    hardware = chart.hardware
    peak, bandwidth = hardware.fp32_tflops, hardware.memory_gb_per_s / 1e3
    assert peak is not None
    axes.set_xscale("log")
    axes.set_yscale("log")
    intensities = [point.intensity for point in chart.points]
    ridge = peak / bandwidth
    low, high = min([*intensities, ridge]) / 2.0, max([*intensities, ridge]) * 4.0
    axes.plot([low, ridge], [low * bandwidth, peak], color=_ROOF, linestyle=(0, (4, 2)))
    axes.plot([ridge, high], [peak, peak], color=_ROOF, linestyle="-")
    _name_roofs(axes, low, ridge, hardware.memory_gb_per_s, peak)
    for series, points in list_series(chart.points).items():
        look = looks[series]
        axes.plot(
            [p.intensity for p in points], [p.tflops for p in points], color=look.colour,
            marker=look.marker, linestyle="none", alpha=0.85, markeredgecolor="white",
            markeredgewidth=0.4, markersize=5.5,
        )  # fmt: skip
    axes.set_xlim(low, high)
    axes.set_ylim(top=peak * 4.0)  # room for the words above the roof
    axes.set_xlabel("operations a byte")
    axes.set_ylabel("TFLOP/s")
    axes.set_title(fold_title(f"roofline of {hardware.summary}", chart.what))
    style_grid(axes)


def make_handles(chart: RoofChart, looks: Mapping[str, Look]) -> tuple[list[Any], list[str]]:
    """What a legend shows of each series, and its words: with the ends of the points' order."""
    from matplotlib.lines import Line2D

    handles, words = [], []
    for series, points in list_series(chart.points).items():
        look = looks[series]
        handles.append(Line2D([], [], color=look.colour, marker=look.marker, linestyle="none"))
        labels = dict.fromkeys((points[0].label, points[-1].label))
        words.append(escape(f"{series}, {' to '.join(labels)}"))
    return handles, words


def _name_roofs(axes: Any, low: float, ridge: float, gb_per_s: float, peak: float) -> None:
    """Beside the lines, so that no legend is needed."""
    middle = math.sqrt(low * ridge)
    axes.annotate(
        f"memory {gb_per_s / 1e3:.3g} TB/s", (middle, middle * gb_per_s / 1e3),
        xytext=(-4, 4), textcoords="offset points", ha="right", fontsize=7.5, color=_ROOF,
    )  # fmt: skip
    axes.annotate(
        f"FP32 vector {peak:g} TFLOP/s", (ridge, peak), xytext=(0, 3), fontsize=7.5,
        textcoords="offset points", ha="right", color=_ROOF,
    )  # fmt: skip
