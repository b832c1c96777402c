"""racecheck of global memory: what two waves do to the same bytes with nothing that orders them.

Two workgroups are never ordered, except by atomics: where the later one has fetched an atomic
before, the finding is a note, since what that orders is not modelled.  Two waves of one workgroup
are ordered by a barrier that the first came to after its access had returned (vmcnt).  Accesses are
kept until the launch has ended, and only those to allocations that are written to are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rocmoe.ops.gcn.machine.arena import BASE, Allocation
from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.observer import Access, Observer
from rocmoe.ops.gcn.sanitizers.counters import VM, Counters
from rocmoe.ops.gcn.sanitizers.owners import Owners
from rocmoe.ops.gcn.semantics.words import Array

CHECK = "racecheck"


@dataclass(frozen=True)
class Record:
    """One instruction's accesses; arrays [k], a lane each.

    waves: number in the launch. workgroups, slots: of the waves. tickets: of vmcnt. repeats: lanes
    that store what already stood there; stands: whose value
    stands there after the instruction. fetched: whose workgroup had fetched an atomic before.
    """

    kind: str
    index: int
    size: int
    addresses: Array
    lanes: Array
    waves: Array
    tickets: Array
    repeats: Array | None
    stands: Array | None
    fetched: Array


@dataclass(frozen=True)
class Opening:
    """A barrier opened: from here on all of these waves' accesses up to the tickets are seen."""

    waves: Array
    tickets: Array


@dataclass
class GlobalRaces(Observer):
    """Stands behind the Counters that it reads."""

    counters: Counters
    _log: list[Record | Opening] = field(default_factory=list)
    _first: int = 0
    _fetched: Array = field(default_factory=lambda: np.zeros(0, np.bool_))
    _place: list[Array] = field(default_factory=list)
    _before: Array | None = None

    def begin(self, machine: Machine) -> None:
        """Waves are numbered on from those of the batches before."""
        self._first = sum(len(slots) for slots in self._place[1::2])
        self._place += [machine.placement.workgroup, machine.placement.slot]
        self._fetched = np.zeros(machine.groups, np.bool_)

    def access(self, machine: Machine, access: Access) -> None:
        if _is_store(access):
            rows, lanes = np.nonzero(access.active)
            self._before = _repeats(machine, access, rows, lanes, access.addresses[rows, lanes])

    def accessed(self, machine: Machine, access: Access) -> None:
        if access.space != "global" or access.scalar:
            return
        rows, lanes = np.nonzero(access.active)
        if not len(rows):
            return
        chosen = np.arange(machine.waves)[machine.sel]
        waves = chosen[rows]
        addresses = access.addresses[rows, lanes]
        stores = _is_store(access)
        group = machine.placement.group[waves]
        record = Record(
            kind=access.kind,
            index=machine.index,
            size=access.size,
            addresses=addresses,
            lanes=lanes.astype(np.int8),
            waves=(waves + self._first).astype(np.int32),
            tickets=self.counters.of[VM].issued[waves].astype(np.int32),
            repeats=self._before if stores else None,
            stands=_repeats(machine, access, rows, lanes, addresses) if stores else None,
            fetched=self._fetched[group],
        )
        self._log.append(record)
        if access.kind == "atomic" and access.returns is not None:
            self._fetched[np.unique(group)] = True

    def release(self, machine: Machine, waves: Array) -> None:
        done = self.counters.of[VM].done[waves]
        self._log.append(Opening(waves + self._first, done))

    def end(self, machine: Machine) -> None:
        workgroups, slots = (np.concatenate(self._place[at::2]) for at in (0, 1))
        records = [entry for entry in self._log if isinstance(entry, Record)]
        stores = [record for record in records if record.kind != "load"]
        for allocation in machine.memory.allocations:
            if any(_touches(record, allocation) for record in stores):
                self._look(machine, allocation, workgroups, slots)

    def _look(
        self, machine: Machine, allocation: Allocation, workgroups: Array, slots: Array
    ) -> None:
        entries: list[Record | Opening] = [
            entry
            for entry in (_within(e, allocation) for e in self._log)
            if entry is not None
        ]
        sizes = [entry.size for entry in entries if isinstance(entry, Record)]
        if any((e.addresses % e.size).any() for e in entries if isinstance(e, Record)):
            sizes.append(1)
        unit = min(sizes)
        owners = Owners(allocation, unit, workgroups, slots)
        for entry in entries:
            if isinstance(entry, Opening):
                owners.open(entry.waves, entry.tickets)
                continue
            for conflict in owners.visit(entry):
                self._report(machine, entry, *conflict, owners)

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
        order = (
            "no barrier behind its s_waitcnt vmcnt stands between"
            if same_group
            else "workgroups run in any order"
        )
        message = (
            f"{doing} {where}, {did} by {who} at line {before.line}: {before.text}; "
            f"{note or order}"
        )
        lanes = np.zeros((1, 64), np.bool_)
        lanes[0, int(record.lanes[at])] = True
        place = (int(owners.workgroups[wave]), int(owners.slots[wave]))
        machine.faults.report(
            CHECK,
            record.index,
            lanes,
            lambda row: place,
            lambda row, lane: message,
            f"{did} {index} {note}",
            is_note=bool(note),
        )


def _is_store(access: Access) -> bool:
    return access.space == "global" and access.kind == "store" and access.data is not None


def _touches(record: Record, allocation: Allocation) -> bool:
    low, high = int(record.addresses.min()), int(record.addresses.max())
    return low < allocation.end and high >= allocation.address


def _within(entry: Record | Opening, allocation: Allocation) -> Record | Opening | None:
    """The part of a record that is in an allocation."""
    if isinstance(entry, Opening):
        return entry
    if not _touches(entry, allocation):
        return None
    low, high = int(entry.addresses.min()), int(entry.addresses.max())
    if low >= allocation.address and high < allocation.end:
        return entry
    keep = (entry.addresses >= allocation.address) & (entry.addresses < allocation.end)
    if not keep.any():
        return None
    return Record(
        kind=entry.kind,
        index=entry.index,
        size=entry.size,
        addresses=entry.addresses[keep],
        lanes=entry.lanes[keep],
        waves=entry.waves[keep],
        tickets=entry.tickets[keep],
        repeats=None if entry.repeats is None else entry.repeats[keep],
        stands=None if entry.stands is None else entry.stands[keep],
        fetched=entry.fetched[keep],
    )


def _repeats(
    machine: Machine, access: Access, rows: Array, lanes: Array, addresses: Array
) -> Array:
    """Lanes that store what stands there, bool [k]."""
    assert access.data is not None
    start = addresses - BASE
    same = np.ones(len(rows), np.bool_)
    width = 4 if access.size % 4 == 0 and not (addresses & 3).any() else 1
    table = machine.memory.buffer[: len(machine.memory.buffer) & ~3]
    for at in range(0, access.size, width):
        word = machine.vector(access.data + at // 4)[rows, lanes]
        if width == 4:
            same &= table.view(np.uint32)[(start + at) >> 2] == word
        else:
            octet = (word >> np.uint32(8 * (at % 4) + access.shift)).astype(np.uint8)
            same &= machine.memory.buffer[start + at] == octet
    return same
