"""A step: an instruction as something that can be run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.semantics.words import Array

if TYPE_CHECKING:
    from rocmoe.ops.gcn.machine.machine import Machine


class Outcome(Enum):
    """Why a wave does not simply go on to the next instruction."""

    JUMP = "jump"
    BARRIER = "barrier"
    END = "end"


@dataclass(frozen=True)
class Transfer:
    """targets: of a JUMP, the index of the instruction each selected wave goes to, int64 [waves],
    or one for all."""

    outcome: Outcome
    targets: Array | int = 0


#: What an instruction does to the selected waves; None: they go on to the next one.
Run = Callable[["Machine"], Transfer | None]


@dataclass(frozen=True)
class Step:
    """index: of the instruction in the program."""

    index: int
    instruction: Instruction
    run: Run
