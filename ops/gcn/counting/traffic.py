"""Memory traffic: bytes that lanes ask for, and the segments of 64 and 128 bytes that they touch.

A wave instruction that touches fewer segments is served in fewer requests: CDNA's L1 has lines of
64 bytes (gfx90a) or 128 (gfx942, gfx950), its L2 of 128 (CDNA3 white paper, "Memory hierarchy").
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.observer import Access, Observer
from rocmoe.ops.gcn.semantics.words import Array

SEGMENTS = (64, 128)


class Traffic(Observer):
    """counts: `load_bytes`, `load_segments_64`, ..., of global memory, over the whole launch."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def access(self, machine: Machine, access: Access) -> None:
        if access.space != "global":
            return
        kind = f"scalar_{access.kind}" if access.scalar else access.kind
        self.counts[f"{kind}_bytes"] += int(np.count_nonzero(access.active)) * access.size
        for bytes_each in SEGMENTS:
            touched = count_segments(access.addresses, access.active, access.size, bytes_each)
            self.counts[f"{kind}_segments_{bytes_each}"] += touched


def count_segments(addresses: Array, active: Array, size: int, segment_bytes: int) -> int:
    """Distinct segments that each row of lanes touches, summed over the rows."""
    if not active.any():
        return 0
    shift = segment_bytes.bit_length() - 1
    first = addresses >> shift
    last = (addresses + (size - 1)) >> shift
    if not active.all():
        filler = first[np.arange(len(first)), np.argmax(active, axis=1)][:, None]
        first, last = np.where(active, first, filler), np.where(active, last, filler)
        rows = active.any(axis=1)
        first, last = first[rows], last[rows]
    if (first != last).any():
        first = np.concatenate([first, last], axis=1)
    return _count_distinct(first)


def _count_distinct(values: Array) -> int:
    steps = np.diff(values, axis=1)
    if (steps < 0).any():
        steps = np.diff(np.sort(values, axis=1), axis=1)
    return len(values) + int(np.count_nonzero(steps))
