"""A code object's instructions as the same Program that assembly text gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.assembly import Reader
from rocmoe.ops.gcn.codeobject import CodeObject
from rocmoe.ops.gcn.directives import PADDING
from rocmoe.ops.gcn.instruction import is_branch
from rocmoe.ops.gcn.objdump import find_objdumps, list_instructions
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.source import Line

_LISTED = re.compile(r"\t(\S.*?)\s*// ([0-9A-F]{12}): ([0-9A-F]{8})")
_HEADING = re.compile(r"[0-9a-f]{16} <.*>:|.*:\s+file format .*|Disassembly of section .*")
#: After these no instruction follows unless something branches to it.
_ENDS = frozenset(("s_endpgm", "s_branch", "s_setpc_b64", "s_endpgm_saved", "s_trap"))


@dataclass(frozen=True)
class _Listed:
    """One line of a listing; word: its first four bytes."""

    line: Line
    address: int
    word: int

    @property
    def name(self) -> str:
        return self.line.code.split()[0]

    @property
    def is_unreadable(self) -> bool:
        return self.name.startswith((".", "<", "//"))

    @property
    def target(self) -> int | None:
        """The address a branch goes to: SIMM16 counts dwords from the next instruction."""
        if not is_branch(self.name):
            return None
        distance = (self.word & 0xFFFF ^ 0x8000) - 0x8000
        return self.address + 4 + 4 * distance


def disassemble(code: CodeObject, objdumps: list[str] | None = None) -> Program:
    """The program in a code object, by the first llvm-objdump that reads its architecture.

    Branches go to the symbol at their target, or to a label `.L` and the address; `line` is the
    line in the listing. Raises RocmoeError where no objdump serves, where an instruction cannot
    be decoded, and where a branch leaves the code.
    """
    found = find_objdumps() if objdumps is None else objdumps
    return read_listing(list_instructions(code.data, code.target, code.file, found), code)


def read_listing(listing: str, code: CodeObject) -> Program:
    """The program in what `llvm-objdump -d -z` printed of a code object."""
    listed = _drop_data(_parse_listing(listing, code.file), code)
    labels = _name_labels(listed, code)
    reader = Reader()
    for item in listed:
        for name in labels.get(item.address, ()):
            reader.labels[name] = len(reader.instructions)
        reader.directives.source = code.line_table.find(item.address)
        reader.read(_name_target(item, labels), item.address)
    reader.directives.functions |= {labels[at][0] for at in code.functions if at in labels}
    descriptors = {kernel.name: kernel.descriptor for kernel in code.kernels}
    metadata = tuple(kernel.metadata for kernel in code.kernels if kernel.metadata)
    return reader.build(code.file, code.target, descriptors, metadata)


def _parse_listing(listing: str, file: str) -> list[_Listed]:
    items = []
    for number, raw in enumerate(listing.splitlines(), 1):
        line = Line(file, number, raw.strip())
        if found := _LISTED.match(raw):
            code = re.sub(r"\s+", " ", found[1])
            items.append(_Listed(replace(line, code=code), int(found[2], 16), int(found[3], 16)))
        elif raw.strip() and not _HEADING.fullmatch(raw):
            raise line.error("llvm-objdump's listing cannot be read")
    return items


def _drop_data(items: list[_Listed], code: CodeObject) -> list[_Listed]:
    """Without bytes that are no instruction and that no wave comes to: padding and tables."""
    starts = {kernel.entry for kernel in code.kernels} | code.functions
    entered = {item.target for item in items} | starts
    kept: list[_Listed] = []
    ended = True
    for item in items:
        if item.address in starts:
            _drop_padding(kept)
        if item.address in entered:
            ended = False
        if not item.is_unreadable:
            kept.append(item)
            ended = item.name in _ENDS
        elif not ended:
            raise item.line.error(f"no instruction of {code.target.architecture} at this address")
    _drop_padding(kept)
    return kept


def _drop_padding(kept: list[_Listed]) -> None:
    """Without the s_nops and s_code_ends that fill up what lies before a function's start."""
    end = len(kept)
    while end and kept[end - 1].word in PADDING:
        end -= 1
    if end and kept[end - 1].name in _ENDS:
        del kept[end:]


def _name_labels(items: list[_Listed], code: CodeObject) -> Mapping[int, tuple[str, ...]]:
    """Names by address: kernels first, then symbols, then branch targets without one."""
    labels: dict[int, tuple[str, ...]] = {}
    for kernel in code.kernels:
        labels[kernel.entry] = (*labels.get(kernel.entry, ()), kernel.name)
    for address, names in code.symbols.items():
        before = labels.get(address, ())
        labels[address] = (*before, *(name for name in names if name not in before))
    places = {item.address for item in items}
    for item in items:
        if item.target is not None and item.target not in labels:
            if item.target not in places:
                raise item.line.error("a branch out of the code")
            labels[item.target] = (f".L{item.target:x}",)
    if outside := [kernel.name for kernel in code.kernels if kernel.entry not in places]:
        raise RocmoeError(f"{code.file}: kernel {outside[0]!r} starts outside the code")
    return labels


def _name_target(item: _Listed, labels: Mapping[int, tuple[str, ...]]) -> Line:
    """The line with a label for a branch's distance."""
    if item.target is None:
        return item.line
    return replace(item.line, code=re.sub(r"\S+$", labels[item.target][0], item.line.code))
