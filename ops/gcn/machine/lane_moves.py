"""Vector instructions between lanes and scalars, and between the lanes of two registers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.scalar import write_scalar
from rocmoe.ops.gcn.machine.sources import raw_source, scalar_source, vector_number
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics import lanes
from rocmoe.ops.gcn.semantics.words import Array

_SWAPS: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
    "v_permlane16_swap_b32": lanes.permlane16_swap,
    "v_permlane32_swap_b32": lanes.permlane32_swap,
}
_EVERY_LANE = np.ones((1, WAVE), np.bool_)


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What such an instruction does; None for any other."""
    name = instruction.name
    if name in ("v_readlane_b32", "v_readfirstlane_b32"):
        return _read(program, instruction)
    if name == "v_writelane_b32":
        return _write(program, instruction)
    if name in _SWAPS:
        if program.target.architecture != "gfx950":
            raise unsupported(program, instruction, "only gfx950 has it")
        return _swap(program, instruction, _SWAPS[name])
    return None


def _read(program: Program, instruction: Instruction) -> Run:
    values = raw_source(program, instruction, 1)
    write = write_scalar(program, instruction, False)
    if instruction.name == "v_readfirstlane_b32":

        def first(machine: Machine) -> None:
            words = np.broadcast_to(values(machine), (machine.n, WAVE))
            if machine.full:
                write(machine, words[:, 0])
            else:
                write(machine, lanes.read_first_lane(words, machine.active))

        return first
    lane = scalar_source(program, instruction, 2, "u32")

    def chosen(machine: Machine) -> None:
        words = np.broadcast_to(values(machine), (machine.n, WAVE))
        write(machine, lanes.read_lane(words, lane(machine)))

    return chosen


def _write(program: Program, instruction: Instruction) -> Run:
    register = instruction.operands[0].value
    if not isinstance(register, Register):
        raise unsupported(program, instruction)
    number = vector_number(register)
    value = scalar_source(program, instruction, 1, "u32")
    lane = scalar_source(program, instruction, 2, "u32")

    def run(machine: Machine) -> None:
        words = lanes.write_lane(machine.vector(number), value(machine), lane(machine))
        machine.set_vector(number, words, _EVERY_LANE)

    return run


def _swap(
    program: Program,
    instruction: Instruction,
    swap: Callable[[Array, Array], tuple[Array, Array]],
) -> Run:
    registers = [operand.value for operand in instruction.operands]
    if instruction.modifiers or not all(isinstance(each, Register) for each in registers):
        raise unsupported(program, instruction)
    partner = np.arange(WAVE) ^ (16 if "16" in instruction.name else 32)
    first, second = (vector_number(r) for r in registers if isinstance(r, Register))

    def run(machine: Machine) -> None:
        if not machine.full and (machine.active != machine.active[:, partner]).any():
            raise unsupported(program, instruction, "one lane of a pair that swaps is off")
        new_first, new_second = swap(machine.vector(first), machine.vector(second))
        machine.set_vector(first, new_first)
        machine.set_vector(second, new_second)

    return run
