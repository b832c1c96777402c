"""The accesses to global memory of a launch, kept until it has ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.arena import BASE, Allocation
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.observer import Access
from rocmoe.ops.gcn.semantics.words import Array


@dataclass(frozen=True)
class Record:
    """One instruction's accesses; arrays [k], a lane each.

    waves: number in the launch. tickets: of vmcnt. repeats: lanes that store what already stood
    there; stands: whose value stands there after the instruction. fetched: whose workgroup had
    fetched an atomic before. is_atomic: an atomic, or a load that is coherent among workgroups.
    """

    kind: str
    index: int
    size: int
    is_atomic: bool
    addresses: Array
    lanes: Array
    waves: Array
    tickets: Array
    repeats: Array | None
    stands: Array | None
    fetched: Array

    @property
    def keys(self) -> Array:
        """A number for each lane of the launch and address, int64 [k]."""
        return (self.addresses - BASE) << 26 | self.waves.astype(np.int64) << 6 | self.lanes


@dataclass(frozen=True)
class Entry:
    """One instruction's accesses as they were logged: as `Record`, but [waves, 64], or [waves] for
    what all lanes of a wave share; active: the lanes that access memory; low, high: around all;
    done: the wave's last ticket that had returned."""

    kind: str
    index: int
    size: int
    is_atomic: bool
    addresses: Array
    active: Array
    low: int
    high: int
    waves: Array
    tickets: Array
    done: Array
    repeats: Array | None
    stands: Array | None
    fetched: Array

    def touches(self, allocation: Allocation) -> bool:
        return self.low < allocation.end and self.high >= allocation.address

    def within(self, allocation: Allocation) -> Record | None:
        """The lanes that access an allocation."""
        active = self.active
        if self.low < allocation.address or self.high >= allocation.end:
            first, end = allocation.address, allocation.end
            active = active & (self.addresses >= first) & (self.addresses < end)
        chosen = np.flatnonzero(active)
        if not len(chosen):
            return None
        rows = chosen // WAVE
        return Record(
            kind=self.kind,
            index=self.index,
            size=self.size,
            is_atomic=self.is_atomic,
            addresses=self.addresses.reshape(-1)[chosen],
            lanes=(chosen % WAVE).astype(np.int8),
            waves=self.waves[rows],
            tickets=self.tickets[rows],
            repeats=None if self.repeats is None else self.repeats.reshape(-1)[chosen],
            stands=None if self.stands is None else self.stands.reshape(-1)[chosen],
            fetched=self.fetched[rows],
        )


def pick(record: Record, keep: Array) -> Record:
    """The lanes of a record that are set in `keep`, bool [k]."""
    return Record(
        kind=record.kind,
        index=record.index,
        size=record.size,
        is_atomic=record.is_atomic,
        addresses=record.addresses[keep],
        lanes=record.lanes[keep],
        waves=record.waves[keep],
        tickets=record.tickets[keep],
        repeats=None if record.repeats is None else record.repeats[keep],
        stands=None if record.stands is None else record.stands[keep],
        fetched=record.fetched[keep],
    )


def is_coherent(instruction: Instruction) -> bool:
    """Whether a load or a store goes past the caches that workgroups do not share, as an atomic
    one does.

    LLVM, User Guide for AMDGPU Backend: "load atomic monotonic agent" is glc on GFX90A, where glc
    with slc is but nontemporal, and sc1 on GFX942.
    """
    modifiers = instruction.modifiers
    return "sc1" in modifiers or ("glc" in modifiers and "slc" not in modifiers)


def find_repeats(machine: Machine, access: Access) -> Array:
    """Lanes that store what stands there, bool [waves, 64]; anything for those that do not."""
    assert access.data is not None
    places = np.where(access.active, access.addresses - BASE, 0)
    same = np.ones(places.shape, np.bool_)
    octets = machine.memory.buffer
    aligned = access.size % 4 == 0 and not int(np.bitwise_or.reduce(places, axis=None)) & 3
    width = 4 if aligned else 1
    table = octets[: len(octets) & ~3].view(np.uint32) if aligned else octets
    for at in range(0, access.size, width):
        word = machine.vector(access.data + at // 4)
        if not aligned:
            word = (word >> np.uint32(8 * (at % 4) + access.shift)).astype(np.uint8)
        same &= table.take((places + at) >> 2 if aligned else places + at) == word
    return same
