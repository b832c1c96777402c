from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from rocmoe.ops.gcn.instruction import parse_instruction
from rocmoe.ops.gcn.machine.arena import Arena
from rocmoe.ops.gcn.machine.fault import Fault, FaultLog
from rocmoe.ops.gcn.machine.local_memory import lower
from rocmoe.ops.gcn.machine.machine import EXEC, WAVE, Machine, Placement
from rocmoe.ops.gcn.machine.observer import Access, Observer
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.target import Target

WAVES = 4
EVERY_LANE = np.ones((1, WAVE), np.bool_)


@dataclass
class Listener(Observer):
    """What was told before and after."""

    before: list[Access] = field(default_factory=list)
    after: list[Access] = field(default_factory=list)

    def access(self, machine: Machine, access: Access) -> None:
        self.before.append(access)

    def accessed(self, machine: Machine, access: Access) -> None:
        self.after.append(access)


class Bench:
    """Two workgroups of two waves, EXEC all ones, and LDS of zeros."""

    def __init__(self, architecture: str, lds_bytes: int) -> None:
        # Without ECC, so that 16-bit loads keep the other half of their register.
        target = Target(architecture, sramecc=False)
        self.program = Program("test.s", target, (), {}, (), {}, {})
        two = np.array([0, 0, 1, 1])
        placement = Placement(two, two + 5, np.array([0, 1, 0, 1]))
        self.listener = Listener()
        self.machine = Machine(
            self.program,
            Arena((), 0),
            placement,
            lds_bytes,
            0,
            FaultLog(),
            (self.listener,),
        )
        self.machine.lds[...] = 0
        self.set_exec(np.uint64((1 << 64) - 1))

    @property
    def lds(self) -> np.ndarray:
        """u8 [2, bytes]."""
        return self.machine.lds

    @property
    def faults(self) -> tuple[Fault, ...]:
        return self.machine.faults.listing()

    def set_exec(self, bits: np.ndarray | np.uint64) -> None:
        """u64, one or one a wave."""
        self.machine.set_scalar64(EXEC, np.asarray(bits, np.uint64))

    def set(self, register: int, values: np.ndarray | int) -> None:
        """All lanes of a vector register."""
        words = np.broadcast_to(np.asarray(values, np.uint32), (WAVES, WAVE)).copy()
        self.machine.set_vector(register, words, EVERY_LANE)

    def get(self, register: int) -> np.ndarray:
        return self.machine.vector(register).copy()

    def run(self, text: str) -> None:
        run = lower(self.program, parse_instruction(text))
        assert run is not None
        assert run(self.machine) is None


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    def make(architecture: str = "gfx942", lds_bytes: int = 8192) -> Bench:
        return Bench(architecture, lds_bytes)

    return make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
