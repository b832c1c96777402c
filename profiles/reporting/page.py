"""A report as one HTML page that holds all it shows, and loads nothing when it is looked at.

A policy in the page forbids it to, and lets no other script run than its own three: their hashes
are in it.  Texts are escaped by the templates, and what is data for a script has no `<` in it.
Plotly's script comes compressed, which makes a page of 5 MB one of 2 MB, and is unpacked by the
browser for the first chart that comes into view.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
from importlib import resources
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from rocmoe import __version__
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.reporting.cells import find_numeric, find_tone
from rocmoe.profiles.reporting.document import Figure
from rocmoe.profiles.reporting.report import Report

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

#: Tables with more rows are paged where scripts run.
MOST_ROWS = 100
#: Columns of verdicts; that of what is better or worse has no name.
_TONED = ("status", "verdict", "measured", "judged", "outcome", "graph", "")
#: Columns in which nothing is wrapped, and those of machines rather than people.
_UNWRAPPED = (
    "op", "shape", "device", "status", "verdict", "run", "date", "timer", "base", "new", "change",
    "before", "after", "difference", "last against first",
)  # fmt: skip
_IDS = ("case", "result", "instruction", "launch")


def check_page() -> None:
    """Raise `RocmoeError` where what a page is made with is not installed."""
    for name in ("jinja2", "plotly"):
        if find_spec(name) is None:
            raise RocmoeError(f"--html needs {name}; pip install 'rocmoe[report]'")


def render_page(report: Report) -> str:
    """The page; raises as `check_page`."""
    check_page()
    from markupsafe import Markup

    environment = _make_environment()
    script, early = _read("page.js"), _read("early.js")
    has_charts = any(section.figures for section in report.sections)
    library = _read_plotly() if has_charts else b""
    trusted = [script.encode(), early.encode(), *([library] if library else [])]
    return environment.get_template("page.html.j2").render(
        report=report, version=__version__, most=MOST_ROWS,
        # The page's own, with nothing of an artifact in them.
        style=Markup(_read("style.css")), script=Markup(script), early=Markup(early),
        plotly=Markup(pack(library)) if library else "",
        policy=_write_policy(trusted),
    )  # fmt: skip


def _write_policy(scripts: list[bytes]) -> str:
    """Nothing is loaded, and no script runs but these."""
    hashes = (base64.b64encode(hashlib.sha256(each).digest()).decode() for each in scripts)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _read(name: str) -> str:
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _read_plotly() -> bytes:
    """The script that the package `plotly` brings; it has no smaller one."""
    return (resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()


def pack(script: bytes) -> str:
    """A script as letters that an HTML page may hold; the same bytes give the same letters."""
    return base64.b64encode(gzip.compress(script, 9, mtime=0)).decode()


def _make_environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        tone=find_tone, numeric=find_numeric, cell_class=_choose_class, chart=encode_chart,
        caption=_caption,
    )  # fmt: skip
    return environment


def _choose_class(cell: str, column: str, numeric: bool) -> Markup:
    from markupsafe import Markup

    names = ["n"] if numeric else ["w"] if column in _UNWRAPPED else []
    if column == "backend":
        names = ["b"]
    if column in _IDS:
        names = ["id"]
    if column in _TONED and (tone := find_tone(cell)):
        names.append(tone)
    return Markup(f' class="{" ".join(names)}"') if names else Markup("")


def _caption(key: str) -> str:
    """A caption for a table without a title, from its id."""
    words = [word for word in key.split("-") if not word.isdigit() and word != "table"]
    return " ".join(words).capitalize()


def encode_chart(figure: Figure) -> Markup:
    """A chart as JSON that ends no element of the page: the marks of HTML are escaped in it.

    Its texts are escaped besides, since Plotly takes some tags in them for markup.
    """
    from markupsafe import Markup

    chart = _escape_texts({"traces": figure.traces, "layout": figure.layout})
    text = msgspec.json.encode(chart).decode()
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)


def _escape_texts(value: Any) -> Any:
    """All texts but templates, which are of this project."""
    if isinstance(value, str):
        return html.escape(value, quote=False)
    if isinstance(value, list):
        return [_escape_texts(each) for each in value]
    if isinstance(value, dict):
        return {k: v if k == "hovertemplate" else _escape_texts(v) for k, v in value.items()}
    return value
