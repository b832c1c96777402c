"""MODE.FP16_OVFL: whether results of 16 and 8 bits past their range become the largest finite.

CDNA3 ISA (AMD Instinct MI300), 4.5 (MODE register), bit 23.  Code must set it alike everywhere:
by the kernel descriptor, or by constants before anything else than scalar instructions, as Triton
does for gfx950 (LLVM, SIModeRegister; triton, pull request 7337).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine import packed, vector
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.operations import list_operations, list_saturating_floats
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import HARDWARE_REGISTERS, HardwareRegister, Integer
from rocmoe.ops.gcn.program import Kernel, Program
from rocmoe.ops.gcn.semantics.float_format import Array, join_halves, split_halves
from rocmoe.ops.gcn.semantics.operation import Operation

BIT = 23
_MODE = HARDWARE_REGISTERS["HW_REG_MODE"]
_LARGEST = np.float16(65504)
#: Infinities that are no overflow, or come of an infinite step before.
_EXACT_INFINITIES = ("v_rcp_", "v_rsq_", "v_log_", "v_div_fixup_")
_PACKED = ("v_pk_add_f16", "v_pk_mul_f16", "v_pk_fma_f16", "v_pk_fmac_f16")


class _Identity:
    """A program as a key of a cache."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.program is self.program

    def __hash__(self) -> int:
        return id(self.program)


def find_clamp(program: Program) -> bool | None:
    """Whether FP16_OVFL is set; None where that is not the same everywhere."""
    return _find_clamp(_Identity(program))


@lru_cache(maxsize=8)
def _find_clamp(key: _Identity) -> bool | None:
    program = key.program
    written = {_written(each) for each in program.instructions} - {None}
    initial = {bool(kernel.descriptor.fp16_overflow) for kernel in program.kernels}
    values = written | initial
    if len(values) <= 1:
        return bool(values) and bool(next(iter(values)))
    if len(written) != 1:
        return None
    value = bool(next(iter(written)))
    late = [kernel for kernel in program.kernels if not _starts_with(program, kernel, value)]
    return None if late else value


def _written(instruction: Instruction) -> bool | None:
    """What an instruction writes to the bit."""
    if not instruction.name.startswith("s_setreg_imm32"):
        return None
    register, value = (operand.value for operand in instruction.operands)
    if not isinstance(register, HardwareRegister) or not isinstance(value, Integer):
        return None
    at = BIT - register.offset
    if register.number != _MODE or not 0 <= at < register.size:
        return None
    return bool(value.value >> at & 1)


def _starts_with(program: Program, kernel: Kernel, value: bool) -> bool:
    """Whether a kernel has the value from its descriptor, or sets it before vectors are used."""
    if bool(kernel.descriptor.fp16_overflow) == value:
        return True
    place, seen = kernel.entry, set[int]()
    while place not in seen and place < len(program.instructions):
        seen.add(place)
        instruction = program.instructions[place]
        if _written(instruction) is not None:
            return True
        if instruction.name == "s_branch" and instruction.target is not None:
            place = instruction.target
        elif instruction.name.startswith("s_") and not instruction.is_branch:
            place += 1
        else:
            return False
    return False


def check_clamp(program: Program, instruction: Instruction) -> bool:
    """`find_clamp` for an instruction that depends on it."""
    clamp = find_clamp(program)
    if clamp is None:
        raise unsupported(program, instruction, "MODE.FP16_OVFL changes on the way to it")
    return clamp


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What an instruction with a result of 16 or 8 bits does where the bit is set; else None."""
    name = instruction.name
    if not name.startswith("v_") or find_clamp(program) is False:
        return None
    arch = program.target.architecture
    operation = list_operations(arch).get(name)
    if operation is None or not _is_narrow(operation):
        return None
    if not check_clamp(program, instruction):
        return None
    clamped = list_saturating_floats(arch).get(name) or _clamp(program, instruction, operation)
    if packed.is_packed(name):
        return packed.lower_operation(program, instruction, clamped)
    return vector.lower_operation(program, instruction, clamped)


def _is_narrow(operation: Operation) -> bool:
    """Whether a result is an f16 or narrower that can overflow."""
    name = operation.name
    if name.startswith(("v_cvt_pk_fp8", "v_cvt_pk_bf8", "v_pk_")):
        return name.startswith("v_cvt_") or name in _PACKED
    return operation.results[0] == "f16" or name == "v_cvt_pk_f16_f32"


def _clamp(program: Program, instruction: Instruction, operation: Operation) -> Operation:
    if operation.name.startswith(_EXACT_INFINITIES):
        raise unsupported(program, instruction, "with MODE.FP16_OVFL set")
    compute: Callable[..., Any] = operation.compute

    def clamp_half(result: Array, *sources: Array) -> Array:
        finite = np.isfinite(result)
        if finite.all():
            return result
        for source in sources:
            if source.dtype.kind == "f":
                finite = finite | ~np.isfinite(source)
        return np.where(finite, result, np.copysign(_LARGEST, result))

    def clamped(*sources: Array) -> Array:
        return clamp_half(compute(*sources), *sources)

    def clamped_pair(*sources: Array) -> Array:
        halves = [half.view(np.float16) for half in split_halves(np.asarray(compute(*sources)))]
        values = [_pair(source) for source in sources]
        return join_halves(
            *(clamp_half(half, *(value[at] for value in values)) for at, half in enumerate(halves))
        )

    def _pair(source: Array) -> tuple[Array, Array]:
        low, high = split_halves(source)
        return low.view(np.float16), high.view(np.float16)

    def clamped_conversion(low: Array, high: Array) -> Array:
        made = [half.view(np.float16) for half in split_halves(compute(low, high))]
        return join_halves(clamp_half(made[0], low), clamp_half(made[1], high))

    if operation.results[0] == "f16":
        return replace(operation, compute=clamped)
    conversion = operation.name == "v_cvt_pk_f16_f32"
    return replace(operation, compute=clamped_conversion if conversion else clamped_pair)
