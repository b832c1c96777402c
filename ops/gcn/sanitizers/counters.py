"""The counters that `s_waitcnt` waits on: what each wave has outstanding.

A memory instruction takes the next ticket of its counter; `done` is the last ticket that is known
to have returned.  vmcnt: vector memory, loads and stores, returned in order.  lgkmcnt: LDS in
order; scalar memory out of order, so that with any outstanding only a wait for zero tells anything.
FLAT instructions count on both and come back in any order (CDNA3 ISA, 4.4: "Data dependency
resolution: S_WAITCNT"; LLVM, SIInsertWaitcnts.cpp: counterOutOfOrder).  expcnt is not modelled:
nothing that a compute kernel issues on these targets counts on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.observer import Observer
from rocmoe.ops.gcn.machine.step import Step
from rocmoe.ops.gcn.operands import WaitCount
from rocmoe.ops.gcn.semantics.words import Array

VM, LGKM = "vmcnt", "lgkmcnt"
_SCALAR_MEMORY = ("s_load", "s_buffer_load", "s_scratch_load", "s_store", "s_memtime")
_MESSAGES = ("s_sendmsg", "s_memrealtime")
_VECTOR_MEMORY = ("buffer_", "tbuffer_", "global_", "scratch_")
#: Invalidating a cache is no vector memory operation (LLVM, AMDGPU::getMUBUFIsBufferInv).
_UNCOUNTED = ("buffer_inv", "buffer_wbinvl1", "buffer_wbinvl1_vol")


def find_counters(instruction: Instruction) -> tuple[str, ...]:
    """The counters that an instruction takes a ticket of."""
    name = instruction.name
    if name.startswith("flat_"):
        return (VM, LGKM)
    if name.startswith(_VECTOR_MEMORY) and name not in _UNCOUNTED:
        return (VM,)
    if name.startswith(("ds_", *_SCALAR_MEMORY, *_MESSAGES)) and name != "ds_nop":
        return (LGKM,)
    return ()


def is_ordered(instruction: Instruction) -> bool:
    """Whether it returns in the order of its counter."""
    return not instruction.name.startswith(("flat_", *_SCALAR_MEMORY, *_MESSAGES))


@dataclass
class Counter:
    """Tickets of one counter, int64 [waves] each: the last given, the last known to be back, the
    last given to something that returns out of order."""

    issued: Array
    done: Array
    unordered: Array


class Counters(Observer):
    """Follows the counters of all waves of a batch; those who use it come behind it."""

    def begin(self, machine: Machine) -> None:
        self.of = {
            name: Counter(*(np.zeros(machine.waves, np.int64) for _ in range(3)))
            for name in (VM, LGKM)
        }
        self._kinds: dict[int, tuple[tuple[str, ...], bool, WaitCount | None]] = {}

    def step(self, machine: Machine, step: Step) -> None:
        kinds = self._kinds.get(step.index)
        if kinds is None:
            kinds = self._kinds[step.index] = _classify(step.instruction)
        names, ordered, wait = kinds
        for name in names:
            counter = self.of[name]
            counter.issued[machine.sel] += 1
            if not ordered:
                counter.unordered[machine.sel] = counter.issued[machine.sel]
        if wait:
            self._wait(machine, VM, wait.vmcnt)
            self._wait(machine, LGKM, wait.lgkmcnt)

    def _wait(self, machine: Machine, name: str, allowed: int) -> None:
        counter, sel = self.of[name], machine.sel
        issued, done = counter.issued[sel], counter.done[sel]
        known = issued - allowed
        if allowed:
            known = np.where(counter.unordered[sel] > done, done, known)
        counter.done[sel] = np.maximum(done, known)


def _classify(instruction: Instruction) -> tuple[tuple[str, ...], bool, WaitCount | None]:
    wait = instruction.operands[0].value if instruction.name == "s_waitcnt" else None
    names = find_counters(instruction)
    return names, is_ordered(instruction), wait if isinstance(wait, WaitCount) else None
