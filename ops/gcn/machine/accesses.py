"""Loads, stores and atomics of vector registers, in whatever memory a request names.

Words are moved at any alignment, as in the unaligned access mode that ROCm turns on (LLVM, User
Guide for AMDGPU Backend, feature `unaligned-access-mode`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rocmoe.ops.gcn.machine.atomics import apply_atomic
from rocmoe.ops.gcn.machine.machine import GARBAGE, M0, WAVE, Machine
from rocmoe.ops.gcn.machine.observer import Access
from rocmoe.ops.gcn.machine.requests import Grant, Request, grant
from rocmoe.ops.gcn.machine.spaces import LOCAL
from rocmoe.ops.gcn.machine.transfer_widths import DWORD, Width
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array

#: What an instruction does with one request.
Perform = Callable[[Machine, Request], None]

_LOW_HALF = np.uint32(0xFFFF)


@dataclass(frozen=True)
class Load:
    """Memory to registers from `data` on. keeps: a half-register load leaves the other half."""

    width: Width
    data: int
    keeps: bool = False

    def __call__(self, machine: Machine, request: Request) -> None:
        width = self.width
        given = grant(machine, request, "load", width.size)
        access = _describe(machine, request, given, "load", width, self.data, keeps=self.keeps)
        for at, values in enumerate(_read(machine, request, given, width, access)):
            number = self.data + at
            if width.half:
                values = _place_half(values, width.shift)
            if self.keeps:
                other = _LOW_HALF << np.uint32(16 - width.shift)
                values = values | (machine.vector(number) & other)
            machine.set_vector(number, values, request.asking)
        _tell_after(machine, access)

    def part(self, at: int) -> Load:
        """The load of its dword `at` alone."""
        return Load(DWORD, self.data + at)


@dataclass(frozen=True)
class LoadToLds:
    """Memory to LDS, lane by lane.

    CDNA4 ISA, 9.1.9 "Memory buffer load to LDS" and 10.3 "Addressing": from M0's offset plus the
    instruction's, 4 bytes a lane, or 16 for loads of three and four dwords. Shorter values fill
    up to a dword. offset: the instruction's. offset_mask: bits of M0 that count. step: bytes from
    a lane's to the next one's.
    """

    width: Width
    offset: int
    offset_mask: int
    step: int

    def __call__(self, machine: Machine, request: Request) -> None:
        start = (machine.scalar(M0) & np.uint32(self.offset_mask)).astype(np.int64) + self.offset
        targets = start[:, None] + np.arange(WAVE) * self.step
        size = self.width.dwords * 4
        target = grant(machine, Request(LOCAL, targets, request.asking), "store", size)
        lanes = target.active()
        request = request if target.lanes is None else request.limit(lanes)
        given = grant(machine, request, "load", self.width.size)
        access = _describe(machine, request, given, "load", self.width, None, to_lds=targets)
        cleared = _describe_cleared(machine, targets, lanes & ~given.active(), size)
        if cleared is not None:
            machine.tell(cleared)
        words = _read(machine, request, given, self.width, access)
        if not target.is_empty:
            places = target.choose(LOCAL.places(machine, targets))
            LOCAL.storage(machine).store(places, size, [target.choose(word) for word in words])
        _tell_after(machine, access)
        _tell_after(machine, cleared)

    def part(self, at: int) -> LoadToLds:
        """The load of its dword `at` alone."""
        return replace(self, width=DWORD, offset=self.offset + 4 * at)


@dataclass(frozen=True)
class Store:
    """Registers from `data` on to memory."""

    width: Width
    data: int

    def __call__(self, machine: Machine, request: Request) -> None:
        width, space = self.width, request.space
        given = grant(machine, request, "store", width.size)
        access = _describe(machine, request, given, "store", width, self.data)
        if access is not None:
            machine.tell(access)
        if not given.is_empty:
            places = given.choose(space.places(machine, given.addresses))
            words = [given.choose(word) for word in self._words(machine)]
            space.mark_stored(machine, given.addresses, width.size)
            space.storage(machine).store(places, width.size, words)
        _tell_after(machine, access)

    def part(self, at: int) -> Store:
        """The store of its dword `at` alone."""
        return Store(DWORD, self.data + at)

    def _words(self, machine: Machine) -> list[Array]:
        words = [machine.vector(self.data + at) for at in range(self.width.dwords)]
        return [word >> np.uint32(self.width.shift) if self.width.shift else word for word in words]


@dataclass(frozen=True)
class AtomicUpdate:
    """Memory updated from registers.

    operation: a key of `atomics.ATOMICS`. size: bytes a lane, 4 or 8. data: the first register of
    the operand; what cmpswap compares with stands behind it. returns: the first register that gets
    the value from before, None where that is not wanted.
    """

    operation: str
    size: int
    data: int
    returns: int | None

    def __call__(self, machine: Machine, request: Request) -> None:
        width, space = Width(self.size), request.space
        given = grant(machine, request, "atomic", self.size, alignment=self.size)
        access = _describe(machine, request, given, "atomic", width, self.data, self.returns)
        if access is not None:
            machine.tell(access)
        old = None
        if not given.is_empty:
            places = given.choose(space.places(machine, given.addresses))
            space.mark_stored(machine, given.addresses, self.size)
            view = space.storage(machine).units(self.size)
            places = places >> (self.size.bit_length() - 1)
            old = self._apply(machine, given, view, places, space is LOCAL)
        if self.returns is not None:
            self._return(machine, request, given, old)
        _tell_after(machine, access)

    def _apply(
        self, machine: Machine, given: Grant, view: Array, places: Array, local: bool
    ) -> Array | None:
        # LDS keeps the denormals that the L2 cache flushes.
        operation = self.operation.removesuffix("_flush") if local else self.operation
        compares = operation == "cmpswap"
        values = self._operand(machine, given, self.data)
        compare = self._operand(machine, given, self.data + self.size // 4) if compares else None
        wanted = self.returns is not None
        return apply_atomic(operation, view, places, values, compare, wanted)

    def _operand(self, machine: Machine, given: Grant, number: int) -> Array:
        low = given.choose(machine.vector(number))
        if self.size == 4:
            return low
        high = given.choose(machine.vector(number + 1))
        return np.stack([low, high], axis=-1).view(np.uint64)[..., 0]

    def _return(self, machine: Machine, request: Request, given: Grant, old: Array | None) -> None:
        assert self.returns is not None
        words = np.zeros((machine.n, WAVE, self.size // 4), np.uint32)
        if old is not None:
            words[given.active()] = old.view(np.uint32).reshape(-1, self.size // 4)
        for at in range(self.size // 4):
            values = _fill(request, given, words[..., at])
            machine.set_vector(self.returns + at, np.ascontiguousarray(values), request.asking)


def keeps_other_half(program: Program) -> bool:
    """Whether a load of 16 bits leaves the rest of its register as it was.

    With ECC on it becomes zero (CDNA4 ISA, 9.1.6; LLVM's `d16PreservesUnusedBits` agrees), as it
    is on every GPU of these architectures unless code says `sramecc-`.
    """
    return program.target.sramecc is False


def _read(
    machine: Machine, request: Request, given: Grant, width: Width, access: Access | None
) -> list[Array]:
    """The dwords that lanes load, each [waves, 64]: zeros out of range, garbage out of bounds."""
    if access is not None:
        machine.tell(access)
    if given.is_empty:
        words = [np.zeros((machine.n, WAVE), np.uint32)] * width.dwords
    else:
        places = request.space.places(machine, given.addresses)
        words = request.space.storage(machine).load(places, width.size)
    if width.signed:
        sign = np.uint32(1 << (8 * width.size - 1))
        words = [(word ^ sign) - sign for word in words]
    return [_fill(request, given, word) for word in words]


def _fill(request: Request, given: Grant, words: Array) -> Array:
    if request.in_range is None and given.refused is None:
        return words
    empty = np.uint32(0)
    rest = empty if given.refused is None else np.where(given.refused, GARBAGE, empty)
    return words if given.lanes is None else np.where(given.lanes, words, rest)


def _place_half(values: Array, shift: int) -> Array:
    return (values & _LOW_HALF) << np.uint32(shift)


def _describe(
    machine: Machine,
    request: Request,
    given: Grant,
    kind: str,
    width: Width,
    data: int | None,
    returns: int | None = None,
    keeps: bool = False,
    to_lds: Array | None = None,
) -> Access | None:
    """What observers are told; None where there are none."""
    if not machine.observers:
        return None
    return Access(
        request.space.name,
        kind,
        given.addresses,
        width.size,
        given.active(),
        data,
        shift=width.shift,
        keeps=keeps,
        returns=returns,
        to_lds=to_lds,
    )


def _describe_cleared(machine: Machine, targets: Array, lanes: Array, size: int) -> Access | None:
    """The store of zeros to LDS by lanes whose load is out of range."""
    if not machine.observers or not lanes.any():
        return None
    return Access("lds", "store", targets, size, lanes, None)


def _tell_after(machine: Machine, access: Access | None) -> None:
    if access is not None:
        machine.told(access)
