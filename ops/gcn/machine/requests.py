"""Requests: what lanes want of a memory, and which of them get it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rocmoe.ops.gcn.machine.extents import plural
from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.spaces import Space
from rocmoe.ops.gcn.semantics.words import Array


@dataclass(frozen=True)
class Request:
    """One access of the selected waves.

    addresses: int64 [waves, 64], any where a lane asks for nothing. asking: bool, the lanes that
    ask; None: those of EXEC. in_range: bool, lanes whose buffer resource covers the address: the
    others load zeros and store nothing; None: all.
    """

    space: Space
    addresses: Array
    asking: Array | None = None
    in_range: Array | None = None

    def lanes(self, machine: Machine) -> Array:
        """The lanes that ask."""
        return machine.active if self.asking is None else self.asking

    def reaching(self, machine: Machine) -> Array | None:
        """The lanes that ask and are in range; None: all 64."""
        if self.in_range is None:
            everyone = machine.full and self.asking is None
            return None if everyone else self.lanes(machine)
        everyone = machine.full and self.asking is None
        return self.in_range if everyone else self.in_range & self.lanes(machine)

    def limit(self, lanes: Array) -> Request:
        """The same of some lanes alone, of those that ask."""
        return replace(self, asking=lanes)

    def part(self, distance: int, in_range: Array | None) -> Request:
        """The same, `distance` bytes further on."""
        return replace(self, addresses=self.addresses + distance, in_range=in_range)


@dataclass(frozen=True)
class Grant:
    """What memcheck lets through.

    addresses: those of the request, and one of them where a lane gets nothing. lanes: bool, those
    that get something; None: all 64. refused: bool, those out of bounds; None: none.
    """

    addresses: Array
    lanes: Array | None
    refused: Array | None = None

    @property
    def is_empty(self) -> bool:
        return self.lanes is not None and not self.lanes.any()

    def active(self) -> Array:
        """The lanes that get something, bool [waves, 64]."""
        if self.lanes is None:
            return np.ones(self.addresses.shape, np.bool_)
        return self.lanes

    def choose(self, values: Array) -> Array:
        """The values, [waves, 64], of the lanes that get something, flat."""
        flat = values.reshape(-1)
        return flat if self._chosen is None else flat.take(self._chosen)

    @cached_property
    def _chosen(self) -> Array | None:
        return None if self.lanes is None else np.flatnonzero(self.lanes)


def grant(machine: Machine, request: Request, kind: str, size: int, alignment: int = 1) -> Grant:
    """Leave out the lanes that reach memory they may not, and report them.

    kind: as `Access.kind`. size: bytes a lane. alignment: in bytes, which addresses must have.
    """
    lanes = request.reaching(machine)
    if lanes is not None and not lanes.any():
        return Grant(request.addresses, lanes)
    addresses = _confine(request.addresses, lanes)
    refused = None
    outside = request.space.find_outside(machine, addresses, size, kind != "load")
    if outside is not None:
        refused = outside if lanes is None else outside & lanes
        report_refused(machine, request, refused, kind, size)
    if alignment > 1 and int(np.bitwise_or.reduce(addresses, axis=None)) & (alignment - 1):
        crooked = (addresses & (alignment - 1)) != 0
        crooked = crooked if lanes is None else crooked & lanes
        report_refused(machine, request, crooked, f"misaligned {kind}", size)
        refused = crooked if refused is None else refused | crooked
    if refused is None:
        return Grant(addresses, lanes)
    lanes = ~refused if lanes is None else lanes & ~refused
    return Grant(_confine(addresses, lanes) if lanes.any() else addresses, lanes, refused)


def _confine(addresses: Array, lanes: Array | None) -> Array:
    """Addresses of lanes that do not count become that of the first that does."""
    if lanes is None:
        return addresses
    return np.where(lanes, addresses, addresses.flat[int(lanes.argmax())])


def report_refused(machine: Machine, request: Request, bad: Array, what: str, size: int) -> None:
    """Note lanes, bool [waves, 64], or waves, bool [waves], whose request is out of bounds.

    what: `load`, `store`, `atomic`, with a word before it or none. size: bytes a lane.
    """
    space = request.space
    writing = not what.endswith("load")

    def describe(row: int, lane: int) -> str:
        address = int(request.addresses[row, lane])
        place = space.locate(machine, address, size, writing)
        return f"{what} of {plural(size, 'byte')} at {place}"

    kind = f"{space.name} {what}"
    machine.faults.report("memcheck", machine.index, bad, machine.place, describe, kind)
