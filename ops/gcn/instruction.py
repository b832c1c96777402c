"""One instruction: its record, reading it from a line, and printing it as LLVM does."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rocmoe.ops.gcn.expressions import Constants
from rocmoe.ops.gcn.modifiers import (
    Dpp,
    ModifierValue,
    Sdwa,
    find_dpp,
    find_sdwa,
    format_modifier,
    is_modifier,
    read_modifier,
)
from rocmoe.ops.gcn.operand_reader import OperandReader
from rocmoe.ops.gcn.operands import Operand, Value
from rocmoe.ops.gcn.source import Line, split_fields

#: What ends a mnemonic and says how it is encoded.
ENCODINGS = ("e64_dpp", "e32", "e64", "dpp", "sdwa")

_MNEMONIC = re.compile(r"(?:s|v|ds|buffer|tbuffer|global|flat|scratch)_[a-z0-9_]+")
_CONDITIONS = ("scc0", "scc1", "vccz", "vccnz", "execz", "execnz")
_BRANCHES = frozenset(("s_branch", "s_call_b64", *(f"s_cbranch_{word}" for word in _CONDITIONS)))
_NO_MODIFIERS: Mapping[str, ModifierValue] = MappingProxyType({})
#: Which operand is not a plain one: mnemonic, its position, the reader's method.
_SPECIAL: Mapping[str, tuple[int, Callable[[OperandReader, str], Value]]] = {
    "s_getreg_b32": (1, OperandReader.hardware_register),
    "s_setreg_b32": (0, OperandReader.hardware_register),
    "s_setreg_imm32_b32": (0, OperandReader.hardware_register),
    "s_set_gpr_idx_on": (1, OperandReader.gpr_index),
    "s_set_gpr_idx_mode": (0, OperandReader.gpr_index),
    "s_sendmsg": (0, OperandReader.message),
    "s_sendmsghalt": (0, OperandReader.message),
}


@dataclass(frozen=True)
class SourceLocation:
    """A position in the source that was compiled; column 0 is an unknown one."""

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f":{self.column}" if self.column else "")


@dataclass(frozen=True)
class Instruction:
    """One machine instruction.

    name: mnemonic without the suffix of its encoding. encoding: one of ENCODINGS, or empty.
    line: where it stands in the text that was read, from one; text: how. source: the place in
    the compiled program, where the compiler said it. target: of a branch, the index in
    `Program.instructions` that it goes to. address: in bytes, where a disassembler gave it.
    Two instructions are equal when they do the same, wherever they stand. memo: what was worked
    out of the instruction, for whom it would take long to do so again.
    """

    name: str
    encoding: str = ""
    operands: tuple[Operand, ...] = ()
    modifiers: Mapping[str, ModifierValue] = field(default_factory=lambda: _NO_MODIFIERS)
    target: int | None = None
    line: int = field(default=0, compare=False)
    text: str = field(default="", compare=False)
    comment: str = field(default="", compare=False)
    source: SourceLocation | None = field(default=None, compare=False)
    address: int | None = field(default=None, compare=False)
    memo: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def mnemonic(self) -> str:
        return f"{self.name}_{self.encoding}" if self.encoding else self.name

    @property
    def dpp(self) -> Dpp | None:
        """The DPP control, or None."""
        return find_dpp(self.modifiers)

    @property
    def sdwa(self) -> Sdwa | None:
        """The selects of an SDWA encoding, or None for any other."""
        return find_sdwa(self.modifiers) if self.encoding == "sdwa" else None

    @property
    def is_branch(self) -> bool:
        """Whether it goes to a label (`s_setpc_b64` and the like go to a register's value)."""
        return is_branch(self.name)

    def __str__(self) -> str:
        operands = ", ".join(map(str, self.operands))
        scalar = self.name.startswith("s_")
        modifiers = (format_modifier(*item, scalar) for item in self.modifiers.items())
        return " ".join(filter(None, (self.mnemonic, operands, *modifiers)))


def is_branch(name: str) -> bool:
    return name in _BRANCHES


def is_mnemonic(word: str) -> bool:
    """Whether a word has the form of a mnemonic."""
    return _MNEMONIC.fullmatch(word) is not None


def split_mnemonic(mnemonic: str) -> tuple[str, str]:
    """Base name and encoding: `v_add_f32_e64` is `v_add_f32` and `e64`."""
    for encoding in ENCODINGS:
        if mnemonic.endswith(f"_{encoding}"):
            return mnemonic[: -len(encoding) - 1], encoding
    return mnemonic, ""


def read_instruction(
    line: Line,
    constants: Constants,
    source: SourceLocation | None = None,
    address: int | None = None,
) -> Instruction:
    """Read a line that holds one instruction and nothing else.

    Raises RocmoeError, with the line, for an operand or a modifier that cannot be read.
    """
    mnemonic, _, rest = line.code.partition(" ") if " " in line.code else (line.code, "", "")
    name, encoding = split_mnemonic(mnemonic)
    if not is_mnemonic(mnemonic):
        raise line.error(f"{mnemonic!r} is no instruction of CDNA")
    operands, modifiers = _read_fields(name, rest.strip(), line, constants)
    return Instruction(
        name,
        encoding,
        operands,
        modifiers,
        line=line.number,
        text=line.code,
        comment=line.comment,
        source=source,
        address=address,
    )


def parse_instruction(text: str) -> Instruction:
    """Read one instruction that stands alone."""
    return read_instruction(Line("instruction", 1, " ".join(text.split())), Constants())


def _read_fields(
    name: str, rest: str, line: Line, constants: Constants
) -> tuple[tuple[Operand, ...], Mapping[str, ModifierValue]]:
    reader = OperandReader(line, constants)
    fields = split_fields(rest, line)
    if name == "s_waitcnt":
        words = [word for words in fields for word in words if word != "&"]
        return (Operand(reader.wait_count(words)),), _NO_MODIFIERS
    texts, words = _part(fields, name, line)
    operands = tuple(_read_operand(name, at, text, reader) for at, text in enumerate(texts))
    modifiers: dict[str, ModifierValue] = {}
    for word in words:
        key, value = read_modifier(word, reader)
        if key in modifiers:
            raise line.error(f"modifier {key!r} is given twice")
        modifiers[key] = value
    return operands, MappingProxyType(modifiers)


def _read_operand(name: str, at: int, text: str, reader: OperandReader) -> Operand:
    position, read = _SPECIAL.get(name, (-1, None))
    return Operand(read(reader, text)) if read and position == at else reader.read(text)


def _part(fields: list[list[str]], name: str, line: Line) -> tuple[list[str], list[str]]:
    """The operands' texts, and the modifiers behind the last of them."""
    texts: list[str] = []
    modifiers: list[str] = []
    for words in fields:
        # `scc` alone is an operand, the scalar condition code; behind an address it is a flag.
        starts = (at for at, word in enumerate(words) if is_modifier(word))
        first = next((at for at in starts if at or words[0] != "scc" or modifiers), len(words))
        if modifiers and first:
            raise line.error(f"operand {words[0]!r} stands behind a modifier")
        if first:
            texts.append(_join(words[:first], name, line))
        modifiers += words[first:]
    return texts, modifiers


def _join(words: list[str], name: str, line: Line) -> str:
    """The words of one operand, which are several only in an expression."""
    for before, after in itertools.pairwise(words):
        if re.search(r"[\w)\]]$|.\|$", before) and re.match(r"[\w(\[.$]", after):
            raise line.error(f"{after!r} is no modifier of {name}, and no comma stands before it")
    return "".join(words)
