"""How undefined bits go through an instruction.

Instructions that only move, select or mask bits are run twice, with all undefined bits 0 and with
all 1: where the results differ they are undefined.  That is exact for them, since each bit of the
result is a monotone function of the undefined bits.  For exclusive or the undefined bits are
joined; a sum is undefined from its lowest undefined bit up.  Of all others the whole result is
undefined in each lane that reads an undefined bit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine import narrow, packed, scalar, vector
from rocmoe.ops.gcn.machine.operations import list_operations
from rocmoe.ops.gcn.machine.sources import TYPES
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import Integer, Operand, Register, Value
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.operation import Operation
from rocmoe.ops.gcn.semantics.words import Array

_MOVES = (
    *("v_mov_b", "v_accvgpr_", "v_not_b", "v_and_b", "v_or_b", "v_lshl", "v_lshr", "v_ashr"),
    *("v_lshl_or_b", "v_and_or_b", "v_or3_b", "v_bfi_b", "v_bfe_", "v_perm_b", "v_alignb"),
    *("v_cndmask_b", "v_pack_b32", "v_pk_mov_b", "v_swap_b", "v_readlane", "v_readfirstlane"),
    *(
        "v_writelane",
        "v_permlane",
        "v_pk_lshl",
        "v_pk_lshr",
        "v_pk_ashr",
        "v_bfrev",
        "v_cvt_f32_f16",
    ),
    *("s_mov", "s_cmov", "s_not_b", "s_and_b", "s_or_b", "s_andn", "s_orn", "s_nand", "s_nor_b"),
    *("s_lshl_b", "s_lshr_b", "s_ashr", "s_bfe_", "s_pack_", "s_cselect", "s_sext", "s_brev"),
    *("s_and_saveexec", "s_or_saveexec", "s_andn1", "s_andn2", "s_orn1", "s_orn2", "s_bitset"),
    *("s_nand_save", "s_nor_save", "ds_bpermute", "ds_permute", "ds_swizzle"),
)
#: Sums and low halves of products: a bit of the result depends on no higher bits of the sources.
_SUMS = re.compile(
    r"[sv]_(add|sub)[bc]?(rev)?(_co)?_[iu](16|32)|v_mad_[iu](16|32|64)(_[iu](16|24|32))?|s_mul_i32"
    r"|v_mul_lo_u(16|32)|v_mul_[iu]32_[iu]24|v_add3_u32|s_lshl[1-4]_add_u32|v_lshl_add_u(32|64)"
    r"|v_add_lshl_u32"
)
#: Which source is by how much to shift.
_SHIFTS = {"v_lshl_add_u32": 1, "v_lshl_add_u64": 1, "v_add_lshl_u32": 2}
_EXCLUSIVE = ("v_xor_b32", "v_xnor_b32", "s_xor_b32", "s_xor_b64", "s_xnor_b32", "s_xnor_b64")


def moves_bits(name: str) -> bool:
    """Whether an instruction may be run with undefined bits 0 and 1, and the results compared."""
    return name.startswith(_MOVES) and not _SUMS.fullmatch(name)


def lower_taint(program: Program, instruction: Instruction) -> Run | None:
    """The instruction on undefined bits in place of values; None for one of no table."""
    arch = program.target.architecture
    conversion = narrow.find_conversion(arch, instruction.name)
    operation = conversion or list_operations(arch).get(instruction.name)
    if operation is None:
        return None
    plain = _strip(instruction)
    # The number of the lane and a truth table are constants that stand in no operand.
    implicit = instruction.name.startswith(("v_mbcnt", "v_bitop3"))
    sources = operation.sources[:-1] if implicit else operation.sources
    unsigned = Operation(
        name=operation.name,
        sources=tuple(map(_unsigned, sources)),
        results=tuple(map(_unsigned, operation.results)),
        compute=_find_rule(instruction)(operation),
        cite="",
        archs=operation.archs,
    )
    if instruction.name.startswith("s_"):
        return scalar.lower_operation(program, plain, unsigned)
    if conversion:
        return narrow.lower_operation(program, plain, unsigned)
    if packed.is_packed(instruction.name):
        return packed.lower_operation(program, plain, unsigned)
    return vector.lower_operation(program, plain, unsigned)


def _unsigned(kind: str) -> str:
    return kind if kind == "bool" else f"u{TYPES[kind].itemsize * 8}"


def _strip(instruction: Instruction) -> Instruction:
    """Without signs, clamps and output modifiers, which change values and not what they are of;
    zeros for constants, which have no undefined bit."""
    operands = tuple(
        Operand(operand.value if _holds(operand.value) else Integer(0))
        for operand in instruction.operands
    )
    dropped = ("clamp", "mul", "div", "neg_lo", "neg_hi", "bitop3")
    kept = {name: value for name, value in instruction.modifiers.items() if name not in dropped}
    return replace(instruction, operands=operands, modifiers=kept)


def _holds(value: Value) -> bool:
    constant = ("src_shared", "src_private", "null")
    return isinstance(value, Register) and not value.file.startswith(constant)


def _find_rule(instruction: Instruction) -> Callable[[Operation], Callable[..., object]]:
    if instruction.name in _EXCLUSIVE:
        return _join
    saturates = "clamp" in instruction.modifiers
    return _carry if _SUMS.fullmatch(instruction.name) and not saturates else _spoil


def _carry(operation: Operation) -> Callable[..., object]:
    """Every bit of a sum from the lowest undefined one of its sources up."""
    dtype, shift = np.dtype(TYPES[_unsigned(operation.results[0])]), _SHIFTS.get(operation.name)

    def compute(*sources: Array) -> object:
        joined = np.zeros(1, dtype)
        for at, source in enumerate(sources):
            wide = np.where(source != 0, dtype.type(1), dtype.type(0)) if at == shift else source
            joined = joined | wide.astype(dtype)
        smeared = joined | (~joined + dtype.type(1))
        return smeared if len(operation.results) == 1 else (smeared, joined != 0)

    return compute


def _join(operation: Operation) -> Callable[..., object]:
    """The undefined bits of both sources; SCC, where it is set, says whether any is."""
    if len(operation.results) == 1:
        return lambda left, right: left | right
    return lambda left, right: (left | right, (left | right) != 0)


def _spoil(operation: Operation) -> Callable[..., object]:
    """Every bit of every result, where any source has an undefined one."""
    dtypes = [np.dtype(TYPES[_unsigned(kind)]) for kind in operation.results]

    def compute(*sources: Array) -> object:
        bad = np.any(np.broadcast_arrays(*[source != 0 for source in sources]), axis=0)
        results = [
            bad
            if dtype == np.bool_
            else np.where(bad, dtype.type(-1 & (1 << dtype.itemsize * 8) - 1), dtype.type(0))
            for dtype in dtypes
        ]
        return results[0] if len(results) == 1 else tuple(results)

    return compute
