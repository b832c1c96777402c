"""The line table of a code object: which source line each address was compiled from."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from rocmoe.ops.gcn.instruction import SourceLocation


@dataclass(frozen=True)
class LineTable:
    """Ascending addresses in bytes, and the source from each of them on."""

    addresses: tuple[int, ...] = ()
    sources: tuple[SourceLocation | None, ...] = ()

    def find(self, address: int) -> SourceLocation | None:
        """The source of an address, or None where the table says nothing of it."""
        at = bisect_right(self.addresses, address)
        return self.sources[at - 1] if at else None


def read_line_table(elf: Any) -> LineTable:
    """The DWARF line programs of a pyelftools ELFFile; empty where there are none."""
    if not elf.has_dwarf_info():
        return LineTable()
    rows: dict[int, SourceLocation | None] = {}
    dwarf = elf.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        for entry in program.get_entries() if program else ():
            if state := entry.state:
                rows[state.address] = None if state.end_sequence else _locate(program, state)
    ordered = sorted(rows.items())
    return LineTable(tuple(a for a, _ in ordered), tuple(source for _, source in ordered))


def _locate(program: Any, state: Any) -> SourceLocation | None:
    """Files count from one up to DWARF 4, and line 0 is code without a place in the source."""
    header = program.header
    first = 0 if header.version >= 5 else 1
    index = state.file - first
    if not state.line or not 0 <= index < len(header.file_entry):
        return None
    file = header.file_entry[index]
    name, folder = _text(file.name), ""
    at = file.dir_index - first
    if not name.startswith("/") and 0 <= at < len(header.include_directory):
        folder = f"{_text(header.include_directory[at])}/"
    return SourceLocation(folder + name, state.line, state.column)


def _text(name: bytes | str) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name
