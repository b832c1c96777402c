"""What a published document says against its own tables: ratios that do not round, ranges that no
figure has, claims that do not hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.published import Cell, Document, PostedTable, Range, Ratio, read_count


@dataclass(frozen=True)
class Misprint:
    """A posted ratio that does not round from the posted figures.

    explained: some figures that round to the posted ones have a ratio that rounds to the posted.
    """

    row: int
    column: str
    printed: float
    recomputed: float
    explained: bool


def list_misprints(table: PostedTable) -> list[Misprint]:
    """The posted ratios of a table that do not round from the figures posted beside them."""
    found = []
    for ratio in table.ratios:
        for number in range(len(table.rows)):
            cells = table.name_cells(number)
            printed = cells[ratio.column]
            if isinstance(printed, (int, float)):
                of = _find_base(table, ratio, cells)[ratio.of]
                if misprint := _recompute(table, ratio, number, printed, of, cells[ratio.over]):
                    found.append(misprint)
    return found


def _find_base(table: PostedTable, ratio: Ratio, cells: Mapping[str, Cell]) -> Mapping[str, Cell]:
    """The row that has what a ratio is of."""
    if not ratio.of_row:
        return cells
    count = read_count(cells[ratio.by])[0]
    for number, row in enumerate(table.rows):
        other = table.name_cells(number)
        if row[0] == ratio.of_row and read_count(other[ratio.by])[0] == count:
            return other
    raise RocmoeError(f"{table.title!r} has no row of {ratio.of_row} with {ratio.by} {count}")


def _recompute(
    table: PostedTable, ratio: Ratio, row: int, printed: float, of: Cell, over: Cell
) -> Misprint | None:
    assert isinstance(of, (int, float))
    assert isinstance(over, (int, float))
    is_change = table.find_unit(ratio.column) == "%"
    factor = 1.0 + printed / 100.0 if is_change else printed
    half = 0.5 * 10.0**-ratio.decimals * (0.01 if is_change else 1.0) * (1.0 + 1e-9)
    value = of / over
    if abs(value - factor) <= half:
        return None
    of_half, over_half = 0.5 * 10.0**-ratio.of_decimals, 0.5 * 10.0**-ratio.over_decimals
    least, most = (of - of_half) / (over + over_half), (of + of_half) / (over - over_half)
    explained = least <= factor + half and most >= factor - half
    recomputed = 100.0 * (value - 1.0) if is_change else value
    return Misprint(row, ratio.column, printed, recomputed, explained)


def find_extremes(document: Document, stated: Range) -> tuple[float, float]:
    """The least and the largest figure of those that a range is stated of."""
    found = []
    for place in stated.cells:
        table = document.find_table(place.table)
        for number in range(len(table.rows)) if place.row is None else [place.row]:
            cells = table.name_cells(number)
            figures = [cells[column] for column in place.columns]
            found += [each for each in figures if isinstance(each, (int, float))]
    return float(min(found)), float(max(found))


def list_broken_ranges(document: Document) -> list[Range]:
    """The stated ranges whose ends are not the least and largest figure, rounded or cut off."""
    return [stated for stated in document.ranges if not _holds(document, stated)]


def _holds(document: Document, stated: Range) -> bool:
    ends = zip((stated.low, stated.high), find_extremes(document, stated), strict=True)
    return all(_is_end(end, figure, stated.decimals) for end, figure in ends)


def _is_end(end: float, figure: float, decimals: int) -> bool:
    scale = 10.0**decimals
    is_cut = math.isclose(end, math.floor(figure * scale + 1e-9) / scale)
    return is_cut or abs(end - figure) <= 0.5 / scale * (1.0 + 1e-9)


def tell_document(document: Document) -> list[str]:
    """What to write below a document's figures: that they were not measured here, and which of its
    claims its own tables contradict."""
    lines = [f"published: {document.hardware}, not measured here ({document.source})"]
    lines += [
        f"published claim, contradicted by {each.contradicted_by}: {each.claim!r}; {each.detail}"
        for each in document.claims
    ]
    misprints = [each for table in document.tables for each in list_misprints(table)]
    if misprints:
        explained = sum(each.explained for each in misprints)
        lines.append(
            f"published: {len(misprints)} ratios of {document.source} do not round from the times "
            f"beside them; the rounding of those times explains {explained}"
        )
    return lines
