"""First sources that come from another lane (DPP), and parts of a source (SDWA)."""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.results import Lanes
from rocmoe.ops.gcn.machine.sources import Source, modify, raw_source
from rocmoe.ops.gcn.modifiers import Dpp
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.dpp import lane_map, quad_perm, written_lanes
from rocmoe.ops.gcn.semantics.lanes import LaneMap
from rocmoe.ops.gcn.semantics.sdwa import select_source
from rocmoe.ops.gcn.semantics.words import Array


def find_lane_map(dpp: Dpp) -> LaneMap:
    """Which lane each lane reads."""
    if isinstance(dpp.argument, tuple):
        return quad_perm(dpp.argument)
    return lane_map(dpp.control, 1 if dpp.argument is None else dpp.argument)


def select_lanes(
    program: Program, instruction: Instruction, place: int, kind: str
) -> tuple[Source, Lanes | None]:
    """A source moved between lanes, and the lanes written, None for those of EXEC.

    Absolute value and negation come after the move.  A lane whose own source is out of the row or
    not in EXEC reads zero where `bound_ctrl` is set, and is not written where it is not (CDNA3 ISA,
    3.9 and DPP: BOUND_CTRL).
    """
    dpp = instruction.dpp
    assert dpp is not None
    if instruction.sdwa:
        raise unsupported(program, instruction, "DPP and SDWA at once")
    source, lanes = raw_source(program, instruction, place, kind), find_lane_map(dpp)
    enabled = written_lanes(dpp.row_mask, dpp.bank_mask)
    order, all_valid = lanes.source, bool(lanes.valid.all())
    valid = lanes.valid[None]

    def readable(machine: Machine) -> Array | None:
        """None: every lane has a source."""
        if machine.full:
            return None if all_valid else valid
        return valid & machine.active[:, order]

    def moved(machine: Machine) -> Array:
        values = source(machine)
        if values.shape[1] != WAVE:
            return values
        taken = values[:, order]
        can = readable(machine)
        return taken if can is None else np.where(can, taken, taken.dtype.type(0))

    def written(machine: Machine) -> Array:
        mask = machine.active & enabled
        can = None if dpp.bound_ctrl else readable(machine)
        return mask if can is None else mask & can

    modified = modify(moved, instruction.operands[place], kind)
    if enabled.all() and dpp.bound_ctrl:
        return modified, None
    return modified, written


def select_part(
    program: Program, instruction: Instruction, place: int, at: int, kind: str
) -> Source:
    """A source of an SDWA instruction, `at` of its two."""
    sdwa = instruction.sdwa
    assert sdwa is not None
    operand = instruction.operands[place]
    words = raw_source(program, instruction, place)
    selection = sdwa.src0_sel if at == 0 else sdwa.src1_sel

    def select(machine: Machine) -> Array:
        return select_source(words(machine), selection, operand.sign_extend)

    return modify(select, operand, kind)
