"""Where lanes access LDS, and moving words between LDS and arrays of lanes.

Each workgroup has its row of `machine.lds`; a place is a byte in all rows together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.observer import Access
from rocmoe.ops.gcn.semantics.words import Array

_VERBS = {"load": "read", "store": "write", "atomic": "atomic"}


@dataclass(frozen=True)
class Located:
    """places: int64 [n, 64], the first byte; that of the first row for lanes that access nothing.

    lanes: bool [n, 64], those that do. whole: whether all do. dropped: whether lanes of EXEC were
    left out. unit: a power of two up to 16 that divides all places.
    """

    places: Array
    lanes: Array
    whole: bool
    dropped: bool
    unit: int


@dataclass(frozen=True)
class Site:
    """One access of an instruction, as far as its text tells; see observer.Access for the fields.

    offset: bytes, added to each lane's address. alignment: what the address must be a multiple of.
    """

    kind: str
    size: int
    offset: int
    data: int | None
    shift: int = 0
    keeps: bool = False
    returns: int | None = None
    alignment: int = 1

    def locate(self, machine: Machine, address: Array) -> Located:
        """Check the lanes' addresses, u32 [n, 64], and report those that are wrong.

        The offset may lead back to the start from an address below 0, on all but the first GCN
        (LLVM, AMDGPUDAGToDAGISel::isDSOffsetLegal): compilers count places down that way.
        A lane that is out of bounds, even in part, reads zeros and writes nothing (CDNA3 ISA, 11
        Local Data Share); so does here one that is not aligned where it must be.
        """
        whole, offset = machine.full, self.offset
        last = machine.lds_bytes - offset - self.size
        bits = int(np.bitwise_or.reduce(address, axis=None)) | offset
        unit = min(bits & -bits, 16) if bits else 16
        rows = (machine.group * machine.lds.shape[1] + offset)[:, None]
        wanted = max(self.alignment, 1 if whole else self.size & -self.size)
        if unit >= wanted and int(address.max()) <= last:
            return Located(address + rows, machine.active, whole, False, unit)
        address, rows = address + np.uint32(offset), rows - offset
        beyond = address > machine.lds_bytes - self.size
        lanes = machine.active & ~beyond
        if self.alignment > 1:
            lanes &= (address & np.uint32(self.alignment - 1)) == 0
        dropped = bool((lanes != machine.active).any())
        if dropped:
            self._report(machine, address, beyond, machine.active & ~lanes)
        places = np.where(lanes, address + rows, 0)
        bits = int(np.bitwise_or.reduce(places, axis=None))
        return Located(places, lanes, whole and not dropped, dropped, min(bits & -bits, 16) or 16)

    def announce(self, machine: Machine, address: Array, located: Located) -> Access:
        """Tell the observers, and return what they were told."""
        access = Access(
            "lds",
            self.kind,
            (address + np.uint32(self.offset)).astype(np.int64),
            self.size,
            located.lanes,
            self.data,
            shift=self.shift,
            keeps=self.keeps,
            returns=self.returns,
        )
        machine.tell(access)
        return access

    def _report(self, machine: Machine, address: Array, beyond: Array, wrong: Array) -> None:
        """address: with the offset. beyond: of the wrong lanes, those out of bounds; the others are
        misaligned."""
        words = f"LDS {_VERBS[self.kind]} of {self.size} bytes at"

        def describe_beyond(row: int, lane: int) -> str:
            place = int(address[row, lane])
            return f"{words} {place}, of which the workgroup has {machine.lds_bytes}"

        def describe_misaligned(row: int, lane: int) -> str:
            place = int(address[row, lane])
            return f"{words} {place}, which is no multiple of {self.alignment}"

        report, index, place = machine.faults.report, machine.index, machine.place
        report("memcheck", index, wrong & beyond, place, describe_beyond)
        report("memcheck", index, wrong & ~beyond, place, describe_misaligned, "misaligned")


def begin(
    machine: Machine, sites: Sequence[Site], address: Array
) -> tuple[list[Located], list[Access]]:
    """Locate all accesses of an instruction; the second list is empty without observers."""
    spots = [site.locate(machine, address) for site in sites]
    if not machine.observers:
        return spots, []
    pairs = zip(sites, spots, strict=True)
    return spots, [site.announce(machine, address, spot) for site, spot in pairs]


def end(machine: Machine, accesses: list[Access]) -> None:
    for access in accesses:
        machine.told(access)


def flat_view(machine: Machine, dtype: str) -> Array:
    """All LDS of the batch as one array."""
    return machine.lds.reshape(-1).view(dtype)


def gather(machine: Machine, spot: Located, size: int) -> list[Array]:
    """The dwords that each lane reads, u32 [n, 64]; bytes and halves fill up with zeros."""
    width = min(size, 4)
    if spot.unit >= width:
        view = flat_view(machine, f"<u{width}")
        index = spot.places >> (width.bit_length() - 1)
        words = [view.take(index + k if k else index) for k in range(size // width)]
    else:
        octets = flat_view(machine, "u1")[spot.places[..., None] + np.arange(size)]
        joined = octets.view(f"<u{width}")
        words = [joined[..., k] for k in range(size // width)]
    words = [word.astype(np.uint32, copy=False) for word in words]
    zero = np.uint32(0)
    return [np.where(spot.lanes, word, zero) for word in words] if spot.dropped else words


def scatter(machine: Machine, spot: Located, size: int, words: Sequence[Array]) -> None:
    """Store dwords, or the low bytes of one; the last lane that writes a byte wins."""
    if not spot.whole:
        words = [word[spot.lanes] for word in words]
    places = spot.places if spot.whole else spot.places[spot.lanes]
    width = min(size, 4)
    apart = size & (size - 1) == 0 and spot.unit >= size
    if apart:
        view = flat_view(machine, f"<u{width}")
        index = places >> (width.bit_length() - 1)
        for k, word in enumerate(words):
            view[index + k if k else index] = word.astype(view.dtype, copy=False)
        return
    # Lanes may overlap in part: all words of one lane go before those of the next.
    unit = 4 if size > 4 and spot.unit >= 4 else 1
    stacked = np.stack([np.broadcast_to(word, places.shape) for word in words], axis=-1)
    values = stacked.view(f"<u{unit}")[..., : size // unit]
    index = (places >> (unit.bit_length() - 1))[..., None] + np.arange(size // unit)
    flat_view(machine, f"<u{unit}")[index] = values
