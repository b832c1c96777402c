"""Tables in CSV whose columns differ by version: read by name, and strict about what is in them."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

from rocmoe.ops.core.errors import RocmoeError

_T = TypeVar("_T")

_INTEGER = re.compile(r"[+-]?\d+\Z")
#: What the tools write where there is nothing: the first rocprof writes `None`.
_NOTHING = ("", "None", "N/A")

#: Some versions of rocpd convert write the names of columns as titles: ROCm/rocm-systems,
#: projects/rocprofiler-sdk, source/lib/python/rocpd/csv.py.
_SPELLINGS: Mapping[str, str] = {
    "Lds_Block_Size": "LDS_Block_Size",
    "Vgpr_Count": "VGPR_Count",
    "Accum_Vgpr_Count": "Accum_VGPR_Count",
    "Sgpr_Count": "SGPR_Count",
}


@dataclass(frozen=True)
class Row:
    """A row by column; line: in the file, from 1."""

    file: str
    line: int
    cells: Mapping[str, str]

    def find_text(self, column: str) -> str | None:
        """What stands in a column, None where there is no such column or nothing in it."""
        cell = self.cells.get(column, "").strip()
        return None if cell in _NOTHING else cell

    def find_int(self, column: str) -> int | None:
        return self._convert(column, "an integer", _parse_int)

    def find_number(self, column: str) -> float | None:
        return self._convert(column, "a number", float)

    def take_text(self, column: str) -> str:
        found = self.find_text(column)
        return self._refuse(column, "some text") if found is None else found

    def take_int(self, column: str) -> int:
        found = self.find_int(column)
        return self._refuse(column, "an integer") if found is None else found

    def take_number(self, column: str) -> float:
        found = self.find_number(column)
        return self._refuse(column, "a number") if found is None else found

    def find_xyz(self, prefix: str) -> tuple[int, ...] | None:
        """`PREFIX_X`, `_Y` and `_Z`, all of them or none."""
        if f"{prefix}_X" not in self.cells:
            return None
        return tuple(self.take_int(f"{prefix}_{axis}") for axis in "XYZ")

    def _convert(self, column: str, wanted: str, parse: Callable[[str], _T]) -> _T | None:
        text = self.find_text(column)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError:
            self._refuse(column, wanted)

    def _refuse(self, column: str, wanted: str) -> NoReturn:
        found = self.cells.get(column)
        shown = "no such column" if found is None else repr(found)
        raise RocmoeError(f"{self.file}:{self.line}: {column}: found {shown}; wanted {wanted}")


@dataclass(frozen=True)
class Table:
    """file: its name for errors."""

    file: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]

    def require(self, columns: Iterable[str], what: str) -> None:
        """Raise a `RocmoeError` where a column is missing; what: the table that this should be."""
        missing = [column for column in columns if column not in self.header]
        if missing:
            raise RocmoeError(
                f"{self.file}:1: found {len(self.header)} columns without {', '.join(missing)}; "
                f"wanted {what}: a newer or cut version of it is not known"
            )


def product(count: int | None) -> tuple[int, ...] | None:
    """A size of which only the product over x, y and z is told."""
    return None if count is None else (count,)


def read_header(path: Path) -> tuple[str, ...]:
    """The first row of a file, empty where there is none or it is no text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _spell(next(csv.reader(file), []))
    except (UnicodeDecodeError, csv.Error, OSError):
        return ()


def read_table(path: Path, name: str) -> Table:
    """A CSV file with a header.

    A row of another length than the header is refused, since a column could stand for another.
    """
    rows: list[Row] = []
    header: tuple[str, ...] = ()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                header = _spell(next(reader, []))
                _check_header(header, name)
                for cells in reader:
                    if cells:
                        rows.append(_make_row(name, reader.line_num, header, cells))
            except csv.Error as error:
                line = max(reader.line_num, 1)
                raise RocmoeError(f"{name}:{line}: found no CSV ({error}); wanted a row") from None
    except UnicodeDecodeError:
        raise RocmoeError(f"{name}: found bytes that are not UTF-8; wanted a CSV file") from None
    except OSError as error:
        raise RocmoeError(f"{name}: found no readable file ({error.strerror})") from None
    return Table(name, header, tuple(rows))


def _spell(cells: list[str]) -> tuple[str, ...]:
    return tuple(_SPELLINGS.get(cell.strip(), cell.strip()) for cell in cells)


def _check_header(header: tuple[str, ...], name: str) -> None:
    if not header:
        raise RocmoeError(f"{name}:1: found no header; wanted the names of columns")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise RocmoeError(f"{name}:1: found {', '.join(twice)} twice; wanted each column once")


def _make_row(name: str, line: int, header: tuple[str, ...], cells: list[str]) -> Row:
    if len(cells) != len(header):
        last = header[min(len(cells), len(header)) - 1]
        raise RocmoeError(
            f"{name}:{line}: found {len(cells)} cells, the last at {last}; wanted {len(header)} "
            "as in the header: profile again, or remove a row that was cut short"
        )
    return Row(name, line, dict(zip(header, cells, strict=True)))


def _parse_int(text: str) -> int:
    if not _INTEGER.match(text):
        raise ValueError(text)
    return int(text)
