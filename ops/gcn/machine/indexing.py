"""VGPR indexing: operands whose register M0 counts on while `s_set_gpr_idx_on` holds.

M0[7:0] is the index and M0[15:12] says for which operands it counts (CDNA3 ISA, S_SET_GPR_IDX_ON).
Each index that waves have makes an instruction of its own, lowered like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import M0, Machine
from rocmoe.ops.gcn.machine.operations import list_operations
from rocmoe.ops.gcn.machine.sources import is_vector
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import GPR_INDEX_ROLES, Operand, Register
from rocmoe.ops.gcn.program import Program

Lower = Callable[[Program, Instruction], Run]

_FIELDS = np.uint32(0xF0FF)
_INDEX = 0xFF
#: Of these the documents do not say which operands are counted on.
_UNDEFINED = (
    "v_mfma",
    "v_swap",
    "v_permlane",
    "v_mac",
    "v_fmac",
    "v_pk_fmac",
    "v_dot2c",
    "v_dot4c",
)


def lower_indexed(program: Program, instruction: Instruction, lower: Lower) -> Run:
    """A vector instruction of a program that uses indexing, whether it is on or off."""
    made: dict[int, Run] = {}

    def run_as(machine: Machine, key: int) -> None:
        if key not in made:
            made[key] = lower(program, _shift(program, instruction, key))
        made[key](machine)

    def run(machine: Machine) -> None:
        on = machine.indexing
        if not on.any():
            run_as(machine, 0)
            return
        keys = np.where(on, machine.scalar(M0) & _FIELDS, np.uint32(0))
        chosen, everyone = np.arange(machine.waves)[machine.sel], machine.everyone
        for key in np.unique(keys):
            machine.select(chosen[keys == key])
            run_as(machine, int(key))
        machine.select(None if everyone else chosen)

    return run


def _shift(program: Program, instruction: Instruction, key: int) -> Instruction:
    """The instruction with the registers that it has by bits 15:12 and 7:0 of M0."""
    offset, roles = key & _INDEX, key >> 12
    if not roles or not offset:
        return instruction
    if instruction.name.startswith(_UNDEFINED):
        raise unsupported(program, instruction, "its registers cannot be indexed")
    operands = list(instruction.operands)
    first = _first_source(program, instruction)
    places = dict(zip(GPR_INDEX_ROLES, (first, first + 1, first + 2, 0), strict=True))
    for bit, role in enumerate(GPR_INDEX_ROLES):
        place = places[role]
        if roles >> bit & 1 and place < len(operands):
            operands[place] = _count_on(program, instruction, operands[place], offset)
    return replace(instruction, operands=tuple(operands))


def _first_source(program: Program, instruction: Instruction) -> int:
    """Behind the destination, and behind the carry where one is written."""
    operation = list_operations(program.target.architecture).get(instruction.name)
    carries = operation is not None and operation.results[1:] == ("bool",)
    return 2 if carries and not instruction.name.startswith("v_cmp") else 1


def _count_on(program: Program, instruction: Instruction, operand: Operand, offset: int) -> Operand:
    register = operand.value
    if not isinstance(register, Register) or not is_vector(register):
        return operand
    if register.first + offset + register.count > 256:
        raise unsupported(program, instruction, f"index {offset} leaves the registers")
    return replace(operand, value=replace(register, first=register.first + offset))
