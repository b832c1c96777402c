"""Operands as functions of the machine: registers and constants in the types instructions read.

A vector instruction's source is an array [n, 64], or [n, 1] or [1, 1] where all lanes share it; a
scalar instruction's is [n] or [1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.code import find_value
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import EXEC, M0, VCC, Machine
from rocmoe.ops.gcn.machine.windows import APERTURES
from rocmoe.ops.gcn.operands import Expression, Integer, Operand, Real, Register, Symbol
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import DTYPES, Array

Source = Callable[[Machine], Array]

#: NumPy's types of operand types; bf16 and the packed ones stand as their bits.
TYPES: Mapping[str, np.dtype[Any]] = {
    **DTYPES,
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(np.uint16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}

#: First scalar dword of each file (CDNA3 ISA, 4.1: SSRC encodings).
_SCALAR_FILES = {
    "s": 0,
    "flat_scratch": 102,
    "xnack_mask": 104,
    "vcc": VCC,
    "ttmp": 108,
    "m0": M0,
    "exec": EXEC,
}
_FLAGS: Mapping[str, Callable[[Machine], Array]] = {
    "src_scc": lambda machine: machine.scc,
    "src_vccz": lambda machine: machine.scalar64(VCC) == 0,
    "src_execz": lambda machine: machine.scalar64(EXEC) == 0,
}
#: Fractions that have an encoding of their own, the last being 1 / (2 pi); all others are literals.
_INLINE = frozenset((0.0, 0.5, 1.0, 2.0, 4.0, 0.15915494309189532))
_HALF = np.uint64(32)


def is_vector(register: Register) -> bool:
    return register.file in ("v", "a")


def vector_number(register: Register) -> int:
    """v0 is 0, a0 is 256."""
    return register.first + (256 if register.file == "a" else 0)


def scalar_number(register: Register) -> int | None:
    """The scalar dword, None for what is no register that holds a value (`null`, flags)."""
    first = _SCALAR_FILES.get(register.file)
    return None if first is None else first + register.first


def vector_source(program: Program, instruction: Instruction, at: int, kind: str) -> Source:
    """Operand `at` of a vector instruction, in type `kind`, its modifiers applied."""
    operand = instruction.operands[at]
    if kind == "bool":
        return _lanes_source(program, instruction, operand)
    return modify(_words(program, instruction, operand, kind, True), operand, kind)


def scalar_source(program: Program, instruction: Instruction, at: int, kind: str) -> Source:
    """Operand `at` of a scalar instruction, in type `kind`."""
    operand = instruction.operands[at]
    words = _words(program, instruction, operand, kind, False)
    return lambda machine: as_type(words(machine), kind)


def raw_source(program: Program, instruction: Instruction, at: int, kind: str = "u32") -> Source:
    """Operand `at` of a vector instruction as the 32 or 64 bits that hold a `kind`, without its
    modifiers."""
    return _words(program, instruction, instruction.operands[at], kind, True)


def as_type(words: Array, kind: str) -> Array:
    """u32 or u64 words as a type; of a shorter one, their low bits."""
    dtype = TYPES[kind]
    if dtype.itemsize == words.dtype.itemsize:
        return words if dtype == words.dtype else words.view(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    narrow = words.astype(unsigned)
    return narrow if dtype == unsigned else narrow.view(dtype)


def as_words(values: Array) -> Array:
    """A result of up to 32 bits as u32; shorter ones fill up with zeros, flags are 0 or 1."""
    if values.dtype.itemsize == 4:
        return values if values.dtype == np.uint32 else values.view(np.uint32)
    return values.view(np.dtype(f"u{values.dtype.itemsize}")).astype(np.uint32)


def split_words(values: Array) -> tuple[Array, Array]:
    """Low and high u32 of a 64-bit result."""
    words = values if values.dtype == np.uint64 else values.view(np.uint64)
    return words.astype(np.uint32), (words >> _HALF).astype(np.uint32)


def modify(words: Source, operand: Operand, kind: str) -> Source:
    """Words as a type, after absolute value and negation, which only touch the sign bit."""
    if not (operand.absolute or operand.negate):
        return lambda machine: as_type(words(machine), kind)
    unsigned = np.dtype(f"u{TYPES[kind].itemsize}").type
    bits = TYPES[kind].itemsize * 8
    sign, rest = unsigned(1 << (bits - 1)), unsigned((1 << (bits - 1)) - 1)
    absolute, negate = operand.absolute, operand.negate

    def source(machine: Machine) -> Array:
        value = as_type(words(machine), unsigned.__name__.replace("uint", "u"))
        value = value & rest if absolute else value
        return as_type(value ^ sign if negate else value, kind)

    return source


def _words(
    program: Program, instruction: Instruction, operand: Operand, kind: str, vector: bool
) -> Source:
    value = operand.value
    wide = TYPES[kind].itemsize == 8
    if isinstance(value, Register):
        return _register(program, instruction, value, wide, vector)
    if isinstance(value, (Integer, Real)):
        constant = np.array([_constant(value, kind)], np.uint64 if wide else np.uint32)
    elif isinstance(value, (Symbol, Expression)):
        found = find_value(program, instruction, value)
        constant = np.array([found & 0xFFFFFFFF], np.uint64 if wide else np.uint32)
    else:
        raise unsupported(program, instruction, f"operand {operand}")
    if vector:
        constant = constant.reshape(1, 1)
    return lambda machine: constant


def _register(
    program: Program, instruction: Instruction, register: Register, wide: bool, vector: bool
) -> Source:
    if is_vector(register):
        return _vector_register(vector_number(register), wide)
    number = scalar_number(register)
    if number is not None:
        read = _scalar_register(number, wide)
    elif register.file in _FLAGS:
        flag, kind = _FLAGS[register.file], np.uint64 if wide else np.uint32
        read = lambda machine: flag(machine).astype(kind)  # noqa: E731
    elif register.file in APERTURES or register.file == "null":
        read = _aperture(APERTURES.get(register.file, 0), register, wide)
    else:
        raise unsupported(program, instruction, f"register {register}")
    return (lambda machine: read(machine)[:, None]) if vector else read


def _vector_register(number: int, wide: bool) -> Source:
    if not wide:
        return lambda machine: machine.vector(number)

    def pair(machine: Machine) -> Array:
        words = np.empty((machine.n, 64, 2), np.uint32)
        words[..., 0] = machine.vector(number)
        words[..., 1] = machine.vector(number + 1)
        return words.view(np.uint64)[..., 0]

    return pair


def _scalar_register(number: int, wide: bool) -> Source:
    if wide:
        return lambda machine: machine.scalar64(number)
    return lambda machine: machine.scalar(number)


def _aperture(base: int, register: Register, wide: bool) -> Source:
    half = base >> 32 if register.first else base & 0xFFFFFFFF
    constant = np.array([base], np.uint64) if wide else np.array([half], np.uint32)
    return lambda machine: constant


def _lanes_source(program: Program, instruction: Instruction, operand: Operand) -> Source:
    """A lane mask, bool [n, 64]."""
    value = operand.value
    if isinstance(value, Integer) and value.value in (0, -1):
        constant = np.full((1, 1), value.value == -1)
        return lambda machine: constant
    number = scalar_number(value) if isinstance(value, Register) else None
    if number is None:
        raise unsupported(program, instruction, f"{operand} as a mask of lanes")
    return lambda machine: machine.mask(number)


def _constant(value: Integer | Real, kind: str) -> int:
    """The bits of a constant in an operand of a type.

    A literal has 32 bits: signed 64-bit integers fill up with its sign, unsigned ones with zeros,
    and of f64 it is the upper half (CDNA3 ISA, 4.1 and "Literal constants"; LLVM, SIInstrInfo).
    """
    if isinstance(value, Real):
        floats = {"f16": "f2", "bf16": "f4", "f64": "f8", "u64": "f8", "i64": "f8"}
        form = "f2" if kind in ("u16", "i16") else floats.get(kind, "f4")
        bits = int(np.array(value.value, f"<{form}").view(f"<u{form[1]}"))
        if form == "f8" and abs(value.value) not in _INLINE:
            return bits & ~0xFFFFFFFF
        return bits >> 16 if kind == "bf16" else bits
    literal = value.value & 0xFFFFFFFF
    if TYPES[kind].itemsize == 8 and not -16 <= value.value <= 64:
        sign = 0xFFFFFFFF if literal >> 31 and kind == "i64" else 0
        return literal << 32 if kind == "f64" else sign << 32 | literal
    width = 64 if TYPES[kind].itemsize == 8 else 32
    return value.value & ((1 << width) - 1)
