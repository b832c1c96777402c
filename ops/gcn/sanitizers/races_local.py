"""racecheck of LDS: two waves, one of them writes, and nothing orders them.

Per byte: which wave wrote it last and in which barrier interval, and which two waves read it last.
An access that had not returned (lgkmcnt; vmcnt where LDS is filled from memory) when its wave came
to the barrier counts for the next interval too: what is missing there is a wait rather than a
barrier, and waitcheck is what reports it; as it does where a wave touches LDS that it has yet to
fill from memory itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.observer import Access, Observer
from rocmoe.ops.gcn.sanitizers.counters import VM, Counters
from rocmoe.ops.gcn.sanitizers.stamps import INTERVALS, find_conflicts, make_stamps, slots_of
from rocmoe.ops.gcn.sanitizers.touches import Touch, find_octets, find_touch
from rocmoe.ops.gcn.semantics.words import Array

RACE, WAIT = "racecheck", "waitcheck"
_DOING = {"load": "reads", "store": "stores to", "atomic": "updates"}


@dataclass
class LocalRaces(Observer):
    """Stands behind the Counters that it reads."""

    counters: Counters
    _recent: list[Touch] = field(default_factory=list)
    _late: set[int] = field(default_factory=set)
    _touch: Touch | None = None

    def begin(self, machine: Machine) -> None:
        self._recent, self._late = [], set()
        self._alone = not machine.placement.slot.any()
        self._bytes = machine.lds.shape[1]
        self._interval = np.zeros(machine.groups, np.int64)
        size = machine.groups * self._bytes
        self._written, self._read, self._read_before = (np.zeros(size, np.uint16) for _ in range(3))
        self._last = {way: np.zeros(size // 4, np.int32) for way in ("load", "store")}

    def access(self, machine: Machine, access: Access) -> None:
        self._touch = None
        if self._alone and access.to_lds is None and not self._recent:
            return
        touch = self._touch = find_touch(machine, access, self.counters)
        if touch is None:
            return
        self._forget()
        if self._alone:
            self._check_fills(machine, touch)
            self._recent += [touch] if touch.counter == VM else []
            return
        own = self._stamp(machine, touch)
        self._check(machine, access, touch, own)
        self._check_fills(machine, touch)
        self._note(touch, own)
        self._recent.append(touch)

    def accessed(self, machine: Machine, access: Access) -> None:
        """Waves that store to the same bytes in one instruction: the last of them is noted."""
        touch = self._touch
        if touch is None or touch.kind != "store" or self._alone:
            return
        own = self._stamp(machine, touch)[:, None]
        lost = find_conflicts(touch.places.gather(self._written), own, False)
        if lost.any():
            self._sort_out(machine, access, touch, lost)

    def release(self, machine: Machine, waves: Array) -> None:
        opened = np.unique(machine.placement.group[waves])
        self._interval[opened] += 1
        again = opened[self._interval[opened] % INTERVALS == 0]
        for table in (self._written, self._read, self._read_before):
            # The intervals' numbers start again: all that was before is ordered.
            table.reshape(-1, self._bytes)[again] = 0
        released = np.zeros(machine.waves, np.bool_)
        released[waves] = True
        for touch in self._recent:
            late = released[touch.waves] & touch.is_late(self.counters)
            if late.any():
                self._late.add(touch.index)
                some = touch.pick(late)
                self._note(some, self._stamp(machine, some))

    def _forget(self) -> None:
        while self._recent and not self._recent[0].is_late(self.counters).any():
            self._recent.pop(0)

    def _stamp(self, machine: Machine, touch: Touch) -> Array:
        interval = self._interval[machine.placement.group[touch.waves]]
        return make_stamps(interval, touch.slots, touch.kind == "atomic")

    def _check(self, machine: Machine, access: Access, touch: Touch, own: Array) -> None:
        places, atomic = touch.places, touch.kind == "atomic"
        writes = find_conflicts(places.gather(self._written), own[:, None], atomic)
        if writes.any():
            self._sort_out(machine, access, touch, writes)
        if touch.kind == "load":
            return
        for table in (self._read, self._read_before):
            reads = find_conflicts(places.gather(table), own[:, None], False)
            if reads.any():
                self._report(machine, touch, reads, "load", table)

    def _sort_out(self, machine: Machine, access: Access, touch: Touch, bad: Array) -> None:
        """Conflicts with a store, bool [k, bytes]: of the same value they are but a note."""
        same = np.zeros(len(bad), np.bool_)
        if touch.kind == "store" and access.data is not None:
            lanes = np.flatnonzero(bad.any(axis=1))
            some = touch.pick(lanes)
            stands = machine.lds.reshape(-1)[some.places.octets]
            alike = (stands == find_octets(machine, access, some)) | ~bad[lanes]
            same[lanes] = alike.all(axis=1)
        for is_note in (False, True):
            conflict = bad & (same == is_note)[:, None]
            if conflict.any():
                self._report(machine, touch, conflict, "store", self._written, is_note)

    def _check_fills(self, machine: Machine, touch: Touch) -> None:
        """LDS that the waves themselves are still filling from memory, which goes on in order."""
        if touch.counter == VM:
            return
        for fill in self._recent:
            if fill.counter != VM:
                continue
            late = fill.is_late(self.counters)
            bad = np.isin(touch.dwords, fill.dwords[late]).any(axis=1)
            if bad.any():
                self._report_fill(machine, touch, fill, bad)

    def _note(self, touch: Touch, own: Array) -> None:
        places = touch.places
        if touch.kind == "load":
            before = places.gather(self._read)
            others = find_conflicts(before, own[:, None], False)
            places.scatter(self._read, own)
            lost = find_conflicts(places.gather(self._read), own[:, None], False)
            for values, some in ((before, others), (own[:, None], lost)):
                if some.any():
                    places.scatter_some(self._read_before, values, some)
        else:
            places.scatter(self._written, own)
        self._last["load" if touch.kind == "load" else "store"][places.dwords] = touch.index

    def _report(
        self,
        machine: Machine,
        touch: Touch,
        conflict: Array,
        other: str,
        table: Array,
        is_note: bool = False,
    ) -> None:
        """Put conflicts, bool [k, bytes], into words; table: the stamps that they are with."""
        bad = conflict.any(axis=1)
        first = int(np.argmax(bad))
        place = int(touch.starts[first]) + int(np.argmax(conflict[first]))
        index, slot = int(self._last[other][place >> 2]), int(slots_of(table[place : place + 1])[0])
        late = index in self._late and index != touch.index
        did = "stored" if other == "store" else "read"
        before = machine.program.instructions[index]
        what = (
            f"{_DOING[touch.kind]} LDS byte {place % self._bytes}, {did} by wave {slot} at line "
            f"{before.line}: {before.text}"
        )
        words = what + ("; no barrier stands between" if not is_note else ", the same value")
        if late:
            words = f"{what}; that had not returned at the barrier, so a wait is due before it"
        machine.faults.report(
            WAIT if late else RACE,
            touch.index,
            touch.spread(machine, bad),
            machine.place,
            lambda row, lane: words,
            f"{other} {index} {is_note}",
            is_note=is_note and not late,
        )

    def _report_fill(self, machine: Machine, touch: Touch, fill: Touch, bad: Array) -> None:
        filler = machine.program.instructions[fill.index]
        byte = int(touch.starts[np.argmax(bad)]) % self._bytes
        words = (
            f"{_DOING[touch.kind]} LDS byte {byte} before it is filled by line {filler.line}: "
            f"{filler.text}; s_waitcnt {VM}(0) is due before"
        )
        lanes = touch.spread(machine, bad)
        machine.faults.report(
            WAIT, touch.index, lanes, machine.place, lambda row, lane: words, f"fill {fill.index}"
        )
