"""What the rules about wait states ask of one instruction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from rocmoe.ops.gcn.footprint import EXEC, SCALAR, SCC, Footprint, find_dwords, find_footprint
from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.operand_roles import is_matrix, writes_high_half
from rocmoe.ops.gcn.operands import HardwareRegister, Integer, Register

_NONE: frozenset[int] = frozenset()
_MEMORY = ("buffer_", "tbuffer_", "global_", "flat_", "scratch_")
_SCALAR_MEMORY = re.compile(
    r"s_(buffer_|scratch_)?(load|store|atomic)_\w+|s_dcache_\w+|s_mem\w+time"
)
_TRANSCENDENTAL = re.compile(
    r"v_(exp|log|rcp|rsq|sqrt|sin|cos|rcp_iflag|exp_legacy|log_legacy)_f(16|32|64)"
)
_SHAPE = re.compile(
    r"v_(?P<kind>mfma|smfmac)_(?:scale_)?[fi]\d+_(?P<rows>\d+)x\d+x(?P<k>\d+)(?:_\d+b)?_?(?P<of>\w+)"
)
_BYTE_SELECT = re.compile(r"v_cvt_(scalef32_)?sr_(fp8|bf8)_\w+")
_FP4_RESULT = re.compile(r"v_cvt_scalef32_(sr_)?pk_fp4_\w+")


class Unit(Enum):
    """What executes an instruction. VMEM: buffer, global, flat and scratch."""

    VALU = "VALU"
    SALU = "SALU"
    SMEM = "SMEM"
    VMEM = "VMEM"
    LDS = "LDS"


@dataclass(frozen=True, slots=True)
class Matrix:
    """An MFMA or an SMFMAC.

    passes: of four cycles each. is_double: f64. is_xdl: run by the matrix core's own pipeline;
    the others, f32 from gfx942 on and f64, are SGEMM and DGEMM in the ISA's table. d, c: D and C
    as they are written. c_dwords, ab_dwords: registers of C, and of A, B and what else is read.
    """

    rows: int
    passes: int
    is_double: bool
    is_xdl: bool
    d: Register | None
    c: Register | None
    c_dwords: frozenset[int]
    ab_dwords: frozenset[int]


@dataclass(frozen=True, slots=True)
class Traits:
    """named_scalars: scalar dwords that an operand, or VCC that is implied, names as a source."""

    instruction: Instruction
    unit: Unit
    footprint: Footprint
    states: int
    named_scalars: frozenset[int]
    matrix: Matrix | None

    @property
    def name(self) -> str:
        return self.instruction.name

    @property
    def is_plain_vector(self) -> bool:
        """A VALU instruction other than those of the matrix core."""
        return self.unit is Unit.VALU and self.matrix is None

    @property
    def is_dot(self) -> bool:
        return self.name.startswith("v_dot")

    @property
    def is_transcendental(self) -> bool:
        return _TRANSCENDENTAL.fullmatch(self.name) is not None

    @property
    def vector_reads(self) -> frozenset[int]:
        return frozenset(number for number in self.footprint.reads if number < SCALAR)

    @property
    def vector_writes(self) -> frozenset[int]:
        return frozenset(number for number in self.footprint.writes if number < SCALAR)

    @property
    def shifts_result(self) -> bool:
        """Whether the result is moved to another place in its register than where it arises."""
        sdwa, selects = self.instruction.sdwa, self.instruction.modifiers.get("op_sel")
        if sdwa and sdwa.dst_sel != "DWORD":
            return True
        if _BYTE_SELECT.fullmatch(self.name):
            return isinstance(selects, tuple) and any(selects[2:])
        return writes_high_half(self.instruction) or _FP4_RESULT.fullmatch(self.name) is not None


def find_traits(instruction: Instruction, architecture: str) -> Traits:
    """Raises RocmoeError for an instruction whose registers are not known."""
    footprint = find_footprint(instruction)
    names_exec = any(
        isinstance(operand.value, Register) and operand.value.file in ("exec", "src_execz")
        for operand in instruction.operands
    )
    implied = _NONE if names_exec else frozenset((EXEC, EXEC + 1))
    scalars = frozenset(n for n in footprint.reads if n >= SCALAR and n != SCC)
    return Traits(
        instruction,
        find_unit(instruction.name),
        footprint,
        count_wait_states(instruction),
        scalars - implied,
        find_matrix(instruction, architecture),
    )


def find_unit(name: str) -> Unit:
    if name.startswith("v_"):
        return Unit.VALU
    if name.startswith("ds_"):
        return Unit.LDS
    if name.startswith(_MEMORY):
        return Unit.VMEM
    return Unit.SMEM if _SCALAR_MEMORY.fullmatch(name) else Unit.SALU


def count_wait_states(instruction: Instruction) -> int:
    """Every instruction is one wait state, s_waitcnt and branches too, and `s_nop N` is N + 1."""
    if instruction.name != "s_nop":
        return 1
    (operand,) = instruction.operands
    return (operand.value.value & 15) + 1 if isinstance(operand.value, Integer) else 1


def hardware_register(instruction: Instruction) -> int | None:
    """The hardware register that s_getreg or s_setreg names."""
    numbers = (
        operand.value.number
        for operand in instruction.operands
        if isinstance(operand.value, HardwareRegister)
    )
    return next(numbers, None)


def find_matrix(instruction: Instruction, architecture: str) -> Matrix | None:
    """None for what is no matrix instruction."""
    found = _SHAPE.fullmatch(instruction.name) if is_matrix(instruction.name) else None
    if not found:
        return None
    values = [operand.value for operand in instruction.operands]
    registers = [value if isinstance(value, Register) else None for value in values]
    # The sparse forms accumulate in D, and their fourth operand is the index.
    at = 0 if found["kind"] == "smfmac" else 3
    c = registers[at] if len(registers) > at else None
    others = (r for place, r in enumerate(registers) if r and place not in (0, at))
    is_double = found["of"] == "f64"
    return Matrix(
        rows=int(found["rows"]),
        passes=_count_passes(instruction, found, architecture),
        is_double=is_double,
        is_xdl=not is_double and (architecture == "gfx90a" or found["of"] != "f32"),
        d=registers[0],
        c=c,
        c_dwords=find_dwords(c) if c else _NONE,
        ab_dwords=_NONE.union(*map(find_dwords, others)),
    )


def _count_passes(instruction: Instruction, found: re.Match[str], architecture: str) -> int:
    """Passes of four cycles: the ISA documents' tables of MFMA; LLVM, SISchedule.td.

    The number is that of LLVM's model, from which it computes the wait states that it inserts.
    """
    rows, k = int(found["rows"]), int(found["k"])
    if found["of"] == "f64":
        return {4: 4, 16: 16 if architecture == "gfx950" else 8}[rows]
    if rows == 4:
        return 2
    if architecture == "gfx90a":
        return {16: 8, 32: 16}[rows]
    slow = found["kind"] == "mfma" and k <= 4 and found["of"] != "xf32"
    if found["of"] == "f8f6f4" and rows == 32:
        formats = (instruction.modifiers.get(name, 0) for name in ("cbsz", "blgp"))
        slow = any(isinstance(value, int) and value <= 1 for value in formats)
    return (8 if slow else 4) if rows == 16 else (16 if slow else 8)
