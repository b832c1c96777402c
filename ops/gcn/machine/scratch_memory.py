"""Scratch instructions: memory that each lane has for itself.

CDNA4 ISA, 10.5 "Scratch".  The swizzle by thread only says where hardware keeps a lane's bytes;
addresses here are those of the lane.
"""

from __future__ import annotations

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.addressing import scratch_address
from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.requests import Request
from rocmoe.ops.gcn.machine.spaces import PRIVATE
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.machine.vector_memory import read_transfer
from rocmoe.ops.gcn.program import Program


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What a scratch instruction does; None for any other."""
    if not instruction.name.startswith("scratch_"):
        return None
    transfer = read_transfer(program, instruction)
    address = scratch_address(program, instruction, transfer.address_at, transfer.base_at)
    perform = transfer.perform

    def run(machine: Machine) -> None:
        perform(machine, Request(PRIVATE, address(machine)))

    return run
