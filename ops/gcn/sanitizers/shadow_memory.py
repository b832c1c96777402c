"""Undefined bytes of global memory, LDS and scratch, held as 0xFF beside the memory itself."""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.machine.arena import BASE
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.observer import Access
from rocmoe.ops.gcn.semantics.words import Array

_UNDEFINED = 0xFF


class ShadowMemory:
    """The tables are flat, u8; that of global memory is None where nothing is undefined."""

    def __init__(self, machine: Machine) -> None:
        self._global = _find_unwritten(machine)
        self._tables: dict[str, Array | None] = {}

    def begin(self, machine: Machine) -> None:
        """A batch starts: nothing of its LDS and scratch is defined."""
        self._tables = {
            "global": self._global,
            "lds": np.full(machine.lds.size, _UNDEFINED, np.uint8),
            "scratch": np.full(machine.scratch.size, _UNDEFINED, np.uint8),
        }
        self._row_bytes = {"lds": machine.lds.shape[1], "scratch": machine.scratch.shape[2]}

    def load(self, machine: Machine, access: Access, at: int) -> Array | None:
        """Undefined bits of dword `at` of each lane, u32 as the addresses; None: all is defined."""
        table = self._tables[access.space]
        if table is None or not access.active.any():
            return None
        places = self._places(machine, access, access.addresses) + 4 * at
        places = np.where(access.active, places, 0)
        if access.size % 4 == 0 and not (places & 3).any():
            words = table[: table.size & ~3].view(np.uint32)[places >> 2]
        else:
            words = np.zeros(places.shape, np.uint32)
            for octet in range(min(access.size - 4 * at, 4)):
                words |= table[places + octet].astype(np.uint32) << np.uint32(8 * octet)
        return words if words.any() else None

    def store(self, machine: Machine, access: Access, at: int, bits: Array | None) -> None:
        """Dword `at` of each lane is stored, with these undefined bits; None: none."""
        table = self._tables[access.space]
        if table is None:
            return
        places = (self._places(machine, access, access.addresses) + 4 * at)[access.active]
        words = None if bits is None else bits[access.active]
        atomic = access.kind == "atomic"
        aligned = access.size % 4 == 0 and not (places & 3).any()
        if atomic and words is None:
            return
        if aligned and words is None:
            table[: table.size & ~3].view(np.uint32)[places >> 2] = 0
            return
        for octet in range(min(access.size - 4 * at, 4)):
            byte = np.zeros(len(places), np.uint8)
            if words is not None:
                byte[(words >> np.uint32(8 * octet)) & np.uint32(0xFF) != 0] = _UNDEFINED
            table[places + octet] = table[places + octet] | byte if atomic else byte

    def copy_to_lds(self, machine: Machine, access: Access) -> None:
        """A load that goes to LDS."""
        assert access.to_lds is not None
        target, source = self._tables["lds"], self._tables[access.space]
        assert target is not None
        active = access.active
        to = (access.to_lds + (machine.group * self._row_bytes["lds"])[:, None])[active]
        places = self._places(machine, access, access.addresses)[active]
        # What is shorter than a dword is extended to one.
        for octet in range(max(access.size, 4)):
            loaded = source is not None and octet < access.size
            target[to + octet] = source[places + octet] if loaded and source is not None else 0

    def _places(self, machine: Machine, access: Access, addresses: Array) -> Array:
        if access.space == "global":
            return addresses - BASE
        if access.space == "lds":
            return addresses + (machine.group * self._row_bytes["lds"])[:, None]
        waves = np.arange(machine.waves)[machine.sel]
        row = waves[:, None] * WAVE + np.arange(WAVE)
        return addresses + row * self._row_bytes["scratch"]


def _find_unwritten(machine: Machine) -> Array | None:
    table: Array | None = None
    for allocation in machine.memory.allocations:
        for tensor in allocation.tensors:
            if tensor.unwritten is None or not tensor.unwritten.any():
                continue
            if table is None:
                table = np.zeros(machine.memory.buffer.size, np.uint8)
            start = allocation.address - BASE
            table[start : start + len(tensor.unwritten)][tensor.unwritten] = _UNDEFINED
    return table
