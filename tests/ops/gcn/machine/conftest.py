from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.instruction import parse_instruction
from rocmoe.ops.gcn.machine.arena import Arena
from rocmoe.ops.gcn.machine.fault import FaultLog
from rocmoe.ops.gcn.machine.launch import Launch
from rocmoe.ops.gcn.machine.lowering import Steps
from rocmoe.ops.gcn.machine.machine import EXEC, M0, VCC, WAVE, Machine, Placement
from rocmoe.ops.gcn.machine.observer import Observer
from rocmoe.ops.gcn.machine.run import Report, Settings, run_launch
from rocmoe.ops.gcn.program import Kernel, Program
from rocmoe.ops.gcn.target import Target

ALL = (1 << WAVE) - 1
EVERY_LANE = np.ones((1, WAVE), np.bool_)
NAMED = {"vcc": VCC, "exec": EXEC, "m0": M0, "flat_scratch": 102}
NAMES = [
    *(f"{file}{n}" for file in "va" for n in range(256)),
    *(f"s{n}" for n in range(128)),
    "scc",
]
WIDE = ("vcc", "exec", "flat_scratch")
PREFIX = """
.amdgcn_target "amdgcn-amd-amdhsa--{arch}"
.text
kernel:
"""
SUFFIX = """
.section .rodata
.amdhsa_kernel kernel
.amdhsa_next_free_vgpr 256
.amdhsa_next_free_sgpr 96
.amdhsa_accum_offset 256
.amdhsa_user_sgpr_count 2
.amdhsa_system_sgpr_workgroup_id_x 1
.end_amdhsa_kernel
"""


class State:
    """Registers by name: `v3`, `a0`, `s4`, `vcc`, `exec`, `m0`, `scc`, `v2:3`; of every wave."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def __getitem__(self, name: str) -> np.ndarray:
        """Vectors [waves, 64], scalars [waves]; u32, or u64 for two dwords."""
        if name == "scc":
            return self.machine.scc.astype(np.uint32)
        number, wide, vector = find_register(name)
        read = self.machine.vector if vector else self.machine.scalar
        low = read(number).astype(np.uint64)
        if not wide:
            return low.astype(np.uint32)
        return low | read(number + 1).astype(np.uint64) << np.uint64(32)

    def __setitem__(self, name: str, value: int | np.ndarray) -> None:
        if name == "scc":
            self.machine.set_scc(np.full(self.machine.n, bool(value)))
            return
        number, wide, vector = find_register(name)
        words = np.asarray(value, np.uint64)
        shape = (self.machine.n, WAVE) if vector else (self.machine.n,)
        for at in range(1 + wide):
            word = np.broadcast_to((words >> np.uint64(32 * at)).astype(np.uint32), shape).copy()
            if vector:
                self.machine.set_vector(number + at, word, EVERY_LANE)
            else:
                self.machine.set_scalar(number + at, word)


def find_register(name: str) -> tuple[int, bool, bool]:
    """Its number, whether it is two dwords, whether it is a vector."""
    if name in NAMED:
        return NAMED[name], name in WIDE, False
    first, colon, _ = name[1:].partition(":")
    return int(first) + (256 if name[0] == "a" else 0), bool(colon), name[0] in "va"


def make_program(lines: str, arch: str, descriptor: KernelDescriptor) -> Program:
    instructions = tuple(map(parse_instruction, lines.split(" ; ")))
    kernel = Kernel("kernel", 0, len(instructions), descriptor)
    return Program("test.s", Target(arch), instructions, {}, (kernel,), {}, {})


def make_machine(program: Program, waves: int) -> Machine:
    """Every register has a value of its own, EXEC is full."""
    group, slot = np.zeros(waves, np.int64), np.arange(waves)
    machine = Machine(program, Arena((), 0), Placement(group, group, slot), 0, 0, FaultLog())
    registers = machine.state
    registers.vectors[:] = _distinct(waves)
    registers.scalars[:] = [np.full(waves, 0xCC000000 | n, np.uint32) for n in range(128)]
    state = State(machine)
    state["m0"], state["exec"], state["vcc"] = 0, ALL, 0
    return machine


@cache
def _distinct(waves: int) -> tuple[np.ndarray, ...]:
    lane = np.broadcast_to(np.arange(WAVE, dtype=np.uint32), (waves, WAVE))
    return tuple(
        lane | np.uint32(file << 24 | number << 8) for file in (0xBB, 0xAA) for number in range(256)
    )


def list_registers(machine: Machine, wave: int) -> np.ndarray:
    """Every register of a wave by NAMES, [641, 64]; scalars in the first lane."""
    state = machine.state
    values = np.zeros((len(NAMES), WAVE), np.uint32)
    values[:512] = [register[wave] for register in state.vectors]
    values[512:640, 0] = [register[wave] for register in state.scalars]
    values[640, 0] = state.scc[wave]
    return values


def run_steps(program: Program, machine: Machine) -> None:
    steps = Steps(program)
    for index in range(len(program.instructions)):
        machine.index = index
        assert steps[index].run(machine) is None


Registers = dict[str, int | np.ndarray]
Execute = Callable[..., State]


@pytest.fixture
def execute() -> Execute:
    """Run lines joined by " ; " on one wave; the same on two of three waves must not differ."""

    def run(
        lines: str,
        registers: Registers | None = None,
        arch: str = "gfx942",
        descriptor: KernelDescriptor = KernelDescriptor(),  # noqa: B008
    ) -> State:
        program = make_program(lines, arch, descriptor)
        alone, three = make_machine(program, 1), make_machine(program, 3)
        for name, value in (registers or {}).items():
            State(alone)[name] = value
            State(three)[name] = value
        other = list_registers(three, 1)
        with np.errstate(all="ignore"):
            run_steps(program, alone)
            three.select(np.array([0, 2]))
            run_steps(program, three)
        three.select(None)
        _expect_equal(list_registers(three, 1), other, "a wave that is not selected")
        for wave in (0, 2):
            _expect_equal(list_registers(three, wave), list_registers(alone, 0), "some of all")
        return State(alone)

    return run


@pytest.fixture
def run_once() -> Callable[..., tuple[State, State, set[str]]]:
    """Run one line on one wave: the registers before and after, and which of them differ."""

    def run(line: str, registers: Registers, arch: str) -> tuple[State, State, set[str]]:
        program = make_program(line, arch, KernelDescriptor())
        before, after = make_machine(program, 1), make_machine(program, 1)
        for name, value in registers.items():
            State(before)[name] = value
            State(after)[name] = value
        with np.errstate(all="ignore"):
            run_steps(program, after)
        changed = list_registers(before, 0) != list_registers(after, 0)
        return (
            State(before),
            State(after),
            {NAMES[at] for at in np.flatnonzero(changed.any(axis=1))},
        )

    return run


def _expect_equal(
    found: np.ndarray, wanted: np.ndarray, words: str, besides: frozenset[str] = frozenset()
) -> None:
    changed = {NAMES[at] for at in np.flatnonzero((found != wanted).any(axis=1))} - besides
    assert not changed, f"{words}: {sorted(changed)}"


@pytest.fixture
def check_row(execute: Execute) -> Callable[[str], None]:
    """`[ARCH: ]LINES | REGISTER=HEX ... | REGISTER=HEX ...`: what is set before, what is there
    after, in all active lanes.  Inactive lanes and all other registers must stay as they were."""

    def check(row: str) -> None:
        text, before, after = (part.strip() for part in row.split(" | "))
        arch, colon, lines = text.partition(": ")
        arch, lines = (arch, lines) if colon and arch.startswith("gfx") else ("gfx942", text)
        given, wanted = _parse(before), _parse(after)
        program = make_program(lines, arch, KernelDescriptor())
        reference = make_machine(program, 1)
        for name, value in given.items():
            State(reference)[name] = value
        state = execute(lines, given, arch)
        active = reference.active[0]
        touched: set[str] = set()
        for name, value in wanted.items():
            found, old = state[name][0], State(reference)[name][0]
            expected = np.where(active, np.uint64(value), old) if found.ndim else value
            np.testing.assert_array_equal(_hex(found), _hex(expected), f"{name} of {row}")
            touched |= _dwords(name)
        left, was = list_registers(state.machine, 0), list_registers(reference, 0)
        _expect_equal(left, was, f"changed by {row}", frozenset(touched))

    return check


def _parse(words: str) -> dict[str, int]:
    return {name: int(value, 16) for name, _, value in (w.partition("=") for w in words.split())}


def _dwords(name: str) -> set[str]:
    if name == "scc":
        return {name}
    number, wide, vector = find_register(name)
    letter = ("va"[number >= 256]) if vector else "s"
    return {f"{letter}{(number + at) % 256}" for at in range(1 + wide)}


def _hex(values: object) -> np.ndarray:
    return np.vectorize(lambda value: f"{int(value):x}")(np.atleast_1d(np.asarray(values)))


@dataclass
class _Last(Observer):
    """Keeps the machine of the last batch."""

    machine: Machine | None = None

    def finish(self, machine: Machine) -> None:
        machine.select(None)
        self.machine = machine


@dataclass
class Finished:
    """registers: of every wave of the last batch when all had ended."""

    report: Report
    registers: State


@pytest.fixture
def run_kernel() -> Callable[..., Finished]:
    """Run assembly text as a kernel that starts with its workgroup's number in s2."""

    def run(
        text: str, grid: int = 1, block: int = WAVE, arch: str = "gfx942", **settings: object
    ) -> Finished:
        program = read_program(PREFIX.format(arch=arch) + text + SUFFIX, "test.s")
        launch = Launch((grid, 1, 1), (block, 1, 1), (), lds_bytes=64)
        last = _Last()
        report = run_launch(
            program,
            program.kernel(),
            launch,
            Settings(**settings),  # type: ignore[arg-type]
            (last,),
        )
        machine = last.machine
        return Finished(report, State(machine)) if machine else Finished(report, None)  # type: ignore[arg-type]

    return run
