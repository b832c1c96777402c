"""A page: the figures of an artifact on one picture, PNG or SVG."""

from __future__ import annotations

import importlib
import io
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Artifact, check_writable, write_atomically
from rocmoe.profiles.plots.curves import Panel, find_latency_curves
from rocmoe.profiles.plots.latency import (
    FLOOR_WORDS,
    draw_latency,
    list_statuses,
    make_floor_handle,
)
from rocmoe.profiles.plots.roof_points import (
    RoofChart,
    find_profiled_points,
    find_roofline_points,
    list_series,
)
from rocmoe.profiles.plots.roofline import draw_roofline, make_handles
from rocmoe.profiles.plots.style import Look, choose_looks, escape, use_style

SUFFIXES = (".png", ".svg")
#: A picture of more is longer than programs show; the rest is told below it.
MOST_PANELS = 60
#: Series of a roofline that have room in its corner.
MOST_INSIDE = 4
#: Lines on what is not drawn.
TOLD = 8
_INCHES = 4.2, 3.2
_KEY_INCHES = 3.0
_STATUSES = {
    "invalid": "x: does not count, being faster than a floor or wrong after timing",
    "throttled": "hollow: the clock fell (throttled)",
    "unverified": "hollow: nothing proves that the caches were cold (unverified)",
}


def check_plots(paths: Sequence[Path], device: str | None = None) -> None:
    """Raise `RocmoeError` for pictures that could not be drawn or written at the end of a run.

    device: where everything will run, if that is decided.
    """
    if paths and device is not None and parse_device(device).kind == "sim":
        raise RocmoeError(f"--plot {paths[0]}: {device} has no time to draw, only counts")
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise RocmoeError(f"--plot {path}: found {path.suffix or 'no suffix'!r}, wanted .png "
                              "or .svg")  # fmt: skip
    if paths:
        try:
            importlib.import_module("matplotlib.figure")
        except ImportError as error:
            raise RocmoeError(
                f"--plot needs matplotlib ({error}); pip install 'rocmoe[plot]'"
            ) from None
    for path in paths:
        check_writable(path, "--plot")


def write_plots(artifact: Artifact, paths: Sequence[Path]) -> None:
    """Draw what an artifact has on each of some pictures.

    Latency over tokens, a panel an op and shape; then the roofline, where the GPU has a profile.
    Raises `RocmoeError` where nothing was timed or profiled, and `OSError` where the disk fails.
    """
    if not paths:
        return
    panels = find_latency_curves(artifact)
    chart = find_roofline_points(artifact) or find_profiled_points(artifact)
    if not panels and chart is None:
        raise RocmoeError(f"nothing to draw on {paths[0]}: nothing was timed, or profiled on a GPU "
                          "whose peaks are known")  # fmt: skip
    write_page(paths, panels, chart, describe_run(artifact))


def write_page(
    paths: Sequence[Path], panels: Sequence[Panel], chart: RoofChart | None, title: str
) -> None:
    """Draw a page on each of some pictures that `check_plots` accepted; raises `OSError`."""
    for path in paths:
        write_atomically(path, draw_page(panels, chart, title, path.suffix))


def try_plots(artifact: Artifact, paths: Sequence[Path]) -> str:
    """As `write_plots` at the end of a run, whose outcome stands where nothing was timed: lines on
    what was written, or why nothing was."""
    try:
        write_plots(artifact, paths)
    except RocmoeError as error:
        return f"{error}\n"
    return "".join(f"plot: {path}\n" for path in paths)


def describe_run(artifact: Artifact) -> str:
    """The device, the versions that times depend on, and the day."""
    environment = artifact.environment
    on_gpu = any(result.device.startswith("gpu") for result in artifact.results)
    gpus = dict.fromkeys(gpu.name for gpu in environment.gpus) if on_gpu else {}
    words = [", ".join(gpus) or environment.cpu_model or "CPU"]
    for name, version in (
        ("ROCm", environment.rocm if environment.torch_hip else None),
        ("torch", environment.torch),
        ("Triton", environment.triton),
    ):
        words += [f"{name} {version}"] if version else []
    return " · ".join([*words, artifact.created[:10]])


def draw_page(panels: Sequence[Panel], chart: RoofChart | None, title: str, suffix: str) -> bytes:
    """A picture of some panels, a roofline after them, or either, as the bytes of a PNG or SVG.

    The same input gives the same bytes.  Needs matplotlib.
    """
    from matplotlib.figure import Figure

    shown = panels[:MOST_PANELS]
    count = len(shown) + (chart is not None)
    columns = min(count, 3)
    rows = -(-count // columns)
    width, height = max(_INCHES[0] * columns, 6.0), _INCHES[1] * rows + 0.9
    if chart is not None and len(list_series(chart.points)) > MOST_INSIDE:
        width += _KEY_INCHES
    with use_style(), warnings.catch_warnings():
        # Names in a script that the font has not are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure((width, height), layout="constrained")
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        curves = choose_looks(curve.label for panel in panels for curve in panel.curves)
        for axes, panel in zip(grid, shown, strict=False):
            draw_latency(axes, panel, curves)
        if chart is not None:
            series = choose_looks(point.series for point in chart.points)
            draw_roofline(grid[len(shown)], chart, series)
            _add_roof_key(figure, grid[len(shown)], chart, series)
        for axes in grid[count:]:
            axes.remove()
        _add_key(figure, shown, curves, escape(title))
        notes = _list_notes(panels, chart)
        lines = [line for note in notes for line in textwrap.wrap(note, int(width * 15))]
        if lines:
            figure.supxlabel(escape("\n".join(lines)), x=0.01, ha="left", fontsize=7.5)
        return _save(figure, suffix)


def _save(figure: Any, suffix: str) -> bytes:
    form = suffix.removeprefix(".").lower()
    # Neither has the day of the drawing, nor the PNG the version of what drew it.
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    file = io.BytesIO()
    figure.savefig(file, format=form, metadata=metadata)
    return file.getvalue()


def _add_key(figure: Any, panels: Sequence[Panel], looks: dict[str, Look], title: str) -> None:
    """A title and one legend above all panels: in all of them a backend looks the same."""
    from matplotlib.lines import Line2D

    used = {curve.label for panel in panels for curve in panel.curves}
    floors = dict.fromkeys(floor.label for panel in panels for floor in panel.floors)
    names = [name for name in looks if name in used]
    handles = [
        Line2D([], [], color=looks[name].colour, marker=looks[name].marker,
               linestyle=looks[name].line) for name in names
    ]  # fmt: skip
    handles += [make_floor_handle(name) for name in floors]
    words = [*(escape(name) for name in names), *(FLOOR_WORDS[name] for name in floors)]
    key = figure.legend(
        handles, words, loc="outside upper left", ncols=max(min(len(words), 4), 1), title=title,
        title_fontsize=10, alignment="left",
    )  # fmt: skip
    key.set_in_layout(True)


def _add_roof_key(figure: Any, axes: Any, chart: RoofChart, looks: dict[str, Look]) -> None:
    """In the roofline while it covers no points there, else beside all panels."""
    handles, words = make_handles(chart, looks)
    if len(handles) <= MOST_INSIDE:
        axes.legend(handles, words, loc="lower right", fontsize=7)
        return
    key = figure.legend(
        handles, words, loc="outside right lower", fontsize=7, title="roofline", title_fontsize=8,
        alignment="left",
    )  # fmt: skip
    key.set_in_layout(True)


def _list_notes(panels: Sequence[Panel], chart: RoofChart | None) -> list[str]:
    notes = []
    if panels:
        alone = any(curve.processes == 1 for panel in panels for curve in panel.curves)
        narrow = "; of a single process, and so too narrow" if alone else ""
        notes.append(f"Bars and bands: 95 % interval of the median{narrow}.")
    statuses = list_statuses(panels)
    notes += [words for status, words in _STATUSES.items() if status in statuses]
    missing = [f"{panel.op} {panel.shape}: {line}" for panel in panels for line in panel.missing]
    more = [f"{len(missing) - TOLD} more are not drawn"] if len(missing) > TOLD else []
    notes += [*missing[:TOLD], *more]
    if len(panels) > MOST_PANELS:
        notes.append(f"{len(panels) - MOST_PANELS} more panels are left out.")
    return notes + [f"Roofline: {note}." for note in (chart.notes if chart else ())]
