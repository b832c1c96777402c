"""Scaled and stochastic conversions of 8, 6 and 4 bits, whose parts of registers OP_SEL selects.

OP_SEL's bits 0 and 1 select the byte of a source of 8 bits, bit 0 the half of one of 16; bits 2 and
3 the byte of a destination, bit 3 (behind the sources in assembly) its half.  The rest of the
destination stays (CDNA4 ISA, V_CVT_SCALEF32_*; llvm-project, pull requests 117382 and 117417).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.matrix import read_rows, write_rows
from rocmoe.ops.gcn.machine.overflow import check_clamp
from rocmoe.ops.gcn.machine.results import Write, write_vector
from rocmoe.ops.gcn.machine.sources import (
    Source,
    as_words,
    is_vector,
    raw_source,
    vector_number,
    vector_source,
)
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.operation import Operation
from rocmoe.ops.gcn.semantics.scaled_conversion import list_scaled_conversions
from rocmoe.ops.gcn.semantics.wide_conversion import WideConversion, list_wide_conversions
from rocmoe.ops.gcn.semantics.words import Array

_conversions = cache(list_scaled_conversions)
_wide_conversions = cache(list_wide_conversions)


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What such a conversion does; None for any other instruction."""
    name, arch = instruction.name, program.target.architecture
    if not name.startswith(("v_cvt_scalef32_", "v_cvt_sr_")):
        return None
    if set(instruction.modifiers) - {"op_sel"}:
        raise unsupported(program, instruction, "a modifier of a conversion")
    clamp = check_clamp(program, instruction)
    if operation := find_conversion(arch, name, clamp):
        return lower_operation(program, instruction, operation)
    wide: Mapping[str, WideConversion] = _wide_conversions(clamp) if arch == "gfx950" else {}
    if name in wide:
        return _convert_wide(program, instruction, wide[name])
    if name in ("v_cvt_sr_f16_f32", "v_cvt_sr_bf16_f32"):
        raise unsupported(program, instruction, "which random bits it adds is not documented")
    return None


def find_conversion(arch: str, name: str, clamp: bool = False) -> Operation | None:
    """A conversion of up to two elements; clamp: whether MODE.FP16_OVFL is set."""
    return _conversions(arch, clamp).get(name)


def _selects(instruction: Instruction) -> tuple[int, int, int, int]:
    bits = instruction.modifiers.get("op_sel", ())
    assert isinstance(bits, tuple)
    first, second, third, fourth = (*bits, 0, 0, 0, 0)[:4]
    return first, second, third, fourth


def lower_operation(program: Program, instruction: Instruction, operation: Operation) -> Run:
    """An instruction's operands, read and written as always, with any computation between."""
    sources = [_source(program, instruction, at, kind) for at, kind in enumerate(operation.sources)]
    writes = _writes(program, instruction, operation)
    compute = operation.compute

    def run(machine: Machine) -> None:
        results = compute(*[source(machine) for source in sources])
        for write, result in zip(writes, results if len(writes) > 1 else (results,), strict=True):
            write(machine, result, None)

    return run


def _source(program: Program, instruction: Instruction, at: int, kind: str) -> Source:
    if at or kind not in ("u8", "u16", "f16", "bf16"):
        return vector_source(program, instruction, at + 1, kind)
    low, high, *_ = _selects(instruction)
    shift = np.uint32(8 * (low + 2 * high) if kind == "u8" else 16 * low)
    if not shift:
        return vector_source(program, instruction, at + 1, kind)
    if instruction.operands[at + 1].negate or instruction.operands[at + 1].absolute:
        raise unsupported(program, instruction, "a sign modifier of a selected part")
    words = raw_source(program, instruction, at + 1)
    view: Mapping[str, str] = {"u8": "u1", "u16": "u2", "f16": "f2", "bf16": "u2"}
    unsigned = np.dtype("u1" if kind == "u8" else "u2")
    return lambda machine: (words(machine) >> shift).astype(unsigned).view(view[kind])


def _writes(program: Program, instruction: Instruction, operation: Operation) -> list[Write]:
    kinds, selects = operation.results, _selects(instruction)
    if kinds[0] == "u8":
        return [_part(program, instruction, 8, 8 * (selects[2] + 2 * selects[3]))]
    if kinds[0] in ("u16", "f16"):
        # A f16 of a byte has two sources, as has a pair of bytes of a pair of halves.
        return [_part(program, instruction, 16, 16 * selects[len(instruction.operands) - 1])]
    return [write_vector(program, instruction, 0, kind, at) for at, kind in enumerate(kinds)]


def _part(program: Program, instruction: Instruction, bits: int, shift: int) -> Write:
    register = instruction.operands[0].value
    if not isinstance(register, Register) or not is_vector(register):
        raise unsupported(program, instruction, f"destination {instruction.operands[0]}")
    number = vector_number(register)
    kept = np.uint32(~(((1 << bits) - 1) << shift) & 0xFFFFFFFF)

    def write(machine: Machine, result: Array, lanes: Array | None) -> None:
        words = as_words(np.asarray(result)) << np.uint32(shift)
        machine.set_vector(number, (machine.vector(number) & kept) | words, lanes)

    return write


def _convert_wide(program: Program, instruction: Instruction, wide: WideConversion) -> Run:
    sources: list[Callable[[Machine], Array]] = [
        _word(program, instruction, at)
        if count == 1
        else read_rows(program, instruction, at, count)
        for at, count in enumerate(wide.sources, start=1)
    ]
    write = write_rows(program, instruction, wide.result)
    compute = wide.compute
    return lambda machine: write(machine, compute(*[source(machine) for source in sources]))


def _word(program: Program, instruction: Instruction, at: int) -> Source:
    words = raw_source(program, instruction, at, "f32")
    return lambda machine: np.broadcast_to(words(machine), (machine.n, WAVE))
