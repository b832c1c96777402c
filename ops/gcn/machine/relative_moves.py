"""S_MOVRELS and S_MOVRELD: moves between scalar registers, one of which M0 counts on.

Source: CDNA3 ISA (AMD Instinct MI300), S_MOVRELS_B32 and its relatives.
"""

from __future__ import annotations

import re

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import M0, Machine
from rocmoe.ops.gcn.machine.scalar import write_scalar
from rocmoe.ops.gcn.machine.sources import scalar_source
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array

_NAME = re.compile(r"s_movrel(?P<side>[sd])_b(?P<bits>32|64)")
#: Those that a wave has for its own use (CDNA3 ISA, 3.6).
_REGISTERS = 102


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What such a move does; None for any other instruction."""
    found = _NAME.fullmatch(instruction.name)
    if not found:
        return None
    wide = found["bits"] == "64"
    by_source = found["side"] == "s"
    register = instruction.operands[1 if by_source else 0].value
    if not isinstance(register, Register) or register.file != "s":
        raise unsupported(program, instruction, "M0 counts on s registers only")
    first = register.first

    def places(machine: Machine) -> Array:
        numbers = first + machine.scalar(M0).astype(np.int64)
        if (numbers + wide >= _REGISTERS).any() or (wide and (numbers & 1).any()):
            raise unsupported(program, instruction, f"M0 leads to s{int(numbers.max())}")
        return numbers

    if by_source:
        write = write_scalar(program, instruction, wide)

        def load(machine: Machine) -> None:
            numbers = places(machine)
            values = np.empty(machine.n, np.uint64 if wide else np.uint32)
            for number in np.unique(numbers):
                read = machine.scalar64 if wide else machine.scalar
                values = np.where(numbers == number, read(int(number)), values)
            write(machine, values)

        return load
    source = scalar_source(program, instruction, 1, "u64" if wide else "u32")

    def store(machine: Machine) -> None:
        numbers, values = places(machine), source(machine)
        for number in np.unique(numbers):
            at, here = int(number), numbers == number
            if wide:
                machine.set_scalar64(at, np.where(here, values, machine.scalar64(at)))
            else:
                machine.set_scalar(at, np.where(here, values, machine.scalar(at)))

    return store
