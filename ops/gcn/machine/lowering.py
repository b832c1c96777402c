"""From an instruction to the step that executes it."""

from __future__ import annotations

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine import (
    control,
    global_memory,
    lane_moves,
    local_memory,
    matrix,
    packed,
    scalar,
    scalar_memory,
    scratch_memory,
    vector,
)
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.indexing import find_roles, lower_indexed
from rocmoe.ops.gcn.machine.step import Run, Step
from rocmoe.ops.gcn.program import Program

#: In turn; each lowers what is its own and passes on the rest.
_LOWERINGS = (
    control.lower,
    lane_moves.lower,
    matrix.lower,
    packed.lower,
    vector.lower,
    scalar.lower,
    scalar_memory.lower,
    global_memory.lower,
    scratch_memory.lower,
    local_memory.lower,
)


class Steps:
    """The steps of a program, each made when it is first executed."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._steps: list[Step | None] = [None] * len(program.instructions)
        names = {instruction.name for instruction in program.instructions}
        self._indexes = not names.isdisjoint(("s_set_gpr_idx_on", "s_set_gpr_idx_mode"))

    def __getitem__(self, index: int) -> Step:
        step = self._steps[index]
        if step is None:
            step = self._steps[index] = self._make(index)
        return step

    def _make(self, index: int) -> Step:
        instruction = self.program.instructions[index]
        indexes = self._indexes and instruction.name.startswith("v_")
        if indexes and (roles := find_roles(self.program, index)):
            return Step(index, instruction, lower_indexed(self.program, instruction, roles, lower))
        return Step(index, instruction, lower(self.program, instruction))


def lower(program: Program, instruction: Instruction) -> Run:
    """What executes an instruction; `UnsupportedError` for one that is not simulated."""
    for lowering in _LOWERINGS:
        run = lowering(program, instruction)
        if run is not None:
            return run
    raise unsupported(program, instruction)
