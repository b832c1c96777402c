"""VGPR indexing: operands whose register M0 counts on while `s_set_gpr_idx_on` holds.

Each value of the index that waves have makes an instruction of its own, lowered like any other.
Where indexing is on must show from the text: between the two instructions that bound it stands no
label (CDNA3 ISA, 4.6 and S_SET_GPR_IDX_ON; LLVM emits it so).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import M0, Machine
from rocmoe.ops.gcn.machine.sources import is_vector
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import GprIndex, Operand, Register
from rocmoe.ops.gcn.program import Program

Lower = Callable[[Program, Instruction], Run]


def find_roles(program: Program, index: int) -> tuple[str, ...]:
    """The operands that are indexed at an instruction: SRC0, SRC1, SRC2, DST; mostly none."""
    labels = set(program.labels.values())
    for at in range(index - 1, -1, -1):
        instruction = program.instructions[at]
        if instruction.name == "s_set_gpr_idx_off" or at + 1 in labels or instruction.is_branch:
            return ()
        if instruction.name == "s_set_gpr_idx_mode":
            roles = instruction.operands[0].value
            return roles.roles if isinstance(roles, GprIndex) else ()
        if instruction.name == "s_set_gpr_idx_on":
            roles = instruction.operands[1].value
            return roles.roles if isinstance(roles, GprIndex) else ()
    return ()


def lower_indexed(
    program: Program, instruction: Instruction, roles: tuple[str, ...], lower: Lower
) -> Run:
    """An instruction while indexing is on."""
    made: dict[int, Run] = {}

    def run(machine: Machine) -> None:
        offsets = machine.scalar(M0) & np.uint32(0xFF)
        chosen = np.arange(machine.waves)[machine.sel]
        everyone = machine.everyone
        for offset in np.unique(offsets):
            step = int(offset)
            if step not in made:
                made[step] = lower(program, _shift(program, instruction, roles, step))
            machine.select(chosen[offsets == offset])
            made[step](machine)
        machine.select(None if everyone else chosen)

    return run


def _shift(
    program: Program, instruction: Instruction, roles: tuple[str, ...], offset: int
) -> Instruction:
    operands = list(instruction.operands)
    places = {"DST": 0, "SRC0": 1, "SRC1": 2, "SRC2": 3}
    for role in roles:
        place = places[role]
        if place < len(operands):
            operands[place] = _count_on(program, instruction, operands[place], offset)
    return replace(instruction, operands=tuple(operands))


def _count_on(
    program: Program, instruction: Instruction, operand: Operand, offset: int
) -> Operand:
    register = operand.value
    if not isinstance(register, Register) or not is_vector(register):
        return operand
    if register.first + offset + register.count > 256:
        raise unsupported(program, instruction, f"index {offset} leaves the registers")
    return replace(operand, value=replace(register, first=register.first + offset))
