"""LDS bank conflicts, by a stated model.

LDS has banks of 4 bytes, 32 of them (64 on gfx950), and serves one dword a bank and cycle: lanes
in groups that together ask for one dword of each bank, so 32 lanes of 4 bytes, 16 of 8, 8 of 12 or
16 at a time.  A group takes as many cycles as the bank that most distinct dwords of it lie in;
those beyond the first are conflicts.  Lanes that read the same dword share it.  The real grouping
of lanes for wide accesses is not documented, so the count says which of two patterns is worse.
(CDNA3 ISA, 11.1 LDS: overview; CDNA4 ISA, the same.)
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.observer import Access, Observer
from rocmoe.ops.gcn.semantics.words import Array

_BANKS = {"gfx950": 64}
_DEFAULT_BANKS = 32
#: Dwords a lane to those that its place in a group has room for.
_WIDTHS = {1: 1, 2: 2, 3: 4, 4: 4}


class BankConflicts(Observer):
    """counts: `lds_bytes`, `lds_cycles` of the model, and `lds_conflict_cycles` among them."""

    def __init__(self, arch: str) -> None:
        self.banks = _BANKS.get(arch, _DEFAULT_BANKS)
        self.counts: Counter[str] = Counter()

    def access(self, machine: Machine, access: Access) -> None:
        if access.space != "lds":
            return
        cycles, least = count_cycles(access.addresses, access.active, access.size, self.banks)
        self.counts["lds_bytes"] += int(np.count_nonzero(access.active)) * access.size
        self.counts["lds_cycles"] += cycles
        self.counts["lds_conflict_cycles"] += cycles - least


def count_cycles(addresses: Array, active: Array, size: int, banks: int) -> tuple[int, int]:
    """Cycles that accesses take, and those that they would without conflicts.

    addresses: int64 [waves, 64] bytes; active: bool of the same shape; size: bytes a lane.
    """
    dwords = max(size // 4, 1)
    lanes = min(banks // _WIDTHS[dwords], WAVE)
    first = (addresses >> 2).reshape(-1, lanes)
    words = (first[:, :, None] + np.arange(dwords)).reshape(len(first), -1)
    used = np.repeat(active.reshape(-1, lanes), dwords, axis=1)
    busy = used.any(axis=1)
    words, used = words[busy], used[busy]
    if not len(words):
        return 0, 0
    return _count_busiest(words, used, banks), len(words)


def _count_busiest(words: Array, used: Array, banks: int) -> int:
    """For each row the bank with most distinct words in it; summed."""
    filler = words[np.arange(len(words)), np.argmax(used, axis=1)][:, None]
    ordered = np.sort(np.where(used, words, filler), axis=1)
    fresh = np.ones(ordered.shape, np.bool_)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    rows = np.broadcast_to(np.arange(len(ordered))[:, None], ordered.shape)
    cells = rows[fresh] * banks + ordered[fresh] % banks
    loads = np.bincount(cells, minlength=len(ordered) * banks).reshape(-1, banks)
    return int(loads.max(axis=1).sum())
