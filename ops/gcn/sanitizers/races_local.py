"""racecheck of LDS: two waves, one of them writes, and nothing orders them.

Per byte: which wave wrote it last and in which barrier interval, and which waves read it in the
last interval in which any did.  An access that had not returned (lgkmcnt; vmcnt where LDS is filled
from memory) when its wave came to the barrier counts for the next interval too: what is missing
there is a wait rather than a barrier, and waitcheck is what reports it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.observer import Access, Observer
from rocmoe.ops.gcn.sanitizers.counters import LGKM, VM, Counters
from rocmoe.ops.gcn.sanitizers.stamps import (
    INTERVALS,
    Places,
    find_conflicts,
    make_stamps,
    slots_of,
)
from rocmoe.ops.gcn.semantics.words import Array

RACE, WAIT = "racecheck", "waitcheck"


@dataclass(frozen=True)
class _Touch:
    """What one slot's waves access in one instruction.

    waves: int64 [k], of each lane; lanes, rows: its lane and its row among the selected waves;
    starts: its first byte; step: the machine's clock.
    """

    slot: int
    waves: Array
    rows: Array
    lanes: Array
    starts: Array
    size: int
    kind: str
    index: int
    step: int
    counter: str
    tickets: Array


@dataclass
class LocalRaces(Observer):
    """Stands behind the Counters that it reads."""

    counters: Counters
    _recent: list[_Touch] = field(default_factory=list)
    _late: set[int] = field(default_factory=set)

    def begin(self, machine: Machine) -> None:
        self._recent, self._late = [], set()
        self._bytes = machine.lds.shape[1]
        self._interval = np.zeros(machine.groups, np.int64)
        size = machine.groups * self._bytes
        self._written, self._read = (np.zeros(size, np.uint16) for _ in range(2))
        self._readers = np.zeros(size, np.uint16)
        self._last = {"load": np.zeros(size // 4, np.int32), "store": np.zeros(size // 4, np.int32)}

    def access(self, machine: Machine, access: Access) -> None:
        to_lds = access.to_lds is not None
        if access.space != "lds" and not to_lds:
            return
        self._forget()
        for touch in self._split(machine, access, "store" if to_lds else access.kind):
            self._check(machine, access, touch)
            self._check_fills(machine, touch)
            self._note(machine, touch, self._interval[machine.placement.group[touch.waves]])
            self._recent.append(touch)

    def release(self, machine: Machine, waves: Array) -> None:
        group = machine.placement.group
        opened = np.unique(group[waves])
        self._interval[opened] += 1
        if not (self._interval[opened] % INTERVALS).all():
            self._wipe(opened[self._interval[opened] % INTERVALS == 0])
        released = np.zeros(machine.waves, np.bool_)
        released[waves] = True
        for touch in self._recent:
            done = self.counters.of[touch.counter].done
            late = released[touch.waves] & (touch.tickets > done[touch.waves])
            if late.any():
                self._late.add(touch.index)
                self._note(machine, _keep(touch, late), self._interval[group[touch.waves[late]]])

    def _wipe(self, groups: Array) -> None:
        """The intervals' numbers start again: all that was before is ordered."""
        for table in (self._written, self._read):
            table.reshape(-1, self._bytes)[groups] = 0

    def _forget(self) -> None:
        while self._recent:
            touch = self._recent[0]
            if (touch.tickets > self.counters.of[touch.counter].done[touch.waves]).any():
                return
            self._recent.pop(0)

    def _split(self, machine: Machine, access: Access, kind: str) -> Iterator[_Touch]:
        addresses = access.addresses if access.to_lds is None else access.to_lds
        chosen = np.arange(machine.waves)[machine.sel]
        slots = machine.placement.slot[chosen]
        starts = addresses + (machine.group * self._bytes)[:, None]
        counter = LGKM if access.to_lds is None else VM
        tickets = self.counters.of[counter].issued[chosen]
        for slot in np.unique(slots):
            active = access.active & (slots == slot)[:, None]
            rows, lanes = np.nonzero(active)
            if len(rows):
                yield _Touch(
                    slot=int(slot),
                    waves=chosen[rows],
                    rows=rows,
                    lanes=lanes,
                    starts=starts[rows, lanes],
                    size=access.size,
                    kind=kind,
                    index=machine.index,
                    step=machine.clock,
                    counter=counter,
                    tickets=tickets[rows],
                )

    def _check(self, machine: Machine, access: Access, touch: _Touch) -> None:
        places = Places(touch.starts, touch.size)
        interval = self._interval[machine.placement.group[touch.waves]]
        atomic = touch.kind == "atomic"
        own = make_stamps(interval, touch.slot, atomic)[:, None]
        writes = find_conflicts(places.gather(self._written), own, atomic)
        if writes.any():
            self._report(machine, access, touch, writes, "store")
        if touch.kind != "load" and self._read.any():
            others = (places.gather(self._readers) & np.uint16(~(1 << touch.slot) & 0xFFFF)) != 0
            # The stamp of a read carries no slot of its own: the readers' bits do.
            stamp = make_stamps(interval, 0, False)[:, None]
            reads = others & (places.gather(self._read) == stamp)
            if reads.any():
                self._report(machine, access, touch, reads, "load")

    def _check_fills(self, machine: Machine, touch: _Touch) -> None:
        """LDS that the waves themselves are still filling from memory."""
        if touch.counter == VM:  # which fills in order
            return
        done = self.counters.of[VM].done
        for fill in self._recent:
            late = fill.tickets > done[fill.waves]
            if fill.counter != VM or fill.slot != touch.slot or not late.any():
                continue
            bad = np.isin(_dwords(touch), _dwords(fill)[late]).any(axis=1)
            if bad.any():
                self._report_fill(machine, touch, fill, bad)

    def _report_fill(self, machine: Machine, touch: _Touch, fill: _Touch, bad: Array) -> None:
        filler = machine.program.instructions[fill.index]
        doing = "reads" if touch.kind == "load" else "stores to"
        byte = int(touch.starts[np.argmax(bad)]) % self._bytes
        words = (
            f"{doing} LDS byte {byte} before it is filled by line {filler.line}: {filler.text}; "
            f"s_waitcnt {VM}(0) is due before"
        )
        lanes = _spread(machine, touch, bad)
        machine.faults.report(
            WAIT, touch.index, lanes, machine.place, lambda row, lane: words, f"fill {fill.index}"
        )

    def _note(self, machine: Machine, touch: _Touch, interval: Array) -> None:
        places = Places(touch.starts, touch.size)
        if touch.kind == "load":
            stamp = make_stamps(interval, 0, False)
            same = places.gather(self._read) == stamp[:, None]
            before = np.where(same, places.gather(self._readers), np.uint16(0))
            places.scatter_bytes(self._readers, before | np.uint16(1 << touch.slot))
            places.scatter(self._read, stamp)
        else:
            places.scatter(self._written, make_stamps(interval, touch.slot, touch.kind == "atomic"))
        kind = "load" if touch.kind == "load" else "store"
        for at in {*range(0, touch.size, 4), touch.size - 1}:
            self._last[kind][(touch.starts + at) >> 2] = touch.index

    def _report(
        self, machine: Machine, access: Access, touch: _Touch, conflict: Array, other: str
    ) -> None:
        """Put a conflict of lanes, bool [k, bytes], into words."""
        bad = conflict.any(axis=1)
        first = int(np.argmax(bad))
        byte = int(np.argmax(conflict[first]))
        place = int(touch.starts[first]) + byte
        index = int(self._last[other][place >> 2])
        late = index in self._late and index != touch.index
        same = (
            other == "store"
            and touch.kind == "store"
            and self._stores_same(machine, access, touch, bad)
        )
        lanes = _spread(machine, touch, bad)
        words = self._describe(machine, touch, place, index, other, late, same)
        machine.faults.report(
            WAIT if late else RACE,
            touch.index,
            lanes,
            machine.place,
            lambda row, lane: words,
            f"{other} {index}",
            is_note=same and not late,
        )

    def _describe(
        self,
        machine: Machine,
        touch: _Touch,
        place: int,
        index: int,
        other: str,
        late: bool,
        same: bool,
    ) -> str:
        program, byte = machine.program, place % self._bytes
        instruction = program.instructions[index]
        if other == "store":
            wave = int(slots_of(self._written[place : place + 1])[0])
            did = f"stored by wave {wave}"
        else:
            readers = int(self._readers[place]) & ~(1 << touch.slot)
            did = f"read by wave {(readers & -readers).bit_length() - 1}"
        doing = {"load": "reads", "store": "stores to", "atomic": "updates"}[touch.kind]
        what = f"{doing} LDS byte {byte}, {did} at line {instruction.line}: {instruction.text}"
        if late:
            return (
                f"{what}; that had not returned at the barrier: "
                f"s_waitcnt {touch.counter}(0) is due before it"
            )
        return what + (", the same value" if same else "; no barrier stands between")

    def _stores_same(self, machine: Machine, access: Access, touch: _Touch, bad: Array) -> bool:
        """Whether all conflicting lanes store what was stored there before, by an earlier
        instruction or by an earlier wave in this one."""
        if access.data is None:
            return False
        conflicting = _keep(touch, bad)
        earlier = [t for t in self._recent if t.index == touch.index and t.step == touch.step]
        stands = _octets_of(machine, conflicting, earlier, access)
        return bool((stands == _octets(machine, access, conflicting)).all())


def _spread(machine: Machine, touch: _Touch, bad: Array) -> Array:
    """Some of a touch's lanes, bool [k], among those of the selected waves, bool [n, 64]."""
    lanes = np.zeros((machine.n, WAVE), np.bool_)
    lanes[touch.rows[bad], touch.lanes[bad]] = True
    return lanes


def _dwords(touch: _Touch) -> Array:
    """The dwords that each lane touches, int64 [k, dwords]; one twice where it is the last."""
    ends = touch.starts + touch.size - 1
    steps = np.arange(0, touch.size + 3, 4)
    return np.minimum(touch.starts[:, None] + steps, ends[:, None]) >> 2


def _octets(machine: Machine, access: Access, touch: _Touch) -> Array:
    """What the lanes store, u8 [k, size]."""
    assert access.data is not None
    octets = np.empty((len(touch.rows), touch.size), np.uint8)
    for at in range(touch.size):
        word = machine.vector(access.data + at // 4)[touch.rows, touch.lanes]
        octets[:, at] = (word >> np.uint32(8 * (at % 4) + access.shift)).astype(np.uint8)
    return octets


def _octets_of(machine: Machine, touch: _Touch, earlier: list[_Touch], access: Access) -> Array:
    """What stands where the lanes store, u8 [k, size]: in LDS, or just stored by `earlier`."""
    flat = machine.lds.reshape(-1)
    stands = flat[touch.starts[:, None] + np.arange(touch.size)]
    for other in earlier:
        order = np.argsort(other.starts, kind="stable")
        at = np.searchsorted(other.starts[order], touch.starts)
        at = order[np.minimum(at, len(order) - 1)]
        match = other.starts[at] == touch.starts
        stands[match] = _octets(machine, access, other)[at[match]]
    return stands


def _keep(touch: _Touch, rows: Array) -> _Touch:
    return _Touch(
        slot=touch.slot,
        waves=touch.waves[rows],
        rows=touch.rows[rows],
        lanes=touch.lanes[rows],
        starts=touch.starts[rows],
        size=touch.size,
        kind=touch.kind,
        index=touch.index,
        step=touch.step,
        counter=touch.counter,
        tickets=touch.tickets[rows],
    )
