"""racecheck of global memory: what two waves do to the same bytes with nothing that orders them.

Two workgroups are never ordered, except by atomics: where the later one has fetched an atomic
before, and the earlier one made an atomic behind its access, the finding is a note, since which
atomic was meant to order what is not modelled.  Two waves of one workgroup
are ordered by a barrier: they run on one compute unit, whose memory instructions go through one L1
cache in order.  Only in tgsplit mode, where they may not, the first must have come to the barrier
after its access had returned (LLVM, User Guide for AMDGPU Backend, "Memory Model GFX90A" and
"GFX942": a release at workgroup scope waits for vmcnt in tgsplit mode alone).  Accesses are kept
until the launch has ended, and only those to allocations that are written to are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from rocmoe.ops.gcn.machine.arena import Allocation
from rocmoe.ops.gcn.machine.fault import Fault
from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.observer import Access, Observer
from rocmoe.ops.gcn.sanitizers.counters import VM, Counters
from rocmoe.ops.gcn.sanitizers.owners import Owners
from rocmoe.ops.gcn.sanitizers.records import Entry, Record, find_repeats, is_coherent, pick
from rocmoe.ops.gcn.semantics.words import Array

CHECK = "racecheck"


@dataclass(frozen=True)
class Opening:
    """A barrier opened: from here on all of these waves' accesses up to the tickets are seen."""

    waves: Array
    tickets: Array


@dataclass(frozen=True)
class Publication:
    """An atomic: who fetches it later may see these waves' accesses up to the tickets."""

    waves: Array
    tickets: Array


Event = Record | Opening | Publication


@dataclass
class GlobalRaces(Observer):
    """Stands behind the Counters that it reads."""

    counters: Counters
    _log: list[Entry | Opening] = field(default_factory=list)
    _first: int = 0
    _fetched: Array = field(default_factory=lambda: np.zeros(0, np.bool_))
    _place: list[Array] = field(default_factory=list)
    _before: Array | None = None
    _split: bool = False

    def begin(self, machine: Machine) -> None:
        """Waves are numbered on from those of the batches before."""
        self._first = sum(len(slots) for slots in self._place[1::2])
        self._place += [machine.placement.workgroup, machine.placement.slot]
        self._fetched = np.zeros(machine.groups, np.bool_)
        self._split = any(kernel.descriptor.tg_split for kernel in machine.program.kernels)

    def access(self, machine: Machine, access: Access) -> None:
        if _is_store(access):
            self._before = find_repeats(machine, access)

    def accessed(self, machine: Machine, access: Access) -> None:
        if access.space != "global" or access.scalar or not access.active.any():
            return
        instruction = machine.program.instructions[machine.index]
        coherent = access.kind != "atomic" and is_coherent(instruction)
        stores, sel = _is_store(access), machine.sel
        entry = Entry(
            kind=access.kind,
            index=machine.index,
            size=access.size,
            is_atomic=access.kind == "atomic" or coherent,
            addresses=access.addresses,
            active=access.active,
            low=int(access.addresses.min(where=access.active, initial=np.iinfo(np.int64).max)),
            high=int(access.addresses.max(where=access.active, initial=0)),
            waves=np.arange(self._first, self._first + machine.waves, dtype=np.int32)[sel],
            tickets=self.counters.of[VM].issued[sel].astype(np.int32),
            done=self.counters.of[VM].done[sel].astype(np.int32),
            repeats=self._before if stores else None,
            stands=find_repeats(machine, access) if stores else None,
            fetched=self._fetched[machine.group],
        )
        self._log.append(entry)
        if (coherent and not stores) or access.returns is not None:
            self._fetched[np.unique(machine.group[access.active.any(axis=1)])] = True

    def release(self, machine: Machine, waves: Array) -> None:
        counter = self.counters.of[VM]
        seen = counter.done if self._split else counter.issued
        self._log.append(Opening(waves + self._first, seen[waves]))

    def end(self, machine: Machine) -> None:
        workgroups, slots = (np.concatenate(self._place[at::2]) for at in (0, 1))
        stores = [each for each in self._log if isinstance(each, Entry) and each.kind != "load"]
        for allocation in machine.memory.allocations:
            if any(entry.touches(allocation) for entry in stores):
                self._look(machine, allocation, workgroups, slots)

    def _look(
        self, machine: Machine, allocation: Allocation, workgroups: Array, slots: Array
    ) -> None:
        records = self._list(machine, allocation)
        sizes = [each.size for each in records if isinstance(each, Record)]
        if any((each.addresses % each.size).any() for each in records if isinstance(each, Record)):
            sizes.append(1)
        owners = Owners(allocation, min(sizes, default=1), workgroups, slots)
        for record in records:
            if isinstance(record, Opening):
                owners.open(record.waves, record.tickets)
            elif isinstance(record, Publication):
                owners.publish(record.waves, record.tickets)
            else:
                for conflict in owners.visit(record):
                    self._report(machine, record, *conflict, owners)

    def _list(self, machine: Machine, allocation: Allocation) -> list[Event]:
        """What happened in an allocation, without loads that only guess what a compare-and-swap
        will find there."""
        events = [event for each in self._log for event in _find_events(each, allocation)]
        swaps = [
            each.keys
            for each in events
            if isinstance(each, Record)
            and "cmpswap" in machine.program.instructions[each.index].name
        ]
        if not swaps:
            return events
        keys = np.unique(np.concatenate(swaps))
        return [_drop_guesses(each, keys) for each in events]

    def _report(
        self,
        machine: Machine,
        record: Record,
        bad: Array,
        others: Array,
        indices: Array,
        did: str,
        note: str,
        owners: Owners,
    ) -> None:
        """bad: positions in the record; others: the waves before; indices: their instructions."""
        at, wave = int(bad[0]), int(record.waves[bad[0]])
        other, index = int(others[0]), int(indices[0])
        program = machine.program
        where = machine.memory.locate(int(record.addresses[at]), record.size)
        doing = {"load": "reads", "store": "stores to", "atomic": "updates"}[record.kind]
        before = program.instructions[index]
        same_group = owners.workgroups[wave] == owners.workgroups[other]
        who = f"wave {owners.slots[other]}" + (
            "" if same_group else f" of workgroup {owners.workgroups[other]}"
        )
        behind = " behind its s_waitcnt vmcnt" if self._split else ""
        order = (
            f"no barrier{behind} stands between" if same_group else "workgroups run in any order"
        )
        message = (
            f"{doing} {where}, {did} by {who} at line {before.line}: {before.text}; {note or order}"
        )
        fault = Fault(
            CHECK,
            record.index,
            int(owners.workgroups[wave]),
            int(owners.slots[wave]),
            int(record.lanes[at]),
            message,
            count=len(np.unique(bad)),
            is_note=bool(note),
        )
        machine.faults.add(fault, f"{did} {index} {note}")


def _is_store(access: Access) -> bool:
    return access.space == "global" and access.kind == "store" and access.data is not None


def _find_events(entry: Entry | Opening, allocation: Allocation) -> Iterator[Event]:
    if isinstance(entry, Opening):
        yield entry
        return
    if entry.is_atomic and entry.kind != "load":
        somewhere = entry.active.any(axis=1)
        yield Publication(entry.waves[somewhere], entry.done[somewhere])
    record = entry.within(allocation) if entry.touches(allocation) else None
    if record is not None:
        yield record


def _drop_guesses(record: Event, swaps: Array) -> Event:
    """A record without the loads that the same lane's compare-and-swap of the address follows, or
    precedes: what it finds there makes good whatever was loaded."""
    if not isinstance(record, Record) or record.kind != "load":
        return record
    return pick(record, ~np.isin(record.keys, swaps))
