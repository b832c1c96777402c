"""Which instruction owes wait states to which later one, and how many.

The rules are those of AMD's ISA documents: Table 11, "Required Software-inserted Wait States", of
CDNA3 and CDNA4 (4.5), and their tables of required NOPs around dot products and matrices (CDNA3,
7.5, Table 37; CDNA4, 7.6, Table 38).  `source` is the function of LLVM's GCNHazardRecognizer.cpp
(llvm-project d524a213) that inserts the same; gfx90a's numbers are LLVM's.  Where the two differ
the rule owes the less, so that a finding is one by both, but for what MFMA forwards.

Left out: MODE.vskip, and VCC under its number among the SGPRs, which no assembler writes; clauses
of memory instructions that XNACK may replay, which are no wait states.
"""

from __future__ import annotations

import re

from rocmoe.ops.gcn.footprint import M0, SCALAR, VCC, find_dwords
from rocmoe.ops.gcn.operands import HARDWARE_REGISTERS, Register
from rocmoe.ops.gcn.sanitizers import mfma_hazards as mfma
from rocmoe.ops.gcn.sanitizers.hazard_rule import (
    EXEC_MASK,
    HARDWARE,
    NO_REGISTERS,
    Rule,
    exactly,
    memory_reads,
    named,
    plain_reads,
    plain_results,
    vector_exec,
    vector_results,
    vector_scalars,
    when,
)
from rocmoe.ops.gcn.sanitizers.hazard_traits import Traits, Unit, hardware_register

ALL = ("gfx90a", "gfx942", "gfx950")
GFX90A = ("gfx90a",)
GFX942_ON = ("gfx942", "gfx950")
GFX950 = ("gfx950",)

_VCC = frozenset((VCC, VCC + 1))
_CARRY = re.compile(r"v_(addc|subb|subbrev)_co_u32")
_TRAPSTS = HARDWARE_REGISTERS["HW_REG_TRAPSTS"]


def _is_dpp(traits: Traits) -> bool:
    return traits.instruction.dpp is not None


def _vmem_scalars(traits: Traits) -> frozenset[int]:
    return traits.named_scalars if traits.unit is Unit.VMEM else NO_REGISTERS


def _zero_flags(traits: Traits) -> frozenset[int]:
    """VCC and EXEC where their zero flags are a source."""
    if traits.unit is not Unit.VALU:
        return NO_REGISTERS
    files = {o.value.file for o in traits.instruction.operands if isinstance(o.value, Register)}
    vcc = _VCC if "src_vccz" in files else NO_REGISTERS
    return vcc | (EXEC_MASK if "src_execz" in files else NO_REGISTERS)


def _constants(traits: Traits) -> frozenset[int]:
    """Scalars that the VALU reads, but for those of other rules and a carry: it is forwarded."""
    if traits.unit is not Unit.VALU or traits.name.startswith("v_div_fmas_"):
        return NO_REGISTERS
    if not _CARRY.fullmatch(traits.name):
        return traits.named_scalars - traits.footprint.addresses
    *sources, _ = traits.instruction.operands[2:]
    registers = (source.value for source in sources if isinstance(source.value, Register))
    named_twice = NO_REGISTERS.union(*map(find_dwords, registers))
    return traits.named_scalars & named_twice


def _wide_store_data(traits: Traits) -> frozenset[int]:
    """Data of more than 8 bytes, unless the buffer's offset is an SGPR."""
    data = frozenset(number for number in traits.footprint.data if number < SCALAR)
    if traits.unit is not Unit.VMEM or len(data) <= 2:
        return NO_REGISTERS
    last = traits.instruction.operands[-1].value
    is_buffer = traits.name.startswith(("buffer_", "tbuffer_"))
    return NO_REGISTERS if is_buffer and isinstance(last, Register) else data


def _m0_from_scalar(traits: Traits) -> frozenset[int]:
    return traits.footprint.writes & {M0} if traits.unit is Unit.SALU else NO_REGISTERS


def _uses_m0_late(traits: Traits) -> bool:
    """LDS, GDS and messages that take M0 as an implied operand, and indexed moves."""
    if traits.name.startswith(("s_sendmsg", "s_ttracedata", "s_movrel")):
        return True
    if "gds" in traits.instruction.modifiers or traits.name.startswith("ds_gws_"):
        return True
    is_dma = "lds" in traits.instruction.modifiers or "_lds_" in traits.name
    return traits.name.endswith("_addtid_b32") or (traits.unit is Unit.VMEM and is_dma)


def _hardware(traits: Traits) -> frozenset[int]:
    number = hardware_register(traits.instruction)
    return NO_REGISTERS if number is None else frozenset((HARDWARE + number,))


def _trap_status(traits: Traits) -> frozenset[int]:
    return frozenset((HARDWARE + _TRAPSTS,))


def _dot_to_read(first: Traits, second: Traits) -> int:
    """The same dot product may take the result as its addend, which is forwarded."""
    if first.name != second.name:
        return 3
    addend = second.instruction.operands[0 if "c_" in second.name else -1]
    return 0 if addend.value == first.instruction.operands[0].value else 3


def _dot_to_write(first: Traits, second: Traits) -> int:
    return 3 if first.name != second.name else 0


_SCALAR_RULES = (
    Rule(
        "VALU writes an SGPR that a memory instruction reads",
        "checkVMEMHazards",
        ALL,
        vector_scalars,
        _vmem_scalars,
        exactly(5),
    ),
    Rule(
        "VALU writes an SGPR that selects a lane",
        "checkRWLaneHazards",
        ALL,
        vector_scalars,
        named(r"v_(read|write)lane_b32", lambda traits: traits.footprint.addresses),
        exactly(4),
    ),
    Rule(
        "VALU writes VCC that v_div_fmas reads",
        "checkDivFMasHazards",
        ALL,
        vector_scalars,
        named(r"v_div_fmas_\w+", lambda traits: _VCC),
        exactly(4),
    ),
    Rule(
        "VALU writes VCC or EXEC whose zero flag is a source",
        "none: Table 11 alone",
        ALL,
        vector_scalars,
        _zero_flags,
        exactly(5),
    ),
    Rule(
        "VALU writes an SGPR that the VALU reads as a constant",
        "checkVALUHazards, VALUWriteSGPRVALURead",
        GFX942_ON,
        vector_scalars,
        _constants,
        exactly(2),
    ),
    Rule(
        "SALU writes M0 that the next instruction implies",
        "checkReadM0Hazards",
        ALL,
        _m0_from_scalar,
        when(_uses_m0_late, lambda traits: frozenset((M0,))),
        exactly(1),
    ),
    Rule(
        "s_setreg before s_getreg of the same register",
        "checkGetRegHazards",
        ALL,
        named(r"s_setreg_\w+", _hardware),
        named(r"s_getreg_b32", _hardware),
        exactly(2),
    ),
    Rule(
        "s_setreg before s_setreg of the same register",
        "checkSetRegHazards",
        ALL,
        named(r"s_setreg_\w+", _hardware),
        named(r"s_setreg_\w+", _hardware),
        exactly(2),
    ),
    Rule(
        "s_setreg of TRAPSTS before s_rfe",
        "checkRFEHazards",
        ALL,
        named(r"s_setreg_\w+", _hardware),
        named(r"s_rfe_\w+", _trap_status),
        exactly(1),
    ),
)

_EXEC_RULES = (
    Rule(
        "VALU writes EXEC before DPP",
        "checkDPPHazards",
        ALL,
        vector_exec,
        when(_is_dpp, lambda traits: EXEC_MASK),
        exactly(5),
    ),
    Rule(
        "VALU writes EXEC before a matrix instruction",
        "checkMAIHazards90A",
        ALL,
        when(lambda traits: traits.is_plain_vector, vector_exec),
        when(lambda traits: traits.matrix is not None, lambda traits: EXEC_MASK),
        exactly(4),
    ),
    Rule(
        "VALU writes EXEC before v_readlane, v_readfirstlane or v_writelane",
        "checkVALUHazards, VALUWriteEXECRWLane",
        GFX942_ON,
        vector_exec,
        named(r"v_(readlane|readfirstlane|writelane)_b32", lambda traits: EXEC_MASK),
        exactly(4),
    ),
    Rule(
        "v_cmpx before v_permlane",
        "checkPermlaneHazards",
        GFX950,
        named(r"v_cmpx_\w+", vector_exec),
        named(r"v_permlane\w+", lambda traits: EXEC_MASK),
        exactly(4),
    ),
)

_VECTOR_RULES = (
    Rule(
        "VALU writes a VGPR that DPP reads",
        "checkDPPHazards",
        ALL,
        vector_results,
        when(_is_dpp, lambda traits: traits.vector_reads),
        exactly(2),
    ),
    Rule(
        "VALU overwrites data of a store of more than 8 bytes",
        "checkVALUHazardsHelper",
        GFX90A,
        _wide_store_data,
        vector_results,
        exactly(1),
    ),
    Rule(
        "VALU overwrites data of a store of more than 8 bytes",
        "checkVALUHazardsHelper",
        GFX942_ON,
        _wide_store_data,
        vector_results,
        exactly(2),
    ),
    Rule(
        "transcendental result that the VALU reads",
        "checkVALUHazards, TransDefWaitstates",
        GFX942_ON,
        when(lambda traits: traits.is_transcendental, vector_results),
        when(
            lambda traits: traits.unit is Unit.VALU and not traits.is_transcendental,
            lambda traits: traits.vector_reads,
        ),
        exactly(1),
    ),
    Rule(
        "result that SDWA or op_sel moves, which the VALU reads",
        "checkVALUHazards, getDstSelForwardingOperand",
        GFX942_ON,
        when(lambda traits: traits.shifts_result, vector_results),
        when(lambda traits: traits.unit is Unit.VALU, lambda traits: traits.vector_reads),
        exactly(1),
    ),
    Rule(
        "VALU writes a VGPR that v_readlane or v_readfirstlane reads",
        "checkVALUHazards, VALUWriteVGPRReadlaneRead",
        GFX942_ON,
        vector_results,
        named(r"v_read(first)?lane_b32", lambda traits: traits.vector_reads),
        exactly(1),
    ),
    Rule(
        "VALU writes a VGPR that v_permlane reads",
        "checkPermlaneHazards",
        GFX950,
        vector_results,
        named(r"v_permlane\w+", lambda traits: traits.vector_reads),
        exactly(2),
    ),
    Rule(
        "dot product's result that another instruction reads",
        "checkMAIVALUHazards, DotWriteDifferentVALURead",
        ALL,
        when(lambda traits: traits.is_dot, vector_results),
        lambda traits: plain_reads(traits) | memory_reads(traits),
        _dot_to_read,
    ),
    Rule(
        "dot product's result that another VALU instruction overwrites",
        "checkMAIVALUHazards, DotWriteDifferentVALUWrite",
        ALL,
        when(lambda traits: traits.is_dot, vector_results),
        plain_results,
        _dot_to_write,
    ),
    Rule(
        "VALU writes a VGPR that memory reads, f64 MFMA between",
        "checkMAIVALUHazards, DMFMABetweenVALUWriteVMEMRead",
        GFX90A,
        vector_results,
        memory_reads,
        exactly(2),
        between=mfma.is_double_matrix,
    ),
)


def find_rules(target: str) -> tuple[Rule, ...]:
    """The rules that hold on an architecture."""
    general = (*_SCALAR_RULES, *_EXEC_RULES, *_VECTOR_RULES)
    return (*(rule for rule in general if target in rule.targets), *mfma.find_matrix_rules(target))
