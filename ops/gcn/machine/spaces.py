"""The memories that lanes reach: device memory, LDS, scratch."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from rocmoe.ops.gcn.machine.arena import BASE
from rocmoe.ops.gcn.machine.extents import plural
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.storage import Storage
from rocmoe.ops.gcn.semantics.words import Array


class Space(Protocol):
    """Addresses are int64 [waves, 64] as `Access` has them."""

    @property
    def name(self) -> str:
        """As `Access.space`."""

    def storage(self, machine: Machine) -> Storage: ...

    def places(self, machine: Machine, addresses: Array) -> Array:
        """Places in the storage, in bytes."""

    def find_outside(
        self, machine: Machine, addresses: Array, size: int, writing: bool
    ) -> Array | None:
        """Accesses of `size` bytes that reach what they may not, bool; None where none does."""

    def mark_stored(self, machine: Machine, addresses: Array, size: int) -> None:
        """Note addresses, at least one, that were stored to."""

    def locate(self, machine: Machine, address: int, size: int, writing: bool) -> str:
        """Words for an address, and for what lies there or near."""


class GlobalSpace:
    """Device memory; addresses are real ones."""

    name = "global"

    def storage(self, machine: Machine) -> Storage:
        return machine.memory.storage

    def places(self, machine: Machine, addresses: Array) -> Array:
        return addresses - BASE

    def find_outside(
        self, machine: Machine, addresses: Array, size: int, writing: bool
    ) -> Array | None:
        return machine.memory.find_outside(addresses, size, writing)

    def mark_stored(self, machine: Machine, addresses: Array, size: int) -> None:
        machine.memory.mark_stored(int(addresses.min()), int(addresses.max()) + size)

    def locate(self, machine: Machine, address: int, size: int, writing: bool) -> str:
        place = machine.memory.locate(address, size)
        constant = ", which is read only" if writing and place.startswith("kernarg") else ""
        return f"{address & 0xFFFFFFFFFFFFFFFF:#x}: {place}{constant}"


class _Fixed:
    """Memory of a fixed size whose addresses count from its own start."""

    name: str
    title: str

    def size(self, machine: Machine) -> int:
        raise NotImplementedError

    def find_outside(
        self, machine: Machine, addresses: Array, size: int, writing: bool
    ) -> Array | None:
        limit = self.size(machine) - size
        if int(addresses.min()) >= 0 and int(addresses.max()) <= limit:
            return None
        return (addresses < 0) | (addresses > limit)

    def mark_stored(self, machine: Machine, addresses: Array, size: int) -> None:
        """All of it is the machine's own."""

    def locate(self, machine: Machine, address: int, size: int, writing: bool) -> str:
        limit, where = self.size(machine), f"byte {address} of {self.title}"
        past = address + size - limit
        if past <= 0:
            return where
        return f"{where}: {plural(past, 'byte')} past its end ({plural(limit, 'byte')})"


class LocalSpace(_Fixed):
    """LDS; addresses count in the workgroup's own."""

    name, title = "lds", "LDS"

    def size(self, machine: Machine) -> int:
        return machine.lds_bytes

    def storage(self, machine: Machine) -> Storage:
        return Storage(machine.lds.reshape(-1))

    def places(self, machine: Machine, addresses: Array) -> Array:
        return addresses + machine.group[:, None] * machine.lds.shape[1]


class PrivateSpace(_Fixed):
    """Scratch; addresses count in the lane's own."""

    name, title = "scratch", "scratch"

    def size(self, machine: Machine) -> int:
        return int(machine.scratch.shape[2])

    def storage(self, machine: Machine) -> Storage:
        return Storage(machine.scratch.reshape(-1))

    def places(self, machine: Machine, addresses: Array) -> Array:
        waves = np.arange(machine.waves)[machine.sel, None]
        return addresses + (waves * WAVE + np.arange(WAVE)) * self.size(machine)


GLOBAL = GlobalSpace()
LOCAL = LocalSpace()
PRIVATE = PrivateSpace()
