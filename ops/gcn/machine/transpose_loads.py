"""Transposing LDS loads of gfx950 (CDNA4 ISA, 11.4 MFMA Transpose Load from LDS, and 12.12).

Each 16 lanes together load a matrix of 16 columns, row after row and lane after lane; lane `i` of
them then holds column `i`.  The element order is that of FlyDSL's CopyOpCDNA4LdsReadTransposeType
(FlyDSL, lib/Dialect/FlyROCDL), on which its kernels rest; the ISA document states it only in words.
"""

from __future__ import annotations

import re

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.local_access import Site, begin, end, gather
from rocmoe.ops.gcn.machine.local_operands import read_offset, read_registers, require
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array

_COLUMNS = 16
_NAMES = re.compile(r"ds_read_b64_tr_b(16|8|4)|ds_read_b96_tr_b(6)")


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What a transposing load does; None for any other instruction."""
    found = _NAMES.fullmatch(instruction.name)
    if not found:
        return None
    require(program, instruction, "gfx950")
    bits = int(found[1] or found[2])
    size = 12 if bits == 6 else 8
    data, address = read_registers(program, instruction, size // 4, 1)
    offset = read_offset(program, instruction)
    # The document wants the alignment of the data; 96 bits stand on 128 (rocRoller, its test of
    # transpose loads pads each lane's 12 bytes to 16).
    site = Site("load", size, offset, data, alignment=16 if bits == 6 else 8)

    def run(machine: Machine) -> None:
        _report_partial(machine, instruction.name)
        spots, accesses = begin(machine, [site], machine.vector(address))
        words = np.stack(gather(machine, spots[0], size), axis=-1)
        for at, word in enumerate(np.moveaxis(transpose(words, bits), -1, 0)):
            machine.set_vector(data + at, np.ascontiguousarray(word))
        end(machine, accesses)

    return run


def transpose(words: Array, bits: int) -> Array:
    """u32 [n, 64, dwords] of elements of `bits` bits, 16 lanes a matrix, to its columns."""
    if bits % 8 == 0:
        return _transpose_elements(words.view(f"<u{bits // 8}")[..., None]).view(np.uint32)
    single = np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")
    elements = single.reshape(*words.shape[:2], -1, bits)
    moved = _transpose_elements(elements)
    return np.packbits(moved, axis=-1, bitorder="little").view(np.uint32)


def _transpose_elements(elements: Array) -> Array:
    """[n, 64, count, parts] to [n, 64, count * parts]."""
    n, _, count, parts = elements.shape
    rows = elements.reshape(n, WAVE // _COLUMNS, count, _COLUMNS, parts)
    return np.ascontiguousarray(rows.swapaxes(2, 3)).reshape(n, WAVE, count * parts)


def _report_partial(machine: Machine, name: str) -> None:
    """EXEC must be all ones (CDNA4 ISA, 11.4)."""
    if machine.full:
        return
    some, every = machine.active.any(axis=1), machine.active.all(axis=1)
    machine.faults.report(
        "memcheck",
        machine.index,
        some & ~every,
        machine.place,
        lambda row, lane: f"{name} while EXEC is not all ones, which it must be",
        "partial",
    )
