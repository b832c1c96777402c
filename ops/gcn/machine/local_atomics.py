"""LDS atomics (CDNA3 ISA, 12.13 LDS Instructions; CDNA4 ISA, 12.12).

LDS has no unaligned atomics: such a lane is reported and does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.atomics import apply_atomic
from rocmoe.ops.gcn.machine.local_access import Located, Site, begin, end, flat_view
from rocmoe.ops.gcn.machine.local_operands import (
    read_offset,
    read_offsets,
    read_registers,
    read_words,
    require,
)
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.sources import split_words
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array

_OF_INTEGERS = {
    **{f"{name}_u": name for name in ("add", "sub", "rsub", "inc", "dec")},
    **{f"{name}_i": f"s{name}" for name in ("min", "max")},
    **{f"{name}_u": f"u{name}" for name in ("min", "max")},
    **{f"{name}_b": name for name in ("and", "or", "xor", "mskor")},
    "cmpst_b": "cmpswap",
}
_OF_FLOATS = {"cmpst_f": "cmpswap_f", "add_f": "add_f", "min_f": "min_f", "max_f": "max_f"}
#: Of what stands behind `ds_`, without `_rtn`: the operation of atomics.ATOMICS.
_OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        **{f"{name}{bits}": to for name, to in _OF_INTEGERS.items() for bits in (32, 64)},
        **{f"{name}{bits}": f"{to}{bits}" for name, to in _OF_FLOATS.items() for bits in (32, 64)},
        "pk_add_f16": "pk_add_f16",
        "pk_add_bf16": "pk_add_bf16",
    }
)
#: Those that exist only with `_rtn`.
_RETURNING: Mapping[str, str] = MappingProxyType(
    {"wrxchg_b32": "swap", "wrxchg_b64": "swap", "wrap_b32": "wrap"}
)
#: The operations of two data registers, and which of them is stored.
_STORED = {"cmpswap": 1, "cmpswap_f32": 1, "cmpswap_f64": 1, "mskor": 1, "wrap": 0}


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What an LDS atomic does; None for any other instruction."""
    name = instruction.name
    if re.fullmatch(r"ds_wrxchg2(st64)?_rtn_b(32|64)", name):
        return _exchange_two(program, instruction)
    found = re.fullmatch(r"ds_(\w+?)(_rtn)?_(\w?\w\d\d)", name)
    if not found:
        return None
    returning, key = bool(found[2]), f"{found[1]}_{found[3]}"
    operation = _OPERATIONS.get(key) or (_RETURNING.get(key) if returning else None)
    if operation is None:
        return None
    if key.startswith("pk_add"):
        require(program, instruction, "gfx942", "gfx950")
    return _update(program, instruction, operation, 2 if key.endswith("64") else 1, returning)


def _update(
    program: Program, instruction: Instruction, operation: str, dwords: int, returning: bool
) -> Run:
    result = (dwords,) if returning else ()
    sources = (dwords,) * (2 if operation in _STORED else 1)
    numbers = read_registers(program, instruction, *result, 1, *sources)
    returns = numbers[0] if returning else None
    address, *data = numbers[len(result) :]
    stored = _STORED.get(operation, 0)
    other = data[1 - stored] if len(data) == 2 else None
    offset = read_offset(program, instruction)
    site = Site("atomic", 4 * dwords, offset, data[stored], returns=returns, alignment=4 * dwords)

    def run(machine: Machine) -> None:
        spots, accesses = begin(machine, [site], machine.vector(address))
        values = read_words(machine, data[stored], dwords)
        compare = None if other is None else read_words(machine, other, dwords)
        old = _apply(machine, operation, spots[0], values, compare, returning)
        if returns is not None and old is not None:
            _set_words(machine, returns, old)
        end(machine, accesses)

    return run


def _exchange_two(program: Program, instruction: Instruction) -> Run:
    dwords = 2 if instruction.name.endswith("64") else 1
    registers = read_registers(program, instruction, 2 * dwords, 1, dwords, dwords)
    returns, address, *data = registers
    size = 4 * dwords
    offsets = read_offsets(program, instruction, size)
    sites = [
        Site("atomic", size, offset, number, returns=returns + at * dwords, alignment=size)
        for at, (offset, number) in enumerate(zip(offsets, data, strict=True))
    ]

    def run(machine: Machine) -> None:
        spots, accesses = begin(machine, sites, machine.vector(address))
        values = [read_words(machine, number, dwords) for number in data]
        pairs = zip(spots, values, strict=True)
        found = [_apply(machine, "swap", spot, value, None, True) for spot, value in pairs]
        for at, old in enumerate(found):
            assert old is not None
            _set_words(machine, returns + at * dwords, old)
        end(machine, accesses)

    return run


def _apply(
    machine: Machine,
    operation: str,
    spot: Located,
    values: Array,
    compare: Array | None,
    returning: bool,
) -> Array | None:
    """Old values, [n, 64], zeros for lanes that access nothing."""
    size = values.dtype.itemsize
    view = flat_view(machine, f"<u{size}")
    lanes = spot.lanes
    index = (spot.places if spot.whole else spot.places[lanes]) >> (size.bit_length() - 1)
    if not spot.whole:
        values, compare = values[lanes], None if compare is None else compare[lanes]
    old = apply_atomic(
        operation,
        view,
        index.reshape(-1),
        values.reshape(-1),
        None if compare is None else compare.reshape(-1),
        returning,
    )
    if old is None or spot.whole:
        return None if old is None else old.reshape(machine.n, WAVE)
    found = np.zeros((machine.n, WAVE), view.dtype)
    found[lanes] = old
    return found


def _set_words(machine: Machine, register: int, words: Array) -> None:
    if words.dtype.itemsize == 4:
        machine.set_vector(register, words)
        return
    for at, half in enumerate(split_words(words)):
        machine.set_vector(register + at, half)
