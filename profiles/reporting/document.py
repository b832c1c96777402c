"""What a report is made of, whatever it is rendered as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rocmoe.profiles.tables.table import Table


@dataclass(frozen=True)
class Figure:
    """A chart for Plotly, and the same figures as a table, for who does not see it.

    traces, layout: as JSON takes them.  A trace has the number of its look in `meta`, since colours
    are those of the page; `notes` are told below.
    wide: whether it takes all of the page's width.
    """

    title: str
    traces: list[dict[str, Any]]
    layout: dict[str, Any]
    table: Table
    notes: tuple[str, ...] = ()
    wide: bool = False


@dataclass(frozen=True)
class Listing:
    """Lines of code under a title, and remarks on them: `lines` are (text, whether a remark)."""

    title: str
    lines: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class HeatCell:
    """A cell of a heat map: what is told, and the share that colours it; None for nothing."""

    text: str
    share: float | None = None


@dataclass(frozen=True)
class HeatMap:
    """Shares by row and column: a row is labels, then a cell for each of `columns`."""

    title: str
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[HeatCell, ...]], ...]


@dataclass(frozen=True)
class Section:
    """A part of a report.  key: of links to it.  lead: paragraphs ahead of all else.

    choices: columns of its tables to choose rows by.
    """

    key: str
    title: str
    lead: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    heats: tuple[HeatMap, ...] = ()
    listings: tuple[Listing, ...] = ()
    commands: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it has nothing to show."""
        return not (
            self.lead or self.tables or self.figures or self.heats or self.listings or self.commands
        )
