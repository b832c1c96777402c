"""How figures look: told apart in grey and by people who do not see all colours."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

#: Of Okabe and Ito (jfly.uni-koeln.de/color), the ones that are dark enough on white, in an order
#: in which neighbours differ in lightness too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
#: Those of floors are dashed; a line of measured times is not, before colours begin again.
LINES = ("-", "-.", (0, (8, 1.5)))
FLOOR = "#606060"
#: Characters of a title that are as wide as a panel.
TITLE_WIDTH = 52

_RC: Mapping[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that pictures are alike everywhere
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.markersize": 4.5,
    "lines.linewidth": 1.4,
    "savefig.dpi": 150,
    # Ids in an SVG are hashed with a salt that is random otherwise.
    "svg.hashsalt": "rocmoe",
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Look:
    """Of a series."""

    colour: str
    marker: str
    line: Any


def choose_looks(names: Iterable[str]) -> dict[str, Look]:
    """A look by name, in the order of the names; no two are alike."""
    return {
        name: Look(
            COLOURS[number % len(COLOURS)],
            MARKERS[number % len(MARKERS)],
            LINES[number // len(COLOURS) % len(LINES)],
        )
        for number, name in enumerate(dict.fromkeys(names))
    }


@contextmanager
def use_style() -> Iterator[None]:
    """Draw in this style, whatever the user's own settings of matplotlib are."""
    import matplotlib

    with matplotlib.rc_context():
        settings: Any = matplotlib.rcParams
        blocked = ("backend", "backend_fallback", "interactive", "toolbar", "timezone")
        defaults = matplotlib.rcParamsDefault
        settings.update({key: value for key, value in defaults.items() if key not in blocked})
        settings.update(_RC)
        yield


def escape(text: str) -> str:
    """Text as it is: matplotlib takes what is between dollar signs for mathematics."""
    return text.replace("$", r"\$")


def fold_title(*lines: str) -> str:
    """The title of a panel, no wider than the panel is."""
    return escape("\n".join(part for line in lines for part in textwrap.wrap(line, TITLE_WIDTH)))


def style_grid(axes: Any) -> None:
    """Thin lines at the labels of both axes."""
    axes.grid(True, which="major", color="#d8d8d8", linewidth=0.6)
    axes.tick_params(which="both", length=2.5, labelsize=8)


def shorten_number(value: float) -> str:
    """`16384` as `16k`, `1048576` as `1M`, where nothing is lost; else as it is."""
    for unit, size in (("M", 1 << 20), ("k", 1 << 10)):
        if value >= size and value % size == 0:
            return f"{value / size:.0f}{unit}"
    return f"{value:g}"
