"""The record of a rule about wait states, and the registers by which instructions fall under it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from rocmoe.ops.gcn.footprint import EXEC, SCALAR, name_dword
from rocmoe.ops.gcn.operands import HARDWARE_REGISTERS
from rocmoe.ops.gcn.sanitizers.hazard_traits import Traits, Unit

#: Hardware registers, and the unit for f64, stand behind the numbers of register dwords.
HARDWARE = 1024
DOUBLE_UNIT = 2048
NO_REGISTERS: frozenset[int] = frozenset()
EXEC_MASK = frozenset((EXEC, EXEC + 1))

Registers = Callable[[Traits], frozenset[int]]


@dataclass(frozen=True)
class Rule:
    """Wait states between two instructions that share a register.

    first, second: the registers by which an instruction is the earlier, and the later; none where
    it is not. owed: wait states between the two. between: what has to stand between them for the
    rule to hold, or None. source: where it is written.
    """

    name: str
    source: str
    targets: tuple[str, ...]
    first: Registers
    second: Registers
    owed: Callable[[Traits, Traits], int]
    between: Callable[[Traits], bool] | None = None


def name_register(number: int) -> str:
    """A register dword's name, or that of a hardware register or unit."""
    if number >= DOUBLE_UNIT:
        return "the f64 unit"
    if number < HARDWARE:
        return name_dword(number)
    names = {value: name for name, value in HARDWARE_REGISTERS.items()}
    return f"hwreg({names.get(number - HARDWARE, number - HARDWARE)})"


def vector_scalars(traits: Traits) -> frozenset[int]:
    """SGPRs, VCC and EXEC that the VALU writes."""
    if traits.unit is not Unit.VALU:
        return NO_REGISTERS
    return frozenset(number for number in traits.footprint.writes if number >= SCALAR)


def vector_exec(traits: Traits) -> frozenset[int]:
    return vector_scalars(traits) & EXEC_MASK


def vector_results(traits: Traits) -> frozenset[int]:
    return traits.vector_writes if traits.unit is Unit.VALU else NO_REGISTERS


def plain_results(traits: Traits) -> frozenset[int]:
    return traits.vector_writes if traits.is_plain_vector else NO_REGISTERS


def plain_reads(traits: Traits) -> frozenset[int]:
    return traits.vector_reads if traits.is_plain_vector else NO_REGISTERS


def when(condition: Callable[[Traits], bool], registers: Registers) -> Registers:
    return lambda traits: registers(traits) if condition(traits) else NO_REGISTERS


def named(pattern: str, registers: Registers) -> Registers:
    compiled = re.compile(pattern)
    return when(lambda traits: compiled.fullmatch(traits.name) is not None, registers)


def exactly(owed: int) -> Callable[[Traits, Traits], int]:
    return lambda first, second: owed


def memory_reads(traits: Traits) -> frozenset[int]:
    """VGPRs and accumulators that memory and LDS instructions read."""
    return traits.vector_reads if traits.unit in (Unit.VMEM, Unit.LDS) else NO_REGISTERS
