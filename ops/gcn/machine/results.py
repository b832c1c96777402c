"""Destinations of vector instructions: whole registers, halves and parts of them, lane masks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.sources import (
    TYPES,
    as_words,
    is_vector,
    scalar_number,
    split_words,
    vector_number,
)
from rocmoe.ops.gcn.operands import Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.sdwa import merge_destination
from rocmoe.ops.gcn.semantics.words import Array

#: Writes a result to the lanes given, or to those of EXEC.
Write = Callable[[Machine, Array, Array | None], None]
#: The lanes an instruction writes, bool [n, 64].
Lanes = Callable[[Machine], Array]

#: 16-bit results that leave the other half as it is: GFX9's own forms of what GFX8 had, and those
#: that fill one half (LLVM, GCNSubtarget::zeroesHigh16BitsOfDest, against AMDGPU's GFX9 opcodes).
PRESERVING = frozenset(
    (
        *("v_mad_f16", "v_mad_u16", "v_mad_i16", "v_fma_f16", "v_div_fixup_f16"),
        *("v_mac_f16", "v_madak_f16", "v_madmk_f16"),
        *("v_fma_mixlo_f16", "v_fma_mixhi_f16"),
        *("v_cvt_pk_fp8_f32", "v_cvt_pk_bf8_f32"),
    )
)
_LOW, _HIGH, _HALF = np.uint32(0xFFFF), np.uint32(0xFFFF0000), np.uint32(16)


def write_vector(
    program: Program, instruction: Instruction, at: int, kind: str, dword: int = 0
) -> Write:
    """Writing a result of type `kind` to operand `at`, from its dword `dword` on."""
    register = instruction.operands[at].value
    if not isinstance(register, Register) or not is_vector(register):
        raise unsupported(program, instruction, f"destination {instruction.operands[at]}")
    number = vector_number(register) + dword
    bits = TYPES[kind].itemsize * 8
    if bits != 16 and _upper(instruction):
        raise unsupported(program, instruction, f"op_sel of a result of {bits} bits")
    if instruction.sdwa:
        return _part(program, instruction, number, bits)
    if bits == 64:
        return _pair(number)
    if bits == 16 and (instruction.name in PRESERVING or _upper(instruction)):
        upper = _upper(instruction) or instruction.name == "v_fma_mixhi_f16"
        return _half(number, upper)

    def write(machine: Machine, result: Array, lanes: Array | None) -> None:
        machine.set_vector(number, as_words(result), lanes)

    return write


def _upper(instruction: Instruction) -> bool:
    """Whether OP_SEL sends a 16-bit result to the upper half: its last bit, behind the sources."""
    bits = instruction.modifiers.get("op_sel")
    places = len(instruction.operands)
    return isinstance(bits, tuple) and len(bits) >= places and bool(bits[places - 1])


def _pair(number: int) -> Write:
    def write(machine: Machine, result: Array, lanes: Array | None) -> None:
        low, high = split_words(result)
        machine.set_vector(number, low, lanes)
        machine.set_vector(number + 1, high, lanes)

    return write


def _half(number: int, upper: bool) -> Write:
    def write(machine: Machine, result: Array, lanes: Array | None) -> None:
        words, old = as_words(result), machine.vector(number)
        merged = (old & _LOW) | (words << _HALF) if upper else (old & _HIGH) | words
        machine.set_vector(number, merged, lanes)

    return write


def _part(program: Program, instruction: Instruction, number: int, bits: int) -> Write:
    """SDWA: the part of the destination that DST_SEL names; the rest as DST_UNUSED says."""
    sdwa = instruction.sdwa
    assert sdwa is not None
    if bits == 64:
        raise unsupported(program, instruction, "an SDWA result of 64 bits")

    def write(machine: Machine, result: Array, lanes: Array | None) -> None:
        words = as_words(result)
        if sdwa.dst_sel != "DWORD":
            old = machine.vector(number)
            words = merge_destination(old, words, sdwa.dst_sel, sdwa.dst_unused)
        machine.set_vector(number, words, lanes)

    return write


def write_mask(program: Program, instruction: Instruction, at: int) -> Write:
    """Writing a bit a lane to the scalar pair of operand `at`: zero where EXEC is not set."""
    register = instruction.operands[at].value
    number = scalar_number(register) if isinstance(register, Register) else None
    if number is None:
        raise unsupported(program, instruction, f"a mask of lanes to {instruction.operands[at]}")

    def write(machine: Machine, result: Array, lanes: Array | None) -> None:
        if result.shape != (machine.n, WAVE):
            result = np.broadcast_to(result, (machine.n, WAVE))
        if lanes is not None:
            result = result & lanes
        elif not machine.full:
            result = result & machine.active
        machine.set_mask(number, result)

    return write
