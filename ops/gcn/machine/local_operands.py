"""The operands and offsets of LDS instructions, checked."""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.sources import is_vector, vector_number
from rocmoe.ops.gcn.modifiers import Swizzle
from rocmoe.ops.gcn.operands import Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array

_HALF = np.uint64(32)


def read_registers(program: Program, instruction: Instruction, *dwords: int) -> tuple[int, ...]:
    """The first vector register of each operand; dwords: how many each must have."""
    if len(instruction.operands) != len(dwords):
        found = len(instruction.operands)
        raise unsupported(program, instruction, f"{found} operands, wanted {len(dwords)}")
    numbers = []
    for operand, count in zip(instruction.operands, dwords, strict=True):
        register = operand.value
        if not isinstance(register, Register) or not is_vector(register):
            raise unsupported(program, instruction, f"{operand} is no vector register")
        if register.count != count:
            raise unsupported(program, instruction, f"{operand}, of which {count} dwords are used")
        numbers.append(vector_number(register))
    return tuple(numbers)


def read_offset(program: Program, instruction: Instruction) -> int:
    """The 16-bit offset, in bytes; of ds_swizzle_b32, the pattern."""
    _check_modifiers(program, instruction, {"offset"})
    offset = instruction.modifiers.get("offset", 0)
    if isinstance(offset, Swizzle):
        offset = offset.offset
    if not isinstance(offset, int) or not 0 <= offset < 1 << 16:
        raise unsupported(program, instruction, f"an offset is 0 to 65535, found {offset}")
    return offset


def read_offsets(program: Program, instruction: Instruction, size: int) -> tuple[int, int]:
    """The two offsets, in bytes: fields count elements of `size` bytes, or 64 of them (st64)."""
    _check_modifiers(program, instruction, {"offset0", "offset1"})
    scale = size * (64 if "st64" in instruction.name else 1)
    first, second = (instruction.modifiers.get(name, 0) for name in ("offset0", "offset1"))
    assert isinstance(first, int)
    assert isinstance(second, int)
    return first * scale, second * scale


def require(program: Program, instruction: Instruction, *architectures: str) -> None:
    if program.target.architecture not in architectures:
        raise unsupported(program, instruction, f"only {' and '.join(architectures)} has it")


def read_words(machine: Machine, register: int, dwords: int) -> Array:
    """A register as u32, or a pair of them as u64; [n, 64]."""
    low = machine.vector(register)
    if dwords == 1:
        return low
    return low | machine.vector(register + 1).astype(np.uint64) << _HALF


def _check_modifiers(program: Program, instruction: Instruction, known: set[str]) -> None:
    unknown = sorted(set(instruction.modifiers) - known)
    if unknown:
        raise unsupported(program, instruction, f"modifier {unknown[0]}")
