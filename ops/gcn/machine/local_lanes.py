"""Instructions that use the LDS crossbar to move values between lanes, without its memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.local_operands import read_offset, read_registers
from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics import lanes
from rocmoe.ops.gcn.semantics.words import Array

_PERMUTES: dict[str, Callable[[Array, Array, Array, int], Array]] = {
    "ds_bpermute_b32": lanes.bpermute,
    "ds_permute_b32": lanes.permute,
}


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What ds_swizzle_b32, ds_bpermute_b32 and ds_permute_b32 do; None for any other."""
    if instruction.name == "ds_swizzle_b32":
        return _swizzle(program, instruction)
    permute = _PERMUTES.get(instruction.name)
    if permute is None:
        return None
    result, address, data = read_registers(program, instruction, 1, 1, 1)
    offset = read_offset(program, instruction)

    def run(machine: Machine) -> None:
        values = machine.vector(data)
        moved = permute(machine.vector(address), values, machine.active, offset)
        machine.set_vector(result, moved)

    return run


def _swizzle(program: Program, instruction: Instruction) -> Run:
    result, data = read_registers(program, instruction, 1, 1)
    offset = read_offset(program, instruction)
    source = lanes.swizzle_lanes(offset).source

    def run(machine: Machine) -> None:
        values = machine.vector(data)
        if machine.full:
            machine.set_vector(result, np.take(values, source, axis=1))
        else:
            machine.set_vector(result, lanes.swizzle(values, machine.active, offset))

    return run
