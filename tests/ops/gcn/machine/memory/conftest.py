from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from rocmoe.ops.gcn.instruction import parse_instruction
from rocmoe.ops.gcn.machine import global_memory, scalar_memory, scratch_memory
from rocmoe.ops.gcn.machine.arena import BASE, Arena
from rocmoe.ops.gcn.machine.fault import Fault, FaultLog
from rocmoe.ops.gcn.machine.launch import Tensor
from rocmoe.ops.gcn.machine.machine import EXEC, WAVE, Machine, Placement
from rocmoe.ops.gcn.machine.observer import Access, Observer
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.target import read_target

WAVES = 3
LANES = (WAVES, WAVE)
GROUPS = (0, 0, 1)
LDS_BYTES = 4096
SCRATCH_BYTES = 96
#: All lanes, every second one, none.
MIXED = (0xFFFFFFFFFFFFFFFF, 0x5555555555555555, 0)
LANE = np.arange(WAVES * WAVE).reshape(LANES)


def make_tensor(
    name: str, size: int, shape: tuple[int, ...] | None = None, itemsize: int = 1, offset: int = 0
) -> Tensor:
    """Bytes 0, 1, 2, ... modulo 251, at a multiple of 16 plus `offset`."""
    memory = np.zeros(size + 32, np.uint8)
    start = -memory.ctypes.data % 16 + offset
    memory = memory[start : start + size]
    memory[:] = np.arange(size) % 251
    shape = shape or (size // itemsize,)
    strides = tuple(int(np.prod(shape[at + 1 :])) for at in range(len(shape)))
    return Tensor(name, memory, 0, shape, strides, itemsize)


@dataclass
class Listener(Observer):
    before: list[Access] = field(default_factory=list)
    after: list[Access] = field(default_factory=list)

    def access(self, machine: Machine, access: Access) -> None:
        self.before.append(access)

    def accessed(self, machine: Machine, access: Access) -> None:
        self.after.append(access)


class Bench:
    """Two waves of workgroup 5 and one of workgroup 6, EXEC all ones, and one tensor `x`."""

    def __init__(self, tensors: tuple[Tensor, ...], target: str) -> None:
        self.program = Program("test.s", read_target(target), (), {}, (), {}, {})
        self.memory = Arena(tensors, 64)
        self.base = self.memory.address(tensors[0])
        self.listener = Listener()
        group = np.array(GROUPS)
        placement = Placement(group, group + 5, np.array([0, 1, 0]))
        self.machine = Machine(
            self.program,
            self.memory,
            placement,
            LDS_BYTES,
            SCRATCH_BYTES,
            FaultLog(),
            (self.listener,),
        )
        self.set_exec((1 << 64) - 1)

    @property
    def faults(self) -> list[Fault]:
        return list(self.machine.faults.listing())

    @property
    def octets(self) -> np.ndarray:
        """Device memory from the first byte of `x` on."""
        return self.memory.buffer[self.base - BASE :]

    def set_exec(self, *bits: int) -> np.ndarray:
        """One for all waves, or one each; bool [waves, 64]."""
        self.machine.set_scalar64(EXEC, np.array(bits, np.uint64))
        return self.machine.active.copy()

    def set(self, number: int, values: object) -> None:
        words = np.broadcast_to(np.asarray(values, np.int64), LANES).astype(np.uint32)
        self.machine.set_vector(number, words, np.ones(LANES, np.bool_))

    def set64(self, number: int, values: object) -> None:
        wide = np.broadcast_to(np.asarray(values, np.int64), LANES)
        self.set(number, wide & 0xFFFFFFFF)
        self.set(number + 1, wide >> 32)

    def get(self, number: int, count: int = 1) -> np.ndarray:
        """u32 [waves, 64, count]."""
        return np.stack([self.machine.vector(number + at) for at in range(count)], axis=-1)

    def set_scalar(self, number: int, *dwords: object) -> None:
        for at, dword in enumerate(dwords):
            self.machine.set_scalar(number + at, np.asarray(dword, np.int64).astype(np.uint32))

    def set_resource(
        self, number: int, records: int, base: int | None = None, stride: int = 0, word3: int = 0
    ) -> None:
        """A buffer resource of four scalar registers; `word3`: its last, 0 for a plain one."""
        start = self.base if base is None else base
        high = (start >> 32) | stride << 16
        self.set_scalar(number, start & 0xFFFFFFFF, high, records, word3 or 0x27000)

    def lower(self, text: str) -> Run | None:
        instruction = parse_instruction(text)
        for module in (global_memory, scratch_memory, scalar_memory):
            run = module.lower(self.program, instruction)
            if run is not None:
                return run
        return None

    def run(self, text: str) -> None:
        run = self.lower(text)
        assert run is not None, text
        assert run(self.machine) is None


MakeBench = Callable[..., Bench]


@pytest.fixture
def bench() -> MakeBench:
    """Makes a bench: of a target, and of a tensor `x` of so many bytes, or of given tensors."""

    def make(target: str = "gfx942", size: int = 8192, tensors: tuple[Tensor, ...] = ()) -> Bench:
        return Bench(tensors or (make_tensor("x", size),), target)

    return make
