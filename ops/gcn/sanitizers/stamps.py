"""Who touched each byte of LDS last: stamps of 16 bits, four of which are read at once as a u64.

A stamp holds the barrier interval (9 bits), the wave's slot in its workgroup (5 bits), whether the
access was atomic, and that there was one at all.
"""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.semantics.words import Array

INTERVALS = 1 << 9
_USED, _ATOMIC = np.uint16(1 << 15), np.uint16(1 << 14)
_SLOT, _SHIFT = np.uint16(31), np.uint16(5)
_SPREAD = np.uint64(0x0001_0001_0001_0001)


def make_stamps(intervals: Array, slot: int, atomic: bool) -> Array:
    """u16 [n]: accesses of one slot in these intervals."""
    flags = int(_USED) | (int(_ATOMIC) if atomic else 0) | slot
    return ((intervals % INTERVALS).astype(np.uint16) << _SHIFT) | np.uint16(flags)


def slots_of(stamps: Array) -> Array:
    return stamps & _SLOT


def is_atomic(stamps: Array) -> Array:
    return (stamps & _ATOMIC) != 0


def find_conflicts(stamps: Array, own: Array, atomic: bool) -> Array:
    """Which stamps are of the same interval as `own` (u16, broadcasting), but of another slot;
    two atomic accesses are no conflict."""
    interval = np.uint16((INTERVALS - 1) << 5)
    same = ((stamps ^ own) & (interval | _USED)) == 0
    conflict = same & (((stamps ^ own) & _SLOT) != 0)
    return conflict & ~is_atomic(stamps) if atomic else conflict


class Places:
    """Bytes of LDS that lanes access: as aligned groups of four where they are, else one by one.

    starts: int64 [k], the first byte of each lane among all workgroups' LDS; size: bytes a lane.
    """

    def __init__(self, starts: Array, size: int) -> None:
        self.by_four = size % 4 == 0 and not (starts & 3).any()
        self.width = size // 4 if self.by_four else size
        first = starts >> 2 if self.by_four else starts
        if self.width == 1:
            self.units = first
        else:
            self.units = (first[:, None] + np.arange(self.width)).reshape(-1)

    def gather(self, table: Array) -> Array:
        """u16 [k, bytes]: the table's entry of each byte."""
        if self.by_four:
            return table.view(np.uint64)[self.units].view(np.uint16).reshape(-1, 4 * self.width)
        return table[self.units].reshape(-1, self.width)

    def spread(self, values: Array) -> Array:
        """One value a lane (u16 [k]) for each unit."""
        each = np.repeat(values, self.width) if self.width > 1 else values
        return each.astype(np.uint64) * _SPREAD if self.by_four else each

    def scatter(self, table: Array, values: Array) -> None:
        """Put one value a lane, u16 [k], to all its bytes."""
        target = table.view(np.uint64) if self.by_four else table
        target[self.units] = self.spread(values)

    def scatter_bytes(self, table: Array, values: Array) -> None:
        """Put u16 [k, bytes] to the bytes of each lane."""
        if self.by_four:
            words = np.ascontiguousarray(values).view(np.uint64).reshape(-1)
            table.view(np.uint64)[self.units] = words
        else:
            table[self.units] = values.reshape(-1)
