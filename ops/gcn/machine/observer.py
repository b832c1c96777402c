"""What a run tells those who watch it: instructions, memory accesses, barriers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rocmoe.ops.gcn.semantics.words import Array

if TYPE_CHECKING:
    from rocmoe.ops.gcn.machine.machine import Machine
    from rocmoe.ops.gcn.machine.step import Step


@dataclass(frozen=True)
class Access:
    """One memory access of the selected waves, with the lanes that really make it.

    space: `global`, `lds` or `scratch`. kind: `load`, `store` or `atomic`.
    addresses: int64 [waves, 64], or [waves, 1] for scalar memory: where each lane starts; in LDS
    the byte in the workgroup's own, in scratch the byte in the lane's own, else the address.
    size: bytes a lane. active: bool, as addresses: the lanes that access memory, those out of
    bounds already left out.
    data: the first register of what is loaded or stored (v 0 up, accumulators 256 up; scalar
    dwords for scalar memory), None where no register is written. low_bits, high_bits of sub-dword
    forms: `shift` is 16 where the upper half of the register is meant.
    keeps: the load leaves the other half of its register as it was.
    to_lds: LDS byte of each lane for a load that goes to LDS rather than to registers.
    """

    space: str
    kind: str
    addresses: Array
    size: int
    active: Array
    data: int | None
    shift: int = 0
    keeps: bool = False
    scalar: bool = False
    returns: int | None = None
    to_lds: Array | None = None


class Observer:
    """Watches a run; each method may be left as it is."""

    def begin(self, machine: Machine) -> None:
        """A batch of workgroups starts."""

    def step(self, machine: Machine, step: Step) -> None:
        """The selected waves are about to execute an instruction."""

    def access(self, machine: Machine, access: Access) -> None:
        """Memory is about to be accessed; it and the registers are as they were before."""

    def accessed(self, machine: Machine, access: Access) -> None:
        """The same access is done."""

    def done(self, machine: Machine, step: Step) -> None:
        """The selected waves have executed an instruction."""

    def release(self, machine: Machine, waves: Array) -> None:
        """A barrier opens for these waves: indices into the batch, whole workgroups."""

    def finish(self, machine: Machine) -> None:
        """All waves of the batch have ended."""

    def end(self, machine: Machine) -> None:
        """The last batch of the launch has ended."""


def listeners(observers: Iterable[Observer], method: str) -> list[Callable[..., None]]:
    """The observers' methods of a name, of those that have one of their own."""
    idle = getattr(Observer, method)
    heard = (observer for observer in observers if getattr(type(observer), method) is not idle)
    return [getattr(observer, method) for observer in heard]
