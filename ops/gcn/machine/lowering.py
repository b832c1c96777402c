"""From an instruction to the step that executes it."""

from __future__ import annotations

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine import (
    control,
    global_memory,
    inexact,
    lane_moves,
    local_memory,
    matrix,
    narrow,
    overflow,
    packed,
    relative_moves,
    scalar,
    scalar_memory,
    scratch_memory,
    special_matrix,
    vector,
)
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.indexing import lower_indexed
from rocmoe.ops.gcn.machine.step import Run, Step
from rocmoe.ops.gcn.program import Program

#: In turn; each lowers what is its own and passes on the rest.
_LOWERINGS = (
    control.lower,
    lane_moves.lower,
    matrix.lower,
    special_matrix.lower,
    narrow.lower,
    overflow.lower,
    packed.lower,
    vector.lower,
    scalar.lower,
    relative_moves.lower,
    scalar_memory.lower,
    global_memory.lower,
    scratch_memory.lower,
    local_memory.lower,
)


class Steps:
    """The steps of a program, each made when it is first executed.

    inexact: whether transcendental instructions are as far off as the hardware's may be.
    """

    def __init__(self, program: Program, inexact: bool = False) -> None:
        self.program, self._inexact = program, inexact
        self._steps: list[Step | None] = [None] * len(program.instructions)
        self._indexes = any(each.name == "s_set_gpr_idx_on" for each in program.instructions)

    def __getitem__(self, index: int) -> Step:
        if index == len(self._steps):
            raise RocmoeError(f"{self.program.file}: a wave runs past the last instruction")
        step = self._steps[index]
        if step is None:
            step = self._steps[index] = self._make(index)
        return step

    def _make(self, index: int) -> Step:
        instruction = self.program.instructions[index]
        if self._indexes and instruction.name.startswith("v_"):
            return Step(index, instruction, lower_indexed(self.program, instruction, self._lower))
        return Step(index, instruction, self._lower(self.program, instruction))

    def _lower(self, program: Program, instruction: Instruction) -> Run:
        run = inexact.lower(program, instruction) if self._inexact else None
        return run or lower(program, instruction)


def lower(program: Program, instruction: Instruction) -> Run:
    """What executes an instruction; `UnsupportedError` for one that is not simulated."""
    for lowering in _LOWERINGS:
        run = lowering(program, instruction)
        if run is not None:
            return run
    raise unsupported(program, instruction)
