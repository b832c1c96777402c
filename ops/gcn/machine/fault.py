"""Faults: what went wrong, at which instruction, first for whom, and for how many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array


class UnsupportedError(RocmoeError):
    """An instruction, or a use of one, that is not simulated; never a wrong number instead."""


class DeadlockError(RocmoeError):
    """A launch that does not come to an end."""


def unsupported(program: Program, instruction: Instruction, why: str = "") -> UnsupportedError:
    """The error for an instruction that is not simulated, with its place."""
    reason = f": {why}" if why else ""
    return UnsupportedError(f"not simulated{reason}: {program.where(instruction)}")


@dataclass(frozen=True)
class Fault:
    """One kind of wrong at one instruction.

    index: of the instruction. workgroup, wave, lane: the first it was seen for; lane is None where
    the whole wave is meant. count: lanes or waves it was seen for. is_note: worth a word, no fault.
    """

    check: str
    index: int
    workgroup: int
    wave: int
    lane: int | None
    message: str
    count: int = 1
    is_note: bool = False


@dataclass
class FaultLog:
    """Faults by check and instruction, in the order in which they were first seen."""

    faults: dict[tuple[str, int, str], Fault] = field(default_factory=dict)

    def add(self, fault: Fault, kind: str = "") -> None:
        """Note a fault; of those alike (check, instruction, kind) one is kept, and counted."""
        key = (fault.check, fault.index, kind)
        known = self.faults.get(key)
        self.faults[key] = replace(known, count=known.count + fault.count) if known else fault

    def report(
        self,
        check: str,
        index: int,
        bad: Array,
        place: Callable[[int], tuple[int, int]],
        describe: Callable[[int, int], str],
        kind: str = "",
        is_note: bool = False,
    ) -> None:
        """Note the lanes of `bad`, bool [waves, 64], or waves, bool [waves].

        place: (workgroup, wave in it) of a row; describe: the words for a row and a lane, called
        for the first alone.
        """
        places = np.argwhere(bad)
        if not len(places):
            return
        row = int(places[0][0])
        lane = int(places[0][1]) if bad.ndim == 2 else None
        workgroup, wave = place(row)
        key = (check, index, kind)
        message = "" if key in self.faults else describe(row, lane or 0)
        fault = Fault(check, index, workgroup, wave, lane, message, len(places), is_note)
        self.add(fault, kind)

    def found(self, check: str, index: int, kind: str = "") -> bool:
        """Whether this was seen before."""
        return (check, index, kind) in self.faults

    def listing(self) -> tuple[Fault, ...]:
        return tuple(self.faults.values())
