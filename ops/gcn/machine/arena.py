"""The simulated device memory: every tensor's storage and the kernarg segment, with red zones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rocmoe.ops.gcn.machine.buffer_resource import PRIVATE_SEGMENT
from rocmoe.ops.gcn.machine.extents import Extents, describe_place, is_element, plural
from rocmoe.ops.gcn.machine.launch import Slot, Tensor
from rocmoe.ops.gcn.machine.storage import Storage, allocate
from rocmoe.ops.gcn.semantics.words import Array

#: Where device memory begins; no 32-bit offset alone is an address of it.
BASE = 1 << 32

_ALIGNMENT = 256


@dataclass(frozen=True)
class Allocation:
    """A storage in device memory; `address` is that of its first byte."""

    address: int
    memory: Array
    tensors: tuple[Tensor, ...]

    @property
    def end(self) -> int:
        return self.address + int(self.memory.size)


class Arena:
    """One buffer from address `BASE` on, for all that a kernel can reach.

    tensors: those that may be accessed, each from its first element to the end of its last.
    kernarg_size: bytes of the kernarg segment, which may be read. gap: bytes of red zone around
    each allocation. A storage lies at the same address modulo 16 as its array does, so that what
    the compiler was told of alignment is as true as it was.
    """

    #: The buffer resource of scratch, which gfx90a's runtime passes in four scalar registers.
    private_segment = PRIVATE_SEGMENT

    def __init__(self, tensors: Sequence[Tensor], kernarg_size: int, gap: int = 4096) -> None:
        self._gap = gap
        self.kernarg_address = BASE + _round_up(gap, _ALIGNMENT)
        self.kernarg_end = self.kernarg_address + kernarg_size
        self.allocations = _lay_out(tensors, self.kernarg_end, gap)
        self._addresses = {id(part.memory): part.address for part in self.allocations}
        top = max([self.kernarg_end, *(part.end for part in self.allocations)]) + gap
        self.storage = Storage(allocate(top - BASE))
        self._copy_in()
        spans = [self._span(tensor) for part in self.allocations for tensor in part.tensors]
        self._writable = Extents(spans)
        self._readable = Extents([*spans, (self.kernarg_address, self.kernarg_end)])
        self._dirty: dict[int, tuple[int, int]] = {}

    @property
    def buffer(self) -> Array:
        """u8: the byte at address `BASE` and all behind it."""
        return self.storage.octets

    @property
    def kernarg(self) -> Array:
        """u8: the kernarg segment."""
        return self.buffer[self.kernarg_address - BASE : self.kernarg_end - BASE]

    def fill_kernarg(self, slots: Sequence[Slot]) -> None:
        """Write values and addresses into the kernarg segment; the rest of it stays zero."""
        for slot in slots:
            value = slot.value
            data = value if isinstance(value, bytes) else self.address(value).to_bytes(8, "little")
            self.kernarg[slot.offset : slot.offset + len(data)] = np.frombuffer(data, np.uint8)

    def kernarg_dword(self, number: int) -> int:
        """A dword of the kernarg segment, 0 past its end: what is preloaded into registers."""
        return int.from_bytes(self.kernarg[4 * number : 4 * number + 4].tobytes(), "little")

    def address(self, tensor: Tensor) -> int:
        """The address of a tensor's first element."""
        return self._addresses[id(tensor.memory)] + tensor.offset

    def find_outside(self, addresses: Array, size: int, writing: bool = False) -> Array | None:
        """Which accesses of `size` bytes touch memory that is no tensor's: bool, as addresses,
        which are int64 and at least one; None where none does."""
        return (self._writable if writing else self._readable).find_outside(addresses, size)

    def mark_stored(self, low: int, high: int) -> None:
        """Note that memory from address `low` up to `high` may have been stored to."""
        for number, part in enumerate(self.allocations):
            first, last = max(low, part.address), min(high, part.end)
            if first < last:
                was = self._dirty.get(number, (first, last))
                self._dirty[number] = (min(first, was[0]), max(last, was[1]))

    def copy_back(self) -> None:
        """Put what was stored into the tensors' own memory."""
        for number, (low, high) in self._dirty.items():
            part = self.allocations[number]
            new = self.buffer[low - BASE : high - BASE]
            old = part.memory[low - part.address : high - part.address]
            # A range that was marked need not have changed, and may be memory that is read only.
            if not np.array_equal(old, new):
                old[...] = new

    def locate(self, address: int, size: int = 1) -> str:
        """Words for an access: `ids[12, 3]`, `8 bytes past the end of ids[16, 8]` (as far as its
        last byte), `24 bytes before the start of ids[16, 8]`, `kernarg + 16`."""
        distance = self._from_kernarg(address, size)
        tensors = [tensor for part in self.allocations for tensor in part.tensors]
        near = min(tensors, key=lambda t: self._nearness(t, address, size), default=None)
        if near is None or distance < self._distance(near, address, size):
            return self._locate_kernarg(address, size) if distance <= self._gap else _NOTHING
        if self._distance(near, address, size) > self._gap:
            return _NOTHING
        return describe_place(near, address - self.address(near), size)

    def _copy_in(self) -> None:
        for part in self.allocations:
            self.buffer[part.address - BASE : part.end - BASE] = part.memory

    def _span(self, tensor: Tensor) -> tuple[int, int]:
        start = self.address(tensor)
        return start, start + tensor.extent

    def _nearness(self, tensor: Tensor, address: int, size: int) -> tuple[int, bool]:
        """How far away it is; of two views that are mingled, that which has the element."""
        distance = self._distance(tensor, address, size)
        return distance, not distance and not is_element(tensor, address - self.address(tensor))

    def _distance(self, tensor: Tensor, address: int, size: int) -> int:
        start, end = self._span(tensor)
        return max(start - address, address + size - end, 0)

    def _from_kernarg(self, address: int, size: int) -> int:
        if self.kernarg_address == self.kernarg_end:
            return self._gap + 1
        return max(self.kernarg_address - address, address + size - self.kernarg_end, 0)

    def _locate_kernarg(self, address: int, size: int) -> str:
        past = address + size - self.kernarg_end
        if address < self.kernarg_address:
            return f"{plural(self.kernarg_address - address, 'byte')} before the start of kernarg"
        if past <= 0:
            return f"kernarg + {address - self.kernarg_address}"
        length = self.kernarg_end - self.kernarg_address
        return f"{plural(past, 'byte')} past the end of kernarg ({plural(length, 'byte')})"


_NOTHING = "no tensor is near"


def _lay_out(tensors: Sequence[Tensor], top: int, gap: int) -> tuple[Allocation, ...]:
    """Storages in the order in which the tensors name them."""
    storages: dict[int, list[Tensor]] = {}
    for tensor in tensors:
        storages.setdefault(id(tensor.memory), []).append(tensor)
    parts: list[Allocation] = []
    for views in storages.values():
        memory = views[0].memory
        address = _round_up(top + gap, _ALIGNMENT) + memory.ctypes.data % 16
        parts.append(Allocation(address, memory, tuple(views)))
        top = address + memory.size
    return tuple(parts)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
