"""Buffer, global and flat instructions (CDNA4 ISA, chapters 9 and 10)."""

from __future__ import annotations

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.accesses import AtomicUpdate
from rocmoe.ops.gcn.machine.addressing import global_address, split_windows
from rocmoe.ops.gcn.machine.buffer_addressing import (
    read_buffer_operands,
    request_buffer,
    split_dwords,
)
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.requests import Request
from rocmoe.ops.gcn.machine.spaces import GLOBAL, PRIVATE
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.machine.vector_memory import Transfer, read_transfer
from rocmoe.ops.gcn.program import Program

#: Caches are not modelled: memory is always up to date.
_CACHE_CONTROL = frozenset(
    ("buffer_inv", "buffer_wbl2", "buffer_invl2", "buffer_wbinvl1", "buffer_wbinvl1_vol")
)


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What a buffer, global or flat instruction does; None for any other."""
    family = instruction.name.partition("_")[0]
    if instruction.name in _CACHE_CONTROL:
        return lambda machine: None
    if family == "tbuffer":
        raise unsupported(program, instruction, "typed buffers")
    if family not in ("buffer", "global", "flat"):
        return None
    transfer = read_transfer(program, instruction)
    if family == "buffer":
        return _lower_buffer(program, instruction, transfer)
    address = global_address(program, instruction, transfer.address_at, transfer.base_at)
    perform = transfer.perform
    if family == "global":

        def run_global(machine: Machine) -> None:
            perform(machine, Request(GLOBAL, address(machine)))

        return run_global

    def run_flat(machine: Machine) -> None:
        for request in split_windows(machine, address(machine)):
            if request.space is PRIVATE and isinstance(perform, AtomicUpdate):
                raise unsupported(program, instruction, "an atomic in scratch")
            perform(machine, request)

    return run_flat


def _lower_buffer(program: Program, instruction: Instruction, transfer: Transfer) -> Run:
    operands = read_buffer_operands(program, instruction, transfer.address_at)
    perform, size = transfer.perform, transfer.size

    def run(machine: Machine) -> None:
        request, left = request_buffer(machine, operands, size)
        if left is not None and not isinstance(perform, AtomicUpdate):
            parts = split_dwords(machine, request, left, size)
            for at, part in enumerate(parts):
                perform.part(at)(machine, part)
            if parts:
                return
        perform(machine, request)

    return run
