"""What the lanes of one instruction access in LDS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.observer import Access
from rocmoe.ops.gcn.sanitizers.counters import LGKM, VM, Counters
from rocmoe.ops.gcn.sanitizers.stamps import Places
from rocmoe.ops.gcn.semantics.words import Array


@dataclass(frozen=True)
class Touch:
    """Arrays [k], a lane each: its wave in the batch, its row among the selected waves, its number,
    the wave's slot in its workgroup, the first byte among all workgroups' LDS, and the ticket of
    `counter` that its wave took."""

    waves: Array
    rows: Array
    lanes: Array
    slots: Array
    starts: Array
    size: int
    kind: str
    index: int
    counter: str
    tickets: Array

    @cached_property
    def places(self) -> Places:
        return Places(self.starts, self.size)

    @cached_property
    def dwords(self) -> Array:
        """Keys for a wave and a dword, int64 [k, n]: the same for the same wave alone."""
        return np.asarray(self.places.dwords << 5 | self.slots[:, None])

    def pick(self, some: Array) -> Touch:
        """The lanes that are set in `some`, bool [k]."""
        return Touch(
            waves=self.waves[some],
            rows=self.rows[some],
            lanes=self.lanes[some],
            slots=self.slots[some],
            starts=self.starts[some],
            size=self.size,
            kind=self.kind,
            index=self.index,
            counter=self.counter,
            tickets=self.tickets[some],
        )

    def is_late(self, counters: Counters) -> Array:
        """Lanes whose access is not known to have returned, bool [k]."""
        return np.asarray(self.tickets > counters.of[self.counter].done[self.waves])

    def spread(self, machine: Machine, some: Array) -> Array:
        """Those of the lanes that are set in `some`, among the selected waves: bool [n, 64]."""
        lanes = np.zeros((machine.n, WAVE), np.bool_)
        lanes[self.rows[some], self.lanes[some]] = True
        return lanes


def find_touch(machine: Machine, access: Access, counters: Counters) -> Touch | None:
    """What an access touches in LDS, if anything; a load from memory to LDS is a store there."""
    fills = access.to_lds is not None
    addresses = access.to_lds if access.to_lds is not None else access.addresses
    chosen = np.flatnonzero(access.active)
    if not len(chosen) or (access.space != "lds" and not fills):
        return None
    rows = chosen // WAVE
    waves = np.arange(machine.waves)[machine.sel][rows]
    row_bytes = machine.lds.shape[1]
    counter = VM if fills else LGKM
    return Touch(
        waves=waves,
        rows=rows,
        lanes=chosen % WAVE,
        slots=machine.placement.slot[waves],
        starts=addresses.reshape(-1)[chosen] + machine.placement.group[waves] * row_bytes,
        size=-(-access.size // 4) * 4 if fills else access.size,
        kind="store" if fills else access.kind,
        index=machine.index,
        counter=counter,
        tickets=counters.of[counter].issued[waves],
    )


def find_octets(machine: Machine, access: Access, touch: Touch) -> Array:
    """What the lanes of a touch store, u8 [k, size]."""
    assert access.data is not None
    octets = np.empty((len(touch.rows), touch.size), np.uint8)
    for at in range(touch.size):
        word = machine.vector(access.data + at // 4)[touch.rows, touch.lanes]
        octets[:, at] = (word >> np.uint32(8 * (at % 4) + access.shift)).astype(np.uint8)
    return octets
