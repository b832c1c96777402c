"""The charts of a report as pictures: latency op by op, the roofline, the map of the floor."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import check_writable, write_atomically
from rocmoe.profiles.plots.curves import Panel, find_latency_curves
from rocmoe.profiles.plots.page import draw_page
from rocmoe.profiles.plots.roof_points import find_roofline_points
from rocmoe.profiles.plots.style import use_style
from rocmoe.profiles.reporting.document import HeatMap
from rocmoe.profiles.reporting.heat import make_heat
from rocmoe.profiles.reporting.latency import join_machines
from rocmoe.profiles.reporting.machine import describe_machine
from rocmoe.profiles.reporting.sources import Run

#: Inches of a row and of a column of the map, and of its labels.
_ROW, _COLUMN, _LABELS = 0.26, 0.55, 5.2


def check_pictures(folder: Path) -> None:
    """Raise `RocmoeError` where pictures could not be drawn or written."""
    if find_spec("matplotlib") is None:
        raise RocmoeError("--png needs matplotlib; pip install 'rocmoe[plot]'")
    check_writable(folder / "latency.png", "--png")


def write_pictures(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Draw PNGs into a folder and return them; raises `RocmoeError` where nothing was timed, and
    `OSError` where the disk fails."""
    found: dict[str, bytes] = {}
    for number, artifact in enumerate(join_machines(runs)):
        suffix = f"-{number + 1}" if number else ""
        title = describe_machine(artifact)
        for op, panels in _group(find_latency_curves(artifact)).items():
            found[f"latency-{op}{suffix}"] = draw_page(panels, None, title, ".png")
        if chart := find_roofline_points(artifact):
            found[f"roofline{suffix}"] = draw_page([], chart, title, ".png")
    for number, heat in enumerate(make_heat(runs).heats):
        found[f"floor{f'-{number + 1}' if number else ''}"] = draw_heat(heat)
    if not found:
        raise RocmoeError(f"nothing to draw in {folder}: nothing was timed")
    paths = [folder / f"{name}.png" for name in found]
    for path, content in zip(paths, found.values(), strict=True):
        write_atomically(path, content)
    return paths


def _group(panels: Sequence[Panel]) -> dict[str, list[Panel]]:
    groups: dict[str, list[Panel]] = {}
    for panel in panels:
        groups.setdefault(panel.op, []).append(panel)
    return groups


def draw_heat(heat: HeatMap) -> bytes:
    """A map of shares as the bytes of a PNG; needs matplotlib."""
    import io

    from matplotlib.figure import Figure

    size = (_LABELS + _COLUMN * len(heat.columns), 1.0 + _ROW * len(heat.rows))
    with use_style():
        figure = Figure(size, layout="constrained")
        _draw_cells(figure.subplots(), heat)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()


def _draw_cells(axes: Any, heat: HeatMap) -> None:
    nan = float("nan")
    shares = [[nan if c.share is None else c.share for c in cells] for _, cells in heat.rows]
    axes.imshow(shares, cmap="Greens", vmin=0.0, vmax=1.4, aspect="auto")
    for y, (_, cells) in enumerate(heat.rows):
        for x, cell in enumerate(cells):
            axes.text(x, y, cell.text, ha="center", va="center", fontsize=7.5)
    axes.set_xticks(range(len(heat.columns)), heat.columns)
    labels = [" ".join(labels) for labels, _ in heat.rows]
    axes.set_yticks(range(len(labels)), labels, fontsize=7.5, parse_math=False)
    axes.set_xlabel("tokens, or rows")
    axes.set_title(f"share of the floor reached; {heat.title}", parse_math=False, loc="right")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
