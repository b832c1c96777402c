"""One table of results, as commands print it and files take it up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Cells as text: `rows` hold one cell a column; `summary` and `notes` follow it, a line each.

    `title` says what all the rows share. `summary` states results over the rows (a geometric
    mean), `notes` what a reader must know to read the cells (a mark, what a row left out).
    """

    title: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    summary: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
