"""waitcheck: a register used before what was to fill it has returned.

Reading it is a fault, and so is writing it, since the late return would overwrite that; a later
load of the same kind returns later and may (LLVM, SIInsertWaitcnts.cpp, "RAW always needs an
s_waitcnt. WAW needs ... unless").
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rocmoe.ops.gcn.footprint import SCALAR, Footprint, find_footprint, name_dword
from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.observer import Observer
from rocmoe.ops.gcn.machine.step import Step
from rocmoe.ops.gcn.sanitizers.counters import Counters, find_counters, is_ordered
from rocmoe.ops.gcn.semantics.words import Array

CHECK = "waitcheck"


@dataclass
class _Pending:
    """A register dword that a memory instruction will fill: tickets int64 [waves] by counter, the
    instruction that took the last of them, and the kind of return it is."""

    tickets: dict[str, Array]
    index: int
    kind: tuple[str, ...]


@dataclass(frozen=True)
class _Use:
    footprint: Footprint
    touched: frozenset[int]
    fills: frozenset[int]
    counters: tuple[str, ...]
    kind: tuple[str, ...]


@dataclass
class Waitcheck(Observer):
    """Stands behind the Counters that it reads."""

    counters: Counters
    _pending: dict[int, _Pending] = field(default_factory=dict)

    def begin(self, machine: Machine) -> None:
        self._pending = {}

    def step(self, machine: Machine, step: Step) -> None:
        use = _find_use(step.instruction)
        if not self._pending.keys().isdisjoint(use.touched):
            for dword in use.touched & self._pending.keys():
                self._check(machine, step, use, dword)
        for dword in use.fills:
            self._expect(machine, step, use, dword)

    def _check(self, machine: Machine, step: Step, use: _Use, dword: int) -> None:
        pending = self._pending[dword]
        if dword not in use.footprint.reads - use.footprint.kept and use.kind == pending.kind:
            return
        over = True
        for name, tickets in pending.tickets.items():
            done = self.counters.of[name].done
            late = tickets[machine.sel] > done[machine.sel]
            if late.any():
                self._report(machine, step, use, dword, name, late)
            over = over and bool((tickets <= done).all())
        if over:
            del self._pending[dword]

    def _expect(self, machine: Machine, step: Step, use: _Use, dword: int) -> None:
        known = self._pending.get(dword)
        tickets = known.tickets if known else {}
        for name in use.counters:
            if name not in tickets:
                tickets[name] = np.zeros(machine.waves, np.int64)
            tickets[name][machine.sel] = self.counters.of[name].issued[machine.sel]
        self._pending[dword] = _Pending(tickets, step.index, use.kind)

    def _report(
        self, machine: Machine, step: Step, use: _Use, dword: int, name: str, late: Array
    ) -> None:
        pending, counter = self._pending[dword], self.counters.of[name]
        program = machine.program

        def describe(row: int, lane: int) -> str:
            wave = np.arange(machine.waves)[machine.sel][row]
            own = int(counter.issued[wave]) - (name in use.counters)
            ordered = int(counter.unordered[wave]) <= int(counter.done[wave])
            allowed = own - int(pending.tickets[name][wave]) if ordered else 0
            way = "read" if dword in use.footprint.reads else "overwritten"
            filler = program.instructions[pending.index]
            return (
                f"{name_dword(dword)} is {way} before it is filled by line {filler.line}: "
                f"{filler.text}; s_waitcnt {name}({allowed}) is due before"
            )

        machine.faults.report(CHECK, step.index, late, machine.place, describe, name)


def _find_use(instruction: Instruction) -> _Use:
    if CHECK not in instruction.memo:
        instruction.memo[CHECK] = _make_use(instruction)
    use: _Use = instruction.memo[CHECK]
    return use


def _make_use(instruction: Instruction) -> _Use:
    footprint, counters = find_footprint(instruction), find_counters(instruction)
    name = instruction.name
    returns = bool(counters) and not (name.startswith("s_") and "load" not in name)
    kind = (*counters, name.partition("_")[0]) if is_ordered(instruction) else (name, "unordered")
    return _Use(
        footprint=footprint,
        touched=footprint.reads | footprint.writes,
        fills=frozenset(d for d in footprint.writes if d != SCALAR + 253)
        if returns
        else frozenset(),
        counters=counters,
        kind=_plain(kind),
    )


def _plain(kind: tuple[str, ...]) -> tuple[str, ...]:
    """Vector memory of any name returns in one order."""
    return tuple(
        "memory" if word in ("buffer", "global", "tbuffer", "scratch") else word for word in kind
    )
