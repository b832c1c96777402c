"""Where lanes of global, flat and scratch instructions reach, by their operands.

CDNA4 ISA (AMD Instinct MI350), chapter 10: flat memory instructions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.requests import Request
from rocmoe.ops.gcn.machine.sources import (
    is_vector,
    scalar_number,
    scalar_source,
    vector_number,
    vector_source,
)
from rocmoe.ops.gcn.machine.spaces import GLOBAL, LOCAL, PRIVATE, Space
from rocmoe.ops.gcn.machine.windows import APERTURE_BYTES, PRIVATE_BASE, SHARED_BASE
from rocmoe.ops.gcn.operands import Operand, Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array

Address = Callable[[Machine], Array]

_WORD = 0xFFFFFFFF
_WINDOWS: tuple[tuple[Space, int], ...] = ((LOCAL, SHARED_BASE), (PRIVATE, PRIVATE_BASE))


def read_offset(instruction: Instruction) -> int:
    """The offset in the instruction itself, in bytes."""
    offset = instruction.modifiers.get("offset", 0)
    assert isinstance(offset, int)
    return offset


def global_address(program: Program, instruction: Instruction, at: int, base_at: int) -> Address:
    """Addresses int64 [waves, 64] (10.4): the 64 bits of operand `at`, or its 32 bits as an offset
    from a scalar base; the instruction's offset has a sign."""
    offset = read_offset(instruction)
    if _is_register(instruction, base_at):
        lane = vector_source(program, instruction, at, "u32")
        start = scalar_source(program, instruction, base_at, "u64")

        def with_base(machine: Machine) -> Array:
            return np.add((start(machine).view(np.int64) + offset)[:, None], lane(machine))

        return with_base
    address = vector_source(program, instruction, at, "u64")
    return lambda machine: address(machine).view(np.int64) + offset


def scratch_address(program: Program, instruction: Instruction, at: int, base_at: int) -> Address:
    """Bytes int64 [waves, 64] of each lane's scratch: those of a vector register, a scalar one,
    both, or neither, plus the instruction's offset (table "SVE bit")."""
    offset = read_offset(instruction)
    sources = [
        vector_source(program, instruction, place, "u32")
        for place in (at, base_at)
        if _is_register(instruction, place)
    ]

    def scratch(machine: Machine) -> Array:
        total = np.full((machine.n, WAVE), offset, np.int64)
        for source in sources:
            total += source(machine)
        return total & _WORD

    return scratch


def split_windows(machine: Machine, addresses: Array) -> list[Request]:
    """Requests of a flat instruction: which lanes mean LDS, which scratch, which device memory.

    At least one, though no lane may ask for anything.
    """
    active = machine.active
    inside = addresses if machine.full else addresses[active]
    if not inside.size or int(inside.max()) < SHARED_BASE:
        return [Request(GLOBAL, addresses)]
    requests, rest = [], active
    for space, base in _WINDOWS:
        lanes = active & (addresses >= base) & (addresses < base + APERTURE_BYTES)
        if lanes.any():
            requests.append(Request(space, addresses - base, lanes))
            rest = rest & ~lanes
    if rest.any():
        requests.append(Request(GLOBAL, addresses, rest))
    return requests


def _is_register(instruction: Instruction, at: int) -> bool:
    """Whether there is such an operand, and it is not `off`."""
    operands = instruction.operands
    return at < len(operands) and isinstance(operands[at].value, Register)


def vector_data(program: Program, instruction: Instruction, operand: Operand) -> int:
    """The number of the first register of data."""
    value = operand.value
    if not isinstance(value, Register) or not is_vector(value):
        raise unsupported(program, instruction, f"data in {operand}")
    return vector_number(value)


def scalar_register(program: Program, instruction: Instruction, operand: Operand) -> int:
    """The number of the first dword of a scalar operand."""
    value = operand.value
    number = scalar_number(value) if isinstance(value, Register) else None
    if number is None:
        raise unsupported(program, instruction, f"{operand} where a scalar register is wanted")
    return number
