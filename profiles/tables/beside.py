"""Published figures beside those of a run: columns of them, and what is to be said about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rocmoe.profiles.artifact import CaseRecord
from rocmoe.profiles.published import (
    Cell,
    Document,
    PostedRow,
    PublishedFigure,
    find_rows,
    list_published,
    load_published,
)
from rocmoe.profiles.tables.claims import tell_document

#: What stands where nothing was published.
NOTHING = "-"
#: What the first cell of a published row ends in.
MARK = "(published)"


@dataclass(frozen=True)
class Beside:
    """Columns to add to a table, the cells of each case in its order, and notes."""

    columns: tuple[str, ...] = ()
    cells: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()

    def extend(self, rows: Sequence[list[str]]) -> list[list[str]]:
        """The rows with the cells behind them; there is one a case."""
        return [[*row, *cells] for row, cells in zip(rows, self.cells, strict=True)]


def put_beside(cases: Sequence[CaseRecord], published: bool) -> Beside:
    """A column a kernel of whose figures some are of these cases; none if not `published`."""
    if not published:
        return Beside(cells=((),) * len(cases))
    rows = [find_rows(case) for case in cases]
    figures = [[figure for row in found for figure in row.figures] for found in rows]
    labels = {figure.label: figure.unit for each in figures for figure in each}
    return Beside(
        tuple(f"published {label} {unit}" for label, unit in labels.items()),
        tuple(tuple(_tell(each, label) for label in labels) for each in figures),
        tuple(list_notes([row for found in rows for row in found])),
    )


def _tell(figures: Sequence[PublishedFigure], label: str) -> str:
    values = [tell_cell(each.value) for each in figures if each.label == label]
    return values[0] if values else NOTHING


def list_posted(cases: Sequence[CaseRecord], document: str) -> list[PostedRow]:
    """The rows of a document that are of any of these cases, each once, in the order posted."""
    wanted = load_published(document)
    found: dict[tuple[str, int], PostedRow] = {}
    for row in (row for case in cases for row in find_rows(case)):
        if row.document is wanted:
            found.setdefault((row.table.title, row.row), row)
    order = [table.title for table in wanted.tables]
    return sorted(found.values(), key=lambda row: (order.index(row.table.title), row.row))


def list_notes(rows: Sequence[PostedRow]) -> list[str]:
    """What is to be said of these rows: where they are from, what to mind, and what of the
    documents does not hold."""
    lines: list[str] = []
    for document in map(load_published, list_published()):
        mine = [row for row in rows if row.document is document]
        if mine:
            lines += [*tell_document(document), *_list_remarks(document, mine)]
    return lines or ["published: nothing for these shapes"]


def _list_remarks(document: Document, rows: Sequence[PostedRow]) -> list[str]:
    remarks = dict.fromkeys(each.note for row in rows for each in row.figures if each.note)
    return [f"published: {remark} ({document.source})" for remark in remarks]


def tell_cell(cell: Cell) -> str:
    """A published figure in the digits that it has."""
    if cell is None:
        return NOTHING
    return f"{cell:.10g}" if isinstance(cell, (int, float)) else cell
