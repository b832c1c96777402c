"""The state of the waves that run together, and access to it for those selected.

A vector register is an array u32 [waves, 64], a scalar one u32 [waves].  No array is changed once
it is a register: a write puts another in its place, so a value that was read stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from rocmoe.ops.gcn.machine.arena import Arena
from rocmoe.ops.gcn.machine.fault import FaultLog
from rocmoe.ops.gcn.machine.observer import Access, Observer, listeners
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array

WAVE = 64
VECTORS = 512  # v0 to v255, then a0 to a255
SCALARS = 128
VCC, M0, EXEC = 106, 124, 126

#: What a register holds that nobody wrote: a NaN as a float, far out of range as an address.
GARBAGE = np.uint32(0x7FFF7FFF)

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def pack_lanes(lanes: Array) -> Array:
    """A bit a lane: bool [waves, 64] to u64 [waves]."""
    packed = np.packbits(lanes, axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8").reshape(len(lanes))


def unpack_lanes(bits: Array) -> Array:
    """u64 [waves] to bool [waves, 64]."""
    octets = np.ascontiguousarray(bits, "<u8").view(np.uint8).reshape(-1, 8)
    return np.unpackbits(octets, axis=1, bitorder="little").view(np.bool_)


@dataclass(frozen=True)
class Placement:
    """Where each wave of a batch belongs; all int64 [waves].

    group: its workgroup's number in the batch; workgroup: in the launch; slot: the wave's in it.
    """

    group: Array
    workgroup: Array
    slot: Array


@dataclass
class RegisterState:
    """vectors: u32 [waves, 64] each. scalars: u32 [waves] each. scc: bool [waves]. masks: pairs of
    scalars by their first as bool [waves, 64], where that is at hand."""

    vectors: list[Array]
    scalars: list[Array]
    scc: Array
    masks: dict[int, Array]


class Machine:
    """One batch of workgroups.

    index: of the instruction that runs now. sel: which waves it runs for, n: how many; active:
    bool [n, 64], their EXEC; full: whether all of it is set. lds: u8 [groups, bytes]. scratch: u8
    [waves, 64, bytes].
    """

    def __init__(
        self,
        program: Program,
        memory: Arena,
        placement: Placement,
        lds_bytes: int,
        scratch_bytes: int,
        faults: FaultLog,
        observers: tuple[Observer, ...] = (),
    ) -> None:
        self.program, self.memory, self.placement = program, memory, placement
        self.faults, self.observers = faults, observers
        self.waves = len(placement.group)
        self.groups = int(placement.group[-1]) + 1
        self.lds_bytes = lds_bytes
        self.lds = np.full((self.groups, max(-(-lds_bytes // 16), 1) * 16), 0x7F, np.uint8)
        self.scratch = np.full((self.waves, WAVE, scratch_bytes), 0x7F, np.uint8)
        self._nothing = np.full((self.waves, WAVE), GARBAGE, np.uint32)
        self._vectors: list[Array] = [self._nothing] * VECTORS
        self._scalars: list[Array] = [np.full(self.waves, GARBAGE, np.uint32)] * SCALARS
        self._scc = np.zeros(self.waves, np.bool_)
        self._masks: dict[int, Array] = {}
        self._active = np.zeros((self.waves, WAVE), np.bool_)
        self._indexing = np.zeros(self.waves, np.bool_)
        self._before_access = listeners(observers, "access")
        self._after_access = listeners(observers, "accessed")
        self.index = 0
        self.clock = 0
        self.select(None)

    def select(self, waves: Array | None) -> None:
        """Choose the waves that instructions now run for: indices, or None for all."""
        self.everyone = waves is None
        self.sel: slice | Array = slice(None) if waves is None else waves
        self.n = self.waves if waves is None else len(waves)
        self._refresh()

    def _refresh(self) -> None:
        self.active = self._active[self.sel]
        self.full = bool(self.active.all())

    @property
    def group(self) -> Array:
        """The workgroup's number in the batch of each selected wave, int64 [n]."""
        return self.placement.group[self.sel]

    def place(self, row: int) -> tuple[int, int]:
        """Workgroup and wave in it, of a row of the selected waves."""
        wave = row if self.everyone else int(self.sel[row])  # type: ignore[index]
        return int(self.placement.workgroup[wave]), int(self.placement.slot[wave])

    def vector(self, number: int) -> Array:
        """u32 [n, 64], not to be changed."""
        return self._vectors[number][self.sel]

    def set_vector(self, number: int, values: Array, lanes: Array | None = None) -> None:
        """Write the lanes (those of EXEC, if none are given) of a vector register.

        values: u32, of any shape that broadcasts to [n, 64].
        """
        if lanes is None and self.full:
            new = values
        else:
            old = self._vectors[number][self.sel]
            new = np.where(self.active if lanes is None else lanes, values, old)
        if new.shape != (self.n, WAVE):
            new = np.broadcast_to(new, (self.n, WAVE)).copy()
        if not self.everyone:
            whole = self._vectors[number].copy()
            whole[self.sel] = new
            new = whole
        self._vectors[number] = new

    def scalar(self, number: int) -> Array:
        """u32 [n], not to be changed."""
        return self._scalars[number][self.sel]

    def set_scalar(self, number: int, values: Array) -> None:
        """Write a scalar register; values: u32, [n] or one for all."""
        self._masks.pop(number & ~1, None)
        self._put_scalar(number, values)
        if number >= EXEC:
            self._set_active(unpack_lanes(self._scalar64(EXEC)))

    def scalar64(self, number: int) -> Array:
        """u64 [n]: a pair of scalar registers."""
        return self._scalar64(number)

    def set_scalar64(self, number: int, values: Array) -> None:
        """Write a pair of scalar registers; values: u64, [n] or one for all."""
        self._masks.pop(number, None)
        self._put_scalar64(number, values)
        if number == EXEC:
            self._set_active(unpack_lanes(self._scalar64(EXEC)))

    def mask(self, number: int) -> Array:
        """A pair of scalar registers as a bit a lane, bool [n, 64]."""
        known = self._masks.get(number)
        if known is not None:
            return known[self.sel]
        return self.active if number == EXEC else unpack_lanes(self._scalar64(number))

    def set_mask(self, number: int, lanes: Array) -> None:
        """Write a pair of scalar registers from bool [n, 64]."""
        self._masks.pop(number, None)
        self._put_scalar64(number, pack_lanes(lanes))
        if number == EXEC:
            self._set_active(lanes)
        elif self.everyone:
            self._masks[number] = lanes

    @property
    def scc(self) -> Array:
        """bool [n], not to be changed."""
        return self._scc[self.sel]

    def set_scc(self, values: Array) -> None:
        whole = self._scc.copy()
        whole[self.sel] = values
        self._scc = whole

    @property
    def indexing(self) -> Array:
        """Whether the registers of vector instructions are counted on by M0, bool [n]."""
        return self._indexing[self.sel]

    def set_indexing(self, on: bool) -> None:
        self._indexing[self.sel] = on

    @contextmanager
    def substituted(self, state: RegisterState) -> Iterator[None]:
        """Other registers in the place of these; EXEC as it is, whatever happens to it inside."""
        own = self.state
        exec_own = self._active
        self.state = state
        try:
            yield
        finally:
            self.state = own
            self._active = exec_own
            self._refresh()

    @property
    def state(self) -> RegisterState:
        """All registers; the lists and the dictionary are those in use."""
        return RegisterState(self._vectors, self._scalars, self._scc, self._masks)

    @state.setter
    def state(self, state: RegisterState) -> None:
        self._vectors, self._scalars = state.vectors, state.scalars
        self._scc, self._masks = state.scc, state.masks

    def tell(self, access: Access) -> None:
        """Say to all observers what is about to be accessed."""
        for listen in self._before_access:
            listen(self, access)

    def told(self, access: Access) -> None:
        """Say to all observers that it was accessed."""
        for listen in self._after_access:
            listen(self, access)

    def _scalar64(self, number: int) -> Array:
        low, high = self._scalars[number][self.sel], self._scalars[number + 1][self.sel]
        return low.astype(np.uint64) | (high.astype(np.uint64) << _HALF)

    def _put_scalar(self, number: int, values: Array) -> None:
        whole = self._scalars[number].copy()
        whole[self.sel] = values
        self._scalars[number] = whole

    def _put_scalar64(self, number: int, values: Array) -> None:
        self._put_scalar(number, (values & _LOW).astype(np.uint32))
        self._put_scalar(number + 1, (values >> _HALF).astype(np.uint32))

    def _set_active(self, lanes: Array) -> None:
        if self.everyone:
            self._active = lanes
        else:
            self._active = self._active.copy()
            self._active[self.sel] = lanes
        self._refresh()
