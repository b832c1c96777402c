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
from rocmoe.ops.gcn.machine.windows import PRIVATE_BASE, SHARED_BASE
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.target import read_target

WAVES = 3
LANES = (WAVES, WAVE)
GROUPS = (0, 0, 1)
LDS_BYTES = 4096
SCRATCH_BYTES = 96
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
    """Two waves of workgroup 5 and one of workgroup 6, EXEC all ones.

    base: the address of the first tensor. lane: of all waves together, int64 [waves, 64]. mixed:
    EXEC with all lanes, every second one, none.
    """

    lane, mixed = LANE, MIXED

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


@dataclass(frozen=True)
class Route:
    """One way to address memory: `STEP` bytes a lane, from a place that may be odd.

    storage: u8, flat. places: int64 [waves, 64], each lane's first byte in it.
    """

    family: str
    address: str
    base: str
    tail: str
    storage: np.ndarray
    places: np.ndarray

    def load(self, form: str, data: str) -> str:
        return f"{self.family}_load_{form} {data}, {self._join(self.address, self.base)}{self.tail}"

    def store(self, form: str, data: str) -> str:
        order = (data, self.address) if self.family == "buffer" else (self.address, data)
        return f"{self.family}_store_{form} {self._join(*order, self.base)}{self.tail}"

    def atomic(self, form: str, data: str, returned: str = "", flag: str = "") -> str:
        buffer = self.family == "buffer"
        order = (data, self.address) if buffer else (returned, self.address, data)
        operands = self._join(*order, self.base)
        return f"{self.family}_atomic_{form} {operands}{self.tail} {flag}"

    def fill(self, octets: bytes) -> None:
        """Put the same bytes where each lane points."""
        for at, octet in enumerate(octets):
            self.storage[self.places + at] = octet

    def read(self, size: int) -> np.ndarray:
        """u8 [waves, 64, size]."""
        return self.storage[self.places[..., None] + np.arange(size)]

    def _join(self, *operands: str) -> str:
        return ", ".join(filter(None, operands))


STEP = 20


def make_route(bench: Bench, name: str, shift: int = 0) -> Route:
    """Set up address registers v[10:11], s[4:7] and s8; data and s9 up are free."""
    lane, near = LANE * STEP + 64 + shift, LANE % 128 * STEP + 64 + shift
    row = np.array(GROUPS)[:, None] * bench.machine.lds.shape[1]
    own = LANE * SCRATCH_BYTES + 16 + shift
    device = bench.octets, lane
    local = bench.machine.lds.reshape(-1), near + row
    private = bench.machine.scratch.reshape(-1), own
    if name == "buffer":
        bench.set_resource(4, 8192)
        bench.set(10, lane - 4)
        return Route("buffer", "v10", "s[4:7], 0", " offen offset:4", *device)
    if name == "buffer record":
        bench.set_resource(4, 512, stride=STEP)
        bench.set_scalar(8, 16)
        bench.set(10, LANE)
        bench.set(11, 40 + shift)
        return Route("buffer", "v[10:11]", "s[4:7], s8", " idxen offen offset:8", *device)
    if name == "buffer scratch":
        bench.set_scalar(4, *bench.memory.private_segment)
        bench.set_scalar(8, 256 * 2)
        bench.set(10, 4 + shift)
        return Route("buffer", "v10", "s[4:7], s8", " offen offset:4", *private)
    if name == "global base":
        bench.set_scalar(4, bench.base & 0xFFFFFFFF, bench.base >> 32)
        bench.set(10, lane + 8)
        return Route("global", "v10", "s[4:5]", " offset:-8", *device)
    if name == "scratch":
        bench.set_scalar(8, 8)
        bench.set(10, 12 + shift)
        return Route("scratch", "v10", "s8", " offset:-4", *private)
    if name == "global":
        bench.set64(10, lane + bench.base + 8)
        return Route("global", "v[10:11]", "off", " offset:-8", *device)
    starts = {
        "flat": (bench.base + lane, device),
        "flat lds": (SHARED_BASE + near, local),
        "flat scratch": (PRIVATE_BASE + 16 + shift, private),
    }
    start, (storage, places) = starts[name]
    bench.set64(10, start - 4)
    return Route("flat", "v[10:11]", "", " offset:4", storage, places)


@pytest.fixture
def bench() -> Callable[..., Bench]:
    """Makes a bench: of a target, and of a tensor `x` of so many bytes, or of given tensors."""

    def make(target: str = "gfx942", size: int = 8192, tensors: tuple[Tensor, ...] = ()) -> Bench:
        return Bench(tensors or (make_tensor("x", size),), target)

    return make


@pytest.fixture
def route() -> Callable[..., Route]:
    """Makes a route of a bench, by its name."""
    return make_route


@pytest.fixture
def tensor() -> Callable[..., Tensor]:
    """Makes a tensor of bytes 0, 1, 2, ..."""
    return make_tensor
