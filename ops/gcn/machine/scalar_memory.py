"""Scalar memory: loads and stores of whole waves, and the clocks.

CDNA4 ISA (AMD Instinct MI350), chapter 8.  The two low bits of every part of an address are
ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.addressing import read_offset, scalar_register
from rocmoe.ops.gcn.machine.buffer_resource import BufferResource
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import GARBAGE, Machine
from rocmoe.ops.gcn.machine.observer import Access
from rocmoe.ops.gcn.machine.requests import Request, report_refused
from rocmoe.ops.gcn.machine.sources import scalar_source
from rocmoe.ops.gcn.machine.spaces import GLOBAL
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import Integer
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array

_CACHE_CONTROL = frozenset(("s_dcache_inv", "s_dcache_inv_vol", "s_dcache_wb", "s_dcache_wb_vol"))
#: One clock for both: a count of executed instructions, the same in every run.
_CLOCKS = frozenset(("s_memtime", "s_memrealtime"))
_MOVES = re.compile(r"s_(?P<buffer>buffer_)?(?P<verb>load|store)_dword(?:x(?P<dwords>\d+))?")
_DWORDS = {"load": (1, 2, 4, 8, 16), "store": (1, 2, 4)}
#: Other names of scalar memory, which no compiler for these architectures emits.
_REFUSED = (
    "s_scratch_",
    "s_atomic_",
    "s_buffer_",
    "s_dcache_",
    "s_atc_probe",
    "s_load_",
    "s_store_",
)


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What an instruction of scalar memory does; None for any other."""
    name = instruction.name
    if name in _CACHE_CONTROL:
        return lambda machine: None
    if name in _CLOCKS:
        return _lower_clock(program, instruction)
    found = _MOVES.fullmatch(name)
    if found and int(found["dwords"] or 1) in _DWORDS[found["verb"]]:
        return _lower_move(program, instruction, found)
    if name.startswith(_REFUSED):
        raise unsupported(program, instruction)
    return None


def _lower_clock(program: Program, instruction: Instruction) -> Run:
    data = scalar_register(program, instruction, instruction.operands[0])
    return lambda machine: machine.set_scalar64(data, np.array([machine.clock], np.uint64))


def _lower_move(program: Program, instruction: Instruction, found: re.Match[str]) -> Run:
    data = scalar_register(program, instruction, instruction.operands[0])
    base = scalar_register(program, instruction, instruction.operands[1])
    dwords, buffer = int(found["dwords"] or 1), bool(found["buffer"])
    offset = _read_offset(program, instruction)
    move = _load if found["verb"] == "load" else _store

    def run(machine: Machine) -> None:
        distance = offset(machine)
        start, left = _read_buffer(machine, base) if buffer else _read_base(machine, base)
        addresses = (start + distance)[:, None] + 4 * np.arange(dwords)
        reached = None if left is None else (left - distance)[:, None] >= 4 * np.arange(dwords) + 4
        move(machine, addresses, reached, data)

    return run


def _read_offset(program: Program, instruction: Instruction) -> Callable[[Machine], Array]:
    """The third operand, a signed constant or a register, and the constant behind a register.

    Assemblers take an instruction without it too: then it is 0.
    """
    operand = instruction.operands[2].value if len(instruction.operands) > 2 else Integer(0)
    fixed = read_offset(instruction)
    if isinstance(operand, Integer):
        constant = np.array([(operand.value & ~3) + (fixed & ~3)], np.int64)
        return lambda machine: constant
    source = scalar_source(program, instruction, 2, "u32")
    return lambda machine: (source(machine).astype(np.int64) & ~3) + (fixed & ~3)


def _read_base(machine: Machine, number: int) -> tuple[Array, None]:
    return machine.scalar64(number).view(np.int64) & ~3, None


def _read_buffer(machine: Machine, number: int) -> tuple[Array, Array]:
    """Where a buffer starts, and its bytes: its records' where it has a stride (8.2.1)."""
    first, second, third = (machine.scalar(number + at) for at in range(3))
    resource = BufferResource((first, second, third, np.zeros_like(first)))
    return resource.base & ~3, resource.records * np.maximum(resource.stride, 1)


def _load(machine: Machine, addresses: Array, reached: Array | None, data: int) -> None:
    """addresses: int64 [waves, dwords]. reached: bool, those in range; the others load 0."""
    refused = _find_refused(machine, addresses, reached, "load")
    given = _combine(reached, refused)
    accesses = _describe(machine, "load", addresses, given, data)
    for access in accesses:
        machine.tell(access)
    words = _gather(machine, addresses, given)
    if refused is not None:
        words = np.where(refused, GARBAGE, words)
    for at in range(addresses.shape[1]):
        machine.set_scalar(data + at, words[:, at])
    for access in accesses:
        machine.told(access)


def _store(machine: Machine, addresses: Array, reached: Array | None, data: int) -> None:
    given = _combine(reached, _find_refused(machine, addresses, reached, "store"))
    accesses = _describe(machine, "store", addresses, given, data)
    for access in accesses:
        machine.tell(access)
    words = np.stack([machine.scalar(data + at) for at in range(addresses.shape[1])], axis=1)
    stored = addresses if given is None else addresses[given]
    if stored.size:
        GLOBAL.mark_stored(machine, stored, 4)
        values = words if given is None else words[given]
        GLOBAL.storage(machine).store(GLOBAL.places(machine, stored), 4, [values])
    for access in accesses:
        machine.told(access)


def _find_refused(
    machine: Machine, addresses: Array, reached: Array | None, kind: str
) -> Array | None:
    """Dwords out of bounds, which are reported; None: none."""
    refused = GLOBAL.find_outside(machine, addresses, 4, kind == "store")
    if refused is None:
        return None
    refused = refused if reached is None else refused & reached
    request = Request(GLOBAL, addresses[:, :1])
    report_refused(machine, request, refused.any(axis=1), kind, 4 * addresses.shape[1])
    return refused


def _combine(reached: Array | None, refused: Array | None) -> Array | None:
    """Dwords that are moved; None: all."""
    if refused is None:
        return None if reached is None or reached.all() else reached
    return ~refused if reached is None else reached & ~refused


def _gather(machine: Machine, addresses: Array, given: Array | None) -> Array:
    if given is None:
        return GLOBAL.storage(machine).load(GLOBAL.places(machine, addresses), 4)[0]
    words = np.zeros(addresses.shape, np.uint32)
    places = GLOBAL.places(machine, addresses[given])
    words[given] = GLOBAL.storage(machine).load(places, 4)[0]
    return words


def _describe(
    machine: Machine, kind: str, addresses: Array, given: Array | None, data: int
) -> list[Access]:
    """What observers are told: one access, or one a dword where not all are moved."""
    if not machine.observers:
        return []
    if given is None:
        every = np.ones((machine.n, 1), np.bool_)
        size = 4 * addresses.shape[1]
        return [Access("global", kind, addresses[:, :1], size, every, data, scalar=True)]
    columns = range(addresses.shape[1])
    parts = [(slice(at, at + 1), data + at) for at in columns]
    return [
        Access("global", kind, addresses[:, part], 4, given[:, part], number, scalar=True)
        for part, number in parts
    ]
