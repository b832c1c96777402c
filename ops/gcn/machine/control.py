"""Program flow: branches, calls, barriers, the end, and instructions that only take time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.code import address_of, find_index
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import EXEC, M0, VCC, Machine
from rocmoe.ops.gcn.machine.modes import list_modes
from rocmoe.ops.gcn.machine.overflow import BIT, find_clamp
from rocmoe.ops.gcn.machine.scalar import write_scalar
from rocmoe.ops.gcn.machine.sources import scalar_source
from rocmoe.ops.gcn.machine.step import Outcome, Run, Transfer
from rocmoe.ops.gcn.operands import (
    GPR_INDEX_ROLES,
    HARDWARE_REGISTERS,
    GprIndex,
    HardwareRegister,
    Integer,
)
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array

#: Instructions whose effect is on time, caches or the host alone.
IDLE = frozenset(
    (
        *("s_nop", "s_waitcnt", "s_sleep", "s_setprio", "s_icache_inv", "s_sethalt"),
        *("s_incperflevel", "s_decperflevel", "s_ttracedata", "s_code_end", "v_nop", "s_sendmsg"),
    )
)

_CONDITIONS: Mapping[str, Callable[[Machine], Array]] = {
    "scc0": lambda machine: ~machine.scc,
    "scc1": lambda machine: machine.scc,
    "vccz": lambda machine: machine.scalar64(VCC) == 0,
    "vccnz": lambda machine: machine.scalar64(VCC) != 0,
    "execz": lambda machine: machine.scalar64(EXEC) == 0,
    "execnz": lambda machine: machine.scalar64(EXEC) != 0,
}
_MODE = HARDWARE_REGISTERS["HW_REG_MODE"]


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What an instruction of program flow does; None for any other."""
    name = instruction.name
    if name in IDLE:
        return lambda machine: None
    if name == "s_endpgm":
        return lambda machine: Transfer(Outcome.END)
    if name == "s_barrier":
        return lambda machine: Transfer(Outcome.BARRIER)
    if name == "s_branch":
        jump = Transfer(Outcome.JUMP, instruction.target or 0)
        return lambda machine: jump
    if name.startswith("s_cbranch_") and name[10:] in _CONDITIONS:
        return _conditional(_CONDITIONS[name[10:]], instruction.target or 0)
    lowering = _OTHERS.get(name)
    return lowering(program, instruction) if lowering else None


def _conditional(condition: Callable[[Machine], Array], target: int) -> Run:
    def run(machine: Machine) -> Transfer | None:
        taken = condition(machine)
        if not taken.any():
            return None
        if taken.all():
            return Transfer(Outcome.JUMP, target)
        return Transfer(Outcome.JUMP, np.where(taken, target, machine.index + 1))

    return run


def _get_pc(program: Program, instruction: Instruction) -> Run:
    write = write_scalar(program, instruction, True)

    def run(machine: Machine) -> None:
        address = address_of(program, machine.index + 1)
        write(machine, np.full(machine.n, address, np.uint64))

    return run


def _jump_to(program: Program, instruction: Instruction, at: int) -> Run:
    target = scalar_source(program, instruction, at, "u64")

    def run(machine: Machine) -> Transfer:
        addresses = np.broadcast_to(target(machine), (machine.n,))
        targets = np.empty(machine.n, np.int64)
        for address in np.unique(addresses):
            index = find_index(program, int(address))
            if index is None:
                raise unsupported(program, instruction, f"no instruction at {int(address):#x}")
            targets[addresses == address] = index
        return Transfer(Outcome.JUMP, targets)

    return run


def _swap_pc(program: Program, instruction: Instruction) -> Run:
    write = write_scalar(program, instruction, True)
    jump = _jump_to(program, instruction, 1)

    def run(machine: Machine) -> Transfer | None:
        transfer = jump(machine)
        address = address_of(program, machine.index + 1)
        write(machine, np.full(machine.n, address, np.uint64))
        return transfer

    return run


def _call(program: Program, instruction: Instruction) -> Run:
    save, jump = _get_pc(program, instruction), Transfer(Outcome.JUMP, instruction.target or 0)

    def run(machine: Machine) -> Transfer:
        save(machine)
        return jump

    return run


def _index_on(program: Program, instruction: Instruction) -> Run:
    """M0 takes the index and the roles (CDNA3 ISA, S_SET_GPR_IDX_ON); `indexing` does the rest."""
    index = scalar_source(program, instruction, 0, "u32")
    roles = _encode_roles(instruction, 1)

    def run(machine: Machine) -> None:
        low = index(machine) & np.uint32(0xFF)
        machine.set_scalar(M0, (machine.scalar(M0) & np.uint32(0xFFFF0F00)) | low | roles)
        machine.set_indexing(True)

    return run


def _index_off(program: Program, instruction: Instruction) -> Run:
    return lambda machine: machine.set_indexing(False)


def _set_roles(program: Program, instruction: Instruction) -> Run:
    """Other roles, whether indexing is on or not."""
    roles = _encode_roles(instruction, 0)

    def run(machine: Machine) -> None:
        machine.set_scalar(M0, (machine.scalar(M0) & np.uint32(0xFFFF0FFF)) | roles)

    return run


def _encode_roles(instruction: Instruction, at: int) -> Array:
    """Bits 15:12 of M0."""
    roles = instruction.operands[at].value
    assert isinstance(roles, GprIndex)
    bits = sum(1 << GPR_INDEX_ROLES.index(role) for role in roles.roles)
    return np.array(bits << 12, np.uint32)


def _set_index(program: Program, instruction: Instruction) -> Run:
    index = scalar_source(program, instruction, 0, "u32")

    def run(machine: Machine) -> None:
        low = index(machine) & np.uint32(0xFF)
        machine.set_scalar(M0, (machine.scalar(M0) & np.uint32(0xFFFFFF00)) | low)

    return run


def _set_mode(program: Program, instruction: Instruction) -> Run:
    """Priority and the like may be set; a mode that changes results may only be set as it is."""
    register, value = instruction.operands[0].value, instruction.operands[1].value
    assert isinstance(register, HardwareRegister)
    if register.number != _MODE or not isinstance(value, Integer):
        raise unsupported(program, instruction, "only constants may be written to MODE")
    # How the bit of FP16_OVFL is set, `find_clamp` finds from the whole program.
    settled = 0 if find_clamp(program) is None else 1 << BIT
    mask = ((1 << register.size) - 1) & ~(settled >> register.offset)
    modes = {mode >> register.offset & mask for mode in list_modes(program)}
    if modes != {value.value & mask}:
        raise unsupported(program, instruction, "it changes how floats are computed")
    return lambda machine: None


_OTHERS: Mapping[str, Callable[[Program, Instruction], Run]] = {
    "s_getpc_b64": _get_pc,
    "s_setpc_b64": lambda program, instruction: _jump_to(program, instruction, 0),
    "s_swappc_b64": _swap_pc,
    "s_call_b64": _call,
    "s_set_gpr_idx_on": _index_on,
    "s_set_gpr_idx_off": _index_off,
    "s_set_gpr_idx_idx": _set_index,
    "s_set_gpr_idx_mode": _set_roles,
    "s_setreg_imm32_b32": _set_mode,
}
