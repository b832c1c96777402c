"""Modifiers behind the operands: memory flags, DPP, SDWA, packed math, swizzles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rocmoe.ops.core.errors import nearest
from rocmoe.ops.gcn.operand_reader import OperandReader
from rocmoe.ops.gcn.source import split_list


@dataclass(frozen=True)
class Swizzle:
    """An offset of ds_swizzle_b32 in words; offset: the 16 bits that it encodes."""

    mode: str
    arguments: tuple[str, ...]
    offset: int

    def __str__(self) -> str:
        return f"swizzle({','.join((self.mode, *self.arguments))})"


@dataclass(frozen=True)
class Dpp:
    """control: quad_perm, row_shl, row_bcast, row_mirror ...; argument: its number, or the four of
    quad_perm, or None. bound_ctrl: lanes without a source read zero, rather than keep their value.
    """

    control: str
    argument: int | tuple[int, ...] | None
    row_mask: int = 15
    bank_mask: int = 15
    bound_ctrl: bool = False


@dataclass(frozen=True)
class Sdwa:
    """Which part of each dword is read and written; the defaults are the assembler's."""

    dst_sel: str = "DWORD"
    dst_unused: str = "UNUSED_PRESERVE"
    src0_sel: str = "DWORD"
    src1_sel: str = "DWORD"


ModifierValue = bool | int | str | tuple[int, ...] | Swizzle

FLAGS = frozenset(
    (
        *("offen", "idxen", "glc", "slc", "dlc", "sc0", "sc1", "nt", "scc", "lds", "gds", "tfe"),
        *("clamp", "row_mirror", "row_half_mirror"),
    )
)
_PARTS = frozenset(["BYTE_0", "BYTE_1", "BYTE_2", "BYTE_3", "WORD_0", "WORD_1", "DWORD"])
_WORDS = {
    **dict.fromkeys(("dst_sel", "src0_sel", "src1_sel"), _PARTS),
    "dst_unused": frozenset(("UNUSED_PAD", "UNUSED_SEXT", "UNUSED_PRESERVE")),
}
_NUMBERS: Mapping[str, range] = {
    "offset": range(-(1 << 20), 1 << 20),
    "offset0": range(256),
    "offset1": range(256),
    **dict.fromkeys(("row_shl", "row_shr", "row_ror"), range(1, 16)),
    **dict.fromkeys(("wave_shl", "wave_rol", "wave_shr", "wave_ror"), range(1, 2)),
    "row_bcast": range(15, 32, 16),
    "row_newbcast": range(16),
    "row_mask": range(16),
    "bank_mask": range(16),
    "bound_ctrl": range(2),
    "mul": range(2, 5, 2),
    "div": range(2, 3),
    "cbsz": range(8),
    "abid": range(16),
    "blgp": range(8),
    "bitop3": range(256),
    "dfmt": range(16),
    "nfmt": range(8),
    "format": range(128),
}
_LISTS = {
    **dict.fromkeys(("op_sel", "op_sel_hi", "neg_lo", "neg_hi", "neg"), range(2)),
    "quad_perm": range(4),
}
_HEXADECIMAL = frozenset(("row_mask", "bank_mask", "bitop3"))
_DPP_CONTROLS = (
    *("quad_perm", "row_shl", "row_shr", "row_ror", "wave_shl", "wave_rol", "wave_shr"),
    *("wave_ror", "row_mirror", "row_half_mirror", "row_bcast", "row_newbcast"),
)
_KNOWN = FLAGS | _WORDS.keys() | _NUMBERS.keys() | _LISTS.keys()


def is_modifier(word: str) -> bool:
    """Whether a word behind an operand is a modifier rather than part of the operand."""
    name, colon, _ = word.partition(":")
    return word in FLAGS or (bool(colon) and re.fullmatch(r"[A-Za-z]\w*", name) is not None)


def read_modifier(word: str, reader: OperandReader) -> tuple[str, ModifierValue]:
    """Name and value. Raises RocmoeError for a name or a value that is not the ISA's."""
    name, colon, text = word.partition(":")
    if name in FLAGS and not colon:
        return name, True
    if name == "offset" and text.startswith("swizzle"):
        return name, _read_swizzle(text, reader)
    if name in _NUMBERS and text:
        value = reader.integer(text)
        if value not in _NUMBERS[name]:
            raise reader.line.error(f"{name} cannot be {text}; wanted {_spell(_NUMBERS[name])}")
        return name, value
    if name in _LISTS and re.fullmatch(r"\[.*\]", text):
        return name, _read_list(name, text, reader)
    if text in _WORDS.get(name, ()):
        return name, text
    if name in _KNOWN:
        raise reader.line.error(f"modifier {word!r} cannot be read")
    raise reader.line.error(f"modifier {name!r} is not known{nearest(name, _KNOWN)}")


def _spell(allowed: range) -> str:
    if len(allowed) <= 2:
        return " or ".join(map(str, allowed))
    return f"{allowed[0]} to {allowed[-1]}"


def _read_list(name: str, text: str, reader: OperandReader) -> tuple[int, ...]:
    values = tuple(reader.integer(part) for part in split_list(text[1:-1]))
    lengths = (4,) if name == "quad_perm" else (1, 2, 3, 4)
    if len(values) not in lengths or not set(values) <= set(_LISTS[name]):
        raise reader.line.error(f"{name} cannot be {text}")
    return values


def _read_swizzle(text: str, reader: OperandReader) -> Swizzle:
    """LLVM's words for the offset (CDNA3 ISA, 12.13 LDS instructions: DS_SWIZZLE_B32)."""
    found = re.fullmatch(r"swizzle\((\w+),(.*)\)", text)
    if not found:
        raise reader.line.error(f"{text!r} is not swizzle(MODE, ...)")
    mode, words = found[1], split_list(found[2])
    if mode == "BITMASK_PERM" and len(words) == 1:
        return Swizzle(mode, tuple(words), _encode_bitmask(words[0], reader))
    numbers = [reader.integer(word) for word in words]
    offset = _encode_swizzle(mode, numbers)
    if offset is None:
        raise reader.line.error(f"{text!r} is not a swizzle of DS_SWIZZLE_B32")
    return Swizzle(mode, tuple(map(str, numbers)), offset)


def _encode_bitmask(word: str, reader: OperandReader) -> int:
    if not re.fullmatch(r'"[01pi]{5}"', word):
        raise reader.line.error(f"BITMASK_PERM wants five of 0, 1, p, i, found {word}")
    keep, force, flip = (
        int("".join("01"[sign in signs] for sign in word[1:-1]), 2) for signs in ("pi", "1", "i")
    )
    return keep | force << 5 | flip << 10


def _encode_swizzle(mode: str, numbers: list[int]) -> int | None:
    """None where a number is out of range, or too many or too few are given."""
    first, *rest = numbers or [-1]
    group = first in (2, 4, 8, 16, 32)
    if mode == "QUAD_PERM" and len(numbers) == 4 and set(numbers) <= set(range(4)):
        return 0x8000 | sum(lane << 2 * at for at, lane in enumerate(numbers))
    if mode == "SWAP" and not rest and first in (1, 2, 4, 8, 16):
        return 0x1F | first << 10
    if mode == "REVERSE" and not rest and group:
        return 0x1F | (first - 1) << 10
    if mode == "BROADCAST" and len(rest) == 1 and group and 0 <= rest[0] < first:
        return 0x20 - first | rest[0] << 5
    if mode == "ROTATE" and len(rest) == 1 and first in (0, 1) and 0 <= rest[0] < 32:
        return 0xC000 | first << 10 | rest[0] << 5
    if mode == "FFT" and not rest and 0 <= first < 32:
        return 0xE000 | first
    return None


def format_modifier(name: str, value: ModifierValue, scalar: bool = False) -> str:
    """As LLVM prints it; the offsets of scalar memory are hexadecimal."""
    if value is True:
        return name
    if isinstance(value, tuple):
        return f"{name}:[{','.join(map(str, value))}]"
    if isinstance(value, int) and (name in _HEXADECIMAL or scalar):
        return f"{name}:{value:#x}"
    return f"{name}:{value}"


def find_dpp(modifiers: Mapping[str, ModifierValue]) -> Dpp | None:
    """The DPP control among modifiers, or None.

    `bound_ctrl:0` is the old spelling of `bound_ctrl:1`: before GFX11 both set the bit.
    """
    for control in _DPP_CONTROLS:
        if control in modifiers:
            value = modifiers[control]
            argument = value if isinstance(value, (int, tuple)) and value is not True else None
            row_mask, bank_mask = (modifiers.get(name, 15) for name in ("row_mask", "bank_mask"))
            assert isinstance(row_mask, int)
            assert isinstance(bank_mask, int)
            return Dpp(control, argument, row_mask, bank_mask, "bound_ctrl" in modifiers)
    return None


def find_sdwa(modifiers: Mapping[str, ModifierValue]) -> Sdwa:
    """The selects among modifiers, with the assembler's defaults for those not given."""
    return Sdwa(**{name: str(modifiers[name]) for name in _WORDS if name in modifiers})
