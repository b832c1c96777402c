"""Who stored to and who read each piece of an allocation last, while a log is gone through."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rocmoe.ops.gcn.machine.arena import Allocation
from rocmoe.ops.gcn.sanitizers.records import Record
from rocmoe.ops.gcn.semantics.words import Array

_NOBODY = -1

#: Positions in the record, waves before, their instructions, what they did, and why it is a note.
Conflict = tuple[Array, Array, Array, str, str]


class Owners:
    """unit: bytes of a piece: the smallest access, so that each covers whole pieces."""

    def __init__(self, allocation: Allocation, unit: int, workgroups: Array, slots: Array) -> None:
        self.workgroups, self.slots = workgroups, slots
        self._start, self._unit = allocation.address - allocation.address % 16, unit
        pieces = (allocation.end - self._start) // unit + 1
        self._writer = np.full(pieces, _NOBODY, np.int32)
        # Three readers are enough: the last, another wave of its workgroup, another workgroup's.
        self._readers = [np.full(pieces, _NOBODY, np.int32) for _ in range(3)]
        self._read_tickets = [np.zeros(pieces, np.int32) for _ in range(3)]
        self._ticket = np.zeros(pieces, np.int32)
        self._index = {way: np.zeros(pieces, np.int32) for way in ("store", "load")}
        self._atomic = np.zeros(pieces, np.bool_)
        self._sealed = np.zeros(len(workgroups), np.int32)
        self._published = np.zeros(len(workgroups), np.int32)
        self._members = np.arange(int(slots.max()) + 1)

    def open(self, waves: Array, tickets: Array) -> None:
        """A barrier opened: these waves' accesses up to the tickets are ordered before the rest."""
        self._sealed[waves] = tickets

    def publish(self, waves: Array, tickets: Array) -> None:
        """These waves make an atomic: their accesses up to the tickets are behind them, and those
        of their workgroups' other waves up to the last barrier."""
        own = np.maximum(self._published[waves], tickets)
        members = (waves - self.slots[waves])[:, None] + self._members
        self._published[members] = np.maximum(self._published[members], self._sealed[members])
        self._published[waves] = own

    def visit(self, record: Record) -> Iterator[Conflict]:
        """The conflicts of a record with what was before it; then it is taken into account."""
        width = max(record.size // self._unit, 1)
        first = (record.addresses - self._start) // self._unit
        lane = np.arange(len(first))
        if width > 1:
            first = (first[:, None] + np.arange(width)).reshape(-1)
            lane = np.repeat(lane, width)
        yield from self._against_writer(record, first, lane)
        if record.kind != "load":
            yield from self._against_reader(record, first, lane)
            yield from self._store(record, first, lane)
        elif not record.is_atomic:
            self._load(record, first, lane)

    def _unordered(self, others: Array, tickets: Array, waves: Array) -> Array:
        known = np.maximum(others, 0)
        apart = self.workgroups[known] != self.workgroups[waves]
        open_yet = tickets > self._sealed[known]
        return (others >= 0) & (others != waves) & (apart | open_yet)

    def _against_writer(self, record: Record, pieces: Array, lane: Array) -> Iterator[Conflict]:
        writers = self._writer[pieces]
        if (writers < 0).all():
            return
        waves = record.waves[lane]
        bad = self._unordered(writers, self._ticket[pieces], waves)
        if record.is_atomic:
            bad &= ~self._atomic[pieces]
        tickets, indices = self._ticket[pieces], self._index["store"][pieces]
        yield from self._sort_out(record, bad, writers, tickets, indices, lane, "stored")

    def _against_reader(self, record: Record, pieces: Array, lane: Array) -> Iterator[Conflict]:
        for table, tickets in zip(self._readers, self._read_tickets, strict=True):
            readers = table[pieces]
            if (readers == _NOBODY).all():
                continue
            bad = self._unordered(readers, tickets[pieces], record.waves[lane])
            earlier, indices = tickets[pieces], self._index["load"][pieces]
            yield from self._sort_out(record, bad, readers, earlier, indices, lane, "read")

    def _store(self, record: Record, pieces: Array, lane: Array) -> Iterator[Conflict]:
        waves = record.waves[lane]
        self._writer[pieces] = waves
        self._ticket[pieces] = record.tickets[lane]
        self._index["store"][pieces] = record.index
        self._atomic[pieces] = record.is_atomic
        winners = self._writer[pieces]
        lost = winners != waves
        if not record.is_atomic and lost.any():
            tickets, indices = self._ticket[pieces], np.full(len(pieces), record.index)
            alike = record.stands
            yield from self._sort_out(
                record, lost, winners, tickets, indices, lane, "stored", alike
            )

    def _load(self, record: Record, pieces: Array, lane: Array) -> None:
        waves, tickets = record.waves[lane], record.tickets[lane]
        last, last_tickets = self._readers[0], self._read_tickets[0]
        self._keep(pieces, last[pieces], last_tickets[pieces], waves)
        last[pieces] = waves
        last_tickets[pieces] = tickets
        self._keep(pieces, waves, tickets, last[pieces])
        self._index["load"][pieces] = record.index

    def _keep(self, pieces: Array, readers: Array, tickets: Array, instead: Array) -> None:
        """Remember readers beside those that stand `instead` of them as the last."""
        known = (readers != instead) & (readers != _NOBODY)
        if not known.any():
            return
        same = self.workgroups[readers] == self.workgroups[instead]
        for at, moved in ((1, known & same), (2, known & ~same)):
            self._readers[at][pieces[moved]] = readers[moved]
            self._read_tickets[at][pieces[moved]] = tickets[moved]

    def _sort_out(
        self,
        record: Record,
        bad: Array,
        others: Array,
        tickets: Array,
        indices: Array,
        lane: Array,
        did: str,
        alike: Array | None = None,
    ) -> Iterator[Conflict]:
        """Conflicts apart from those that are but worth a note."""
        if not bad.any():
            return
        known = np.maximum(others, 0)
        fetched = record.fetched[lane] & (tickets <= self._published[known])
        fetched &= self.workgroups[known] != self.workgroups[record.waves[lane]]
        alike = record.repeats if alike is None else alike
        repeats = np.zeros(len(bad), np.bool_)
        if alike is not None and did == "stored":
            repeats = alike[lane]
        for kind, note in (
            (bad & repeats, "the same value"),
            (bad & ~repeats & fetched, "an atomic fetched before may order them"),
            (bad & ~repeats & ~fetched, ""),
        ):
            if kind.any():
                yield lane[kind], others[kind], indices[kind], did, note
