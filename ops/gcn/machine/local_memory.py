"""LDS instructions: reads and writes, and where the others are (CDNA3 ISA, 12.13; CDNA4, 12.12).

Any alignment is served, as with SH_MEM_CONFIG.alignment_mode "unaligned", which ROCm sets and LLVM
expects (LLVM, User Guide for AMDGPU Backend: unaligned-access-mode).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine import local_atomics, local_lanes, transpose_loads
from rocmoe.ops.gcn.machine.accesses import keeps_other_half
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.local_access import Site, begin, end, gather, scatter
from rocmoe.ops.gcn.machine.local_operands import (
    read_offset,
    read_offsets,
    read_registers,
)
from rocmoe.ops.gcn.machine.machine import M0, WAVE, Machine
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array

_READ = re.compile(r"ds_read_(?:([ui])(8|16)(?:_d16(_hi)?)?|b(32|64|96|128))")
_WRITE = re.compile(r"ds_write_b(8|16|32|64|96|128)|ds_write_b(8|16)_d16_hi")
_TWO = re.compile(r"ds_(read|write)2(?:st64)?_b(32|64)")
_WHY = {
    "ds_append": "the ISA and LLVM disagree on M0's part in the address",
    "ds_consume": "the ISA and LLVM disagree on M0's part in the address",
}

Address = Callable[[Machine], Array]
Extend = Callable[[Array, Array], Array]


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What an LDS instruction does; None for one that is none. Raises UnsupportedError."""
    if not instruction.name.startswith("ds_"):
        return None
    if "gds" in instruction.modifiers:
        raise unsupported(program, instruction, "global data share")
    if instruction.name == "ds_nop":
        return lambda machine: None
    for lowering in (_lower_one, _lower_two, _lower_by_lane, *_OTHERS):
        run = lowering(program, instruction)
        if run is not None:
            return run
    raise unsupported(program, instruction, _WHY.get(instruction.name, ""))


_OTHERS = (local_lanes.lower, local_atomics.lower, transpose_loads.lower)


def _lower_one(program: Program, instruction: Instruction) -> Run | None:
    """ds_read_* and ds_write_* of one place a lane."""
    if found := _READ.fullmatch(instruction.name):
        size = int(found[2] or found[4]) // 8
        data, address = read_registers(program, instruction, -(-size // 4), 1)
        offset = read_offset(program, instruction)
        half = "_d16" in instruction.name
        keeps = half and keeps_other_half(program)
        site = Site("load", size, offset, data, shift=16 if found[3] else 0, keeps=keeps)
        extend = _extend(size, found[1] == "i", half, bool(found[3]), keeps) if size < 4 else None
        return _read([site], _register(address), extend)
    if found := _WRITE.fullmatch(instruction.name):
        size = int(found[1] or found[2]) // 8
        address, data = read_registers(program, instruction, 1, -(-size // 4))
        offset = read_offset(program, instruction)
        shift = 16 if found[2] else 0
        return _write([Site("store", size, offset, data, shift=shift)], _register(address))
    return None


def _lower_two(program: Program, instruction: Instruction) -> Run | None:
    """ds_read2_*, ds_write2_*: two places a lane, the second one after the first."""
    found = _TWO.fullmatch(instruction.name)
    if not found:
        return None
    dwords = int(found[2]) // 32
    offsets = read_offsets(program, instruction, 4 * dwords)
    if found[1] == "read":
        data, address = read_registers(program, instruction, 2 * dwords, 1)
        registers = (data, data + dwords)
    else:
        address, *two = read_registers(program, instruction, 1, dwords, dwords)
        registers = (two[0], two[1])
    kind = "load" if found[1] == "read" else "store"
    pairs = zip(offsets, registers, strict=True)
    sites = [Site(kind, 4 * dwords, offset, register) for offset, register in pairs]
    if kind == "load":
        return _read(sites, _register(address), None)
    return _write(sites, _register(address))


def _lower_by_lane(program: Program, instruction: Instruction) -> Run | None:
    """ds_read_addtid_b32, ds_write_addtid_b32: the address is M0[15:0] + offset + 4 * lane."""
    if instruction.name not in ("ds_read_addtid_b32", "ds_write_addtid_b32"):
        return None
    (data,) = read_registers(program, instruction, 1)
    offset = read_offset(program, instruction)
    steps = np.arange(WAVE, dtype=np.uint32) * np.uint32(4)

    def address(machine: Machine) -> Array:
        return (machine.scalar(M0) & np.uint32(0xFFFF))[:, None] + steps

    if "read" in instruction.name:
        return _read([Site("load", 4, offset, data)], address, None)
    return _write([Site("store", 4, offset, data)], address)


def _register(number: int) -> Address:
    return lambda machine: machine.vector(number)


def _read(sites: list[Site], address: Address, extend: Extend | None) -> Run:
    """extend: makes what is written of a value shorter than a dword and the register's old one."""

    def run(machine: Machine) -> None:
        spots, accesses = begin(machine, sites, address(machine))
        pairs = zip(sites, spots, strict=True)
        loaded = [gather(machine, spot, site.size) for site, spot in pairs]
        for site, words in zip(sites, loaded, strict=True):
            assert site.data is not None
            if extend:
                words = [extend(words[0], machine.vector(site.data))]
            for at, word in enumerate(words):
                machine.set_vector(site.data + at, word)
        end(machine, accesses)

    return run


def _write(sites: list[Site], address: Address) -> Run:
    def run(machine: Machine) -> None:
        spots, accesses = begin(machine, sites, address(machine))
        for site, spot in zip(sites, spots, strict=True):
            assert site.data is not None
            words = [machine.vector(site.data + at) for at in range(-(-site.size // 4))]
            if site.shift:
                words = [words[0] >> np.uint32(site.shift)]
            scatter(machine, spot, site.size, words)
        end(machine, accesses)

    return run


def _extend(size: int, signed: bool, half: bool, high: bool, keeps: bool) -> Extend:
    """To 32 bits, or to 16 of them in one half of the register, the other as it was, or zero."""
    sign = np.uint32(1 << (8 * size - 1))
    low, keep = np.uint32(0xFFFF), np.uint32(0 if not keeps else 0xFFFF if high else 0xFFFF0000)

    def extend(value: Array, old: Array) -> Array:
        if signed:
            value = (value ^ sign) - sign
        if not half:
            return value
        value = value & low
        return (old & keep) | (value << np.uint32(16) if high else value)

    return extend
