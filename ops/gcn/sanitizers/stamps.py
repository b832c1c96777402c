"""Who touched each byte of LDS last: stamps of 16 bits, four of which are read at once as a u64.

A stamp holds the barrier interval (9 bits), the wave's slot in its workgroup (5 bits), whether the
access was atomic, and that there was one at all.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from rocmoe.ops.gcn.semantics.words import Array

INTERVALS = 1 << 9
_USED, _ATOMIC = np.uint16(1 << 15), np.uint16(1 << 14)
_SLOT, _SHIFT = np.uint16(31), np.uint16(5)
_SAME = np.uint16(((INTERVALS - 1) << 5) | (1 << 15))
_SPREAD = np.uint64(0x0001_0001_0001_0001)


def make_stamps(intervals: Array, slots: Array, atomic: bool) -> Array:
    """u16 [n]: accesses of these slots in these intervals."""
    flags = _USED | _ATOMIC if atomic else _USED
    numbers = (intervals % INTERVALS).astype(np.uint16) << _SHIFT
    return np.asarray(numbers | slots.astype(np.uint16) | flags)


def slots_of(stamps: Array) -> Array:
    return stamps & _SLOT


def find_conflicts(stamps: Array, own: Array, atomic: bool) -> Array:
    """Which stamps are of the same interval as `own` (u16, broadcasting), but of another slot;
    two atomic accesses are no conflict."""
    apart = stamps ^ own
    conflict = ((apart & _SAME) == 0) & ((apart & _SLOT) != 0)
    return conflict & ((stamps & _ATOMIC) == 0) if atomic else conflict


class Places:
    """Bytes of LDS that lanes access: as aligned groups of four where they are, else one by one.

    starts: int64 [k], the first byte of each lane among all workgroups' LDS; size: bytes a lane.
    """

    def __init__(self, starts: Array, size: int) -> None:
        self.starts, self.size = starts, size
        aligned = size % 4 == 0 and not int(np.bitwise_or.reduce(starts)) & 3
        self._by_four = bool(aligned)
        self._width = size // 4 if aligned else size
        first = starts >> 2 if aligned else starts
        if self._width > 1:
            first = (first[:, None] + np.arange(self._width)).reshape(-1)
        self._units = first

    @cached_property
    def octets(self) -> Array:
        """int64 [k, size]: every byte."""
        return np.asarray(self.starts[:, None] + np.arange(self.size))

    @cached_property
    def dwords(self) -> Array:
        """int64 [k, n]: every dword that is touched; one twice where it is the last."""
        if self._by_four:
            return self._units.reshape(-1, self._width)
        ends = self.starts + self.size - 1
        steps = np.arange(0, self.size + 3, 4)
        return np.asarray(np.minimum(self.starts[:, None] + steps, ends[:, None]) >> 2)

    def gather(self, table: Array) -> Array:
        """u16 [k, bytes]: the table's entry of each byte."""
        if self._by_four:
            words = table.view(np.uint64).take(self._units)
            return words.view(np.uint16).reshape(-1, 4 * self._width)
        return table.take(self._units).reshape(-1, self._width)

    def scatter(self, table: Array, values: Array) -> None:
        """Put one value a lane, u16 [k], to all its bytes."""
        each = np.repeat(values, self._width) if self._width > 1 else values
        if self._by_four:
            table.view(np.uint64)[self._units] = each.astype(np.uint64) * _SPREAD
        else:
            table[self._units] = each

    def scatter_some(self, table: Array, values: Array, some: Array) -> None:
        """Put values, u16 and broadcast to [k, bytes], to those bytes that `some` has set."""
        table[self.octets[some]] = np.broadcast_to(values, some.shape)[some]
