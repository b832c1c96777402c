"""Figures that others published, to hold a run against: kernel times, errors, speed-ups, and what
they said of accuracy and serving.  None of them was measured here.

A document is a JSON file of `published/`: its tables with the numbers as posted, which cases of
which op a row stands for, and the claims that do not hold.  tables/claims.py checks them.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.profiles.artifact import CaseRecord

Cell = int | float | str | None

_BUNDLED = importlib.resources.files("rocmoe.profiles") / "published"
#: `T = 64` is one token count, `T ≤ 16` each up to it.
_COUNT = re.compile(r"T ([=≤]) (\d+)\Z")


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a document was posted, and when: a pull request and the day it was opened."""

    repository: str
    number: int
    title: str
    url: str
    date: str

    def __str__(self) -> str:
        return f"{self.repository}#{self.number}"


class Hardware(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the document says that it measured on; empty where it does not say."""

    gpu: str
    software: str

    def __str__(self) -> str:
        return self.gpu or "hardware not stated"


class Ratio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column that follows from two others: `of` over `over`, as a factor or a change in percent.

    of_row: `of` is that of the row whose first cell is this and which has the same count in `by`.
    decimals: as printed.
    """

    column: str
    of: str
    over: str
    of_row: str = ""
    by: str = ""
    decimals: int = 2
    of_decimals: int = 2
    over_decimals: int = 2


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column with figures of a case; label: whose, with `{COLUMN}` for what stands there."""

    label: str
    column: str
    sizes: dict[str, int] = {}


class Cases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cases that a table's rows are of.

    sizes, dtype: what the document states, as it is or as the column that has it.  row: the only
    one meant.  note: what there is to know before comparing.
    """

    op: str
    sizes: dict[str, int | str]
    dtype: str
    figures: list[Figure]
    row: int | None = None
    note: str = ""


class PostedTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table as posted.  unit: of each column that `units` has no other for."""

    title: str
    context: str
    unit: str
    columns: list[str]
    rows: list[list[Cell]]
    units: dict[str, str] = {}
    ratios: list[Ratio] = []
    cases: list[Cases] = []

    def find_unit(self, column: str) -> str:
        """The unit of a column."""
        return self.units.get(column, self.unit)

    def name_cells(self, row: int) -> dict[str, Cell]:
        """The cells of a row by column."""
        return dict(zip(self.columns, self.rows[row], strict=True))


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns of a table, in all its rows or one."""

    table: str
    columns: list[str]
    row: int | None = None


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A range that the text states of figures in the tables, with the decimals that it has."""

    text: str
    low: float
    high: float
    decimals: int
    cells: list[Place]


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something a document says that does not hold, what shows it, and how."""

    claim: str
    contradicted_by: str
    detail: str


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one document published."""

    source: Source
    hardware: Hardware
    tables: list[PostedTable]
    claims: list[Claim]
    ranges: list[Range] = []

    def find_table(self, title: str) -> PostedTable:
        """The table of that title; an unknown one is a `RocmoeError`."""
        for table in self.tables:
            if table.title == title:
                return table
        raise unknown(f"table of {self.source}", title, [table.title for table in self.tables])


@dataclass(frozen=True)
class PostedRow:
    """A row that is of a case.  figures: those of that case; cells: by column."""

    document: Document
    table: PostedTable
    row: int
    cells: Mapping[str, Cell]
    figures: tuple[PublishedFigure, ...]


@dataclass(frozen=True)
class PublishedFigure:
    """A published figure of a case.

    label: the kernel, as posted.  what: the column that it stands in.  unit: us, or x for a ratio.
    """

    label: str
    what: str
    value: float
    unit: str
    source: str
    hardware: str
    note: str = ""


def list_published() -> list[str]:
    """The names of the documents, sorted: `REPOSITORY-NUMBER` without the owner."""
    files = [file.name for file in _BUNDLED.iterdir()]
    return sorted(name.removesuffix(".json") for name in files if name.endswith(".json"))


@functools.cache
def load_published(name: str) -> Document:
    """A document by name; an unknown one, or one that is malformed, is a `RocmoeError`."""
    if name not in list_published():
        raise unknown("published document", name, list_published())
    file = f"{name}.json"
    return parse_published((_BUNDLED / file).read_bytes(), file)


def parse_published(text: bytes, file: str) -> Document:
    """The checked document that a JSON text is; `file` names it in errors."""
    try:
        document = msgspec.json.decode(text, type=Document)
    except msgspec.DecodeError as error:
        raise RocmoeError(f"{file} is malformed: {error}") from None
    for table in document.tables:
        _check_table(table, file)
    for place in (place for stated in document.ranges for place in stated.cells):
        _check_columns(place.columns, document.find_table(place.table), file)
    return document


def _check_table(table: PostedTable, file: str) -> None:
    wanted = len(table.columns)
    for number, row in enumerate(table.rows):
        if len(row) != wanted:
            raise RocmoeError(
                f"{file}: row {number} of {table.title!r} has {len(row)} cells, wanted {wanted}"
            )
    named = [*table.units]
    for ratio in table.ratios:
        named += [ratio.column, ratio.of, ratio.over, *([ratio.by] if ratio.of_row else [])]
    for cases in table.cases:
        named += [each.column for each in cases.figures]
        named += [size for size in cases.sizes.values() if isinstance(size, str)]
    _check_columns(named, table, file)


def _check_columns(names: list[str], table: PostedTable, file: str) -> None:
    for name in names:
        if name not in table.columns:
            error = unknown(f"column of {table.title!r}", name, table.columns)
            raise RocmoeError(f"{file}: {error}")


def find_rows(case: CaseRecord) -> list[PostedRow]:
    """The posted rows of a case: of its op and dtype, and of every size that is stated."""
    return [row for name in list_published() for row in _search(load_published(name), case)]


def find_published(case: CaseRecord) -> list[PublishedFigure]:
    """The published figures of a case, none where nobody published any."""
    return [figure for row in find_rows(case) for figure in row.figures]


def _search(document: Document, case: CaseRecord) -> Iterator[PostedRow]:
    for table in document.tables:
        for cases in (cases for cases in table.cases if cases.op == case.op):
            for number in range(len(table.rows)) if cases.row is None else [cases.row]:
                cells = table.name_cells(number)
                if figures := tuple(_list_figures(document, table, cases, cells, case)):
                    yield PostedRow(document, table, number, cells, figures)


def _list_figures(
    document: Document,
    table: PostedTable,
    cases: Cases,
    cells: Mapping[str, Cell],
    case: CaseRecord,
) -> Iterator[PublishedFigure]:
    if cells.get(cases.dtype, cases.dtype) != case.dtype:
        return
    for figure in cases.figures:
        value = cells[figure.column]
        sizes: dict[str, Cell] = {**figure.sizes}
        for name, size in cases.sizes.items():
            sizes[name] = cells[size] if isinstance(size, str) else size
        fits = all(_is_of(cell, case.sizes.get(name)) for name, cell in sizes.items())
        if fits and isinstance(value, (int, float)):
            yield PublishedFigure(
                figure.label.format_map(cells), figure.column, float(value),
                table.find_unit(figure.column), str(document.source), str(document.hardware),
                cases.note,
            )  # fmt: skip


def _is_of(cell: Cell, size: int | None) -> bool:
    """Whether a size is the one in a cell, or one of those."""
    count, is_bound = read_count(cell)
    return size is not None and (1 <= size <= count if is_bound else size == count)


def read_count(cell: Cell) -> tuple[int, bool]:
    """The count in a cell, and whether all counts up to it are meant."""
    if isinstance(cell, str) and (found := _COUNT.match(cell)):
        return int(found[2]), found[1] == "≤"
    if not isinstance(cell, int):
        raise RocmoeError(f"a published table has {cell!r} for a count, wanted a whole number")
    return cell, False
