"""Packed arithmetic (VOP3P): two halves of 16 bits, or two of 32, selected and negated each."""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.operations import list_operations, list_saturating
from rocmoe.ops.gcn.machine.results import write_vector
from rocmoe.ops.gcn.machine.sources import Source, raw_source, vector_source
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import Integer, Real, Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.operation import Operation
from rocmoe.ops.gcn.semantics.packed_float import select_halves
from rocmoe.ops.gcn.semantics.words import Array

_HALF = np.uint64(32)


def is_packed(name: str) -> bool:
    return name.startswith(("v_pk_", "v_dot2_", "v_dot4_", "v_dot8_"))


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What a packed instruction does; None for any other."""
    name, arch = instruction.name, program.target.architecture
    operation = list_operations(arch).get(name)
    if operation is None or not is_packed(name):
        return None
    if instruction.dpp or instruction.sdwa:
        raise unsupported(program, instruction, "DPP or SDWA of a packed instruction")
    if "clamp" in instruction.modifiers:
        operation = list_saturating(arch).get(name)
        if operation is None:
            raise unsupported(program, instruction, "clamp")
    return lower_operation(program, instruction, operation)


def lower_operation(program: Program, instruction: Instruction, operation: Operation) -> Run:
    """An instruction's operands, read and written as always, with any computation between."""
    count = len(instruction.operands) - 1
    sources = [_source(program, instruction, at, operation.sources[at]) for at in range(count)]
    sources += [vector_source(program, instruction, 0, kind) for kind in operation.sources[count:]]
    write = write_vector(program, instruction, 0, operation.results[0])
    compute = operation.compute

    def run(machine: Machine) -> None:
        write(machine, compute(*[source(machine) for source in sources]), None)

    return run


def _source(program: Program, instruction: Instruction, at: int, kind: str) -> Source:
    place = at + 1
    low, high = _bit(instruction, "op_sel", at, 0), _bit(instruction, "op_sel_hi", at, 1)
    flips = _bit(instruction, "neg_lo", at, 0), _bit(instruction, "neg_hi", at, 0)
    if instruction.name == "v_pk_mov_b32":
        return _dword(program, instruction, place, low)
    if kind not in ("u32", "u64") or (instruction.name.startswith("v_dot") and at == 2):
        if any(flips):
            raise unsupported(program, instruction, "neg_lo or neg_hi of the third source")
        return vector_source(program, instruction, place, kind)
    if instruction.operands[place].negate or instruction.operands[place].absolute:
        raise unsupported(program, instruction, "a modifier of a packed source")
    words = (
        _pair(program, instruction, place) if kind == "u64" else _word(program, instruction, place)
    )
    if (low, high, *flips) == (0, 1, 0, 0):
        return words
    return lambda machine: select_halves(words(machine), low, high, *flips)


def _bit(instruction: Instruction, name: str, at: int, default: int) -> int:
    bits = instruction.modifiers.get(name)
    return bits[at] if isinstance(bits, tuple) and at < len(bits) else default


def _word(program: Program, instruction: Instruction, place: int) -> Source:
    """Two halves in one dword; a constant of f16 stands in the lower one."""
    value = instruction.operands[place].value
    if isinstance(value, Real) and "f16" in instruction.name:
        bits = int(np.array(value.value, "<f2").view("<u2"))
        constant = np.array([[bits]], np.uint32)
        return lambda machine: constant
    return raw_source(program, instruction, place)


def _pair(program: Program, instruction: Instruction, place: int) -> Source:
    """Two dwords; a constant or a single scalar register is in both (LLVM, AMDGPUAsmParser)."""
    value = instruction.operands[place].value
    if isinstance(value, Register) and value.count == 2:
        return vector_source(program, instruction, place, "u64")
    if isinstance(value, (Real, Integer)):
        words = raw_source(program, instruction, place)

        def both(machine: Machine) -> Array:
            word = words(machine).astype(np.uint64)
            return word | (word << _HALF)

        return both
    raise unsupported(program, instruction, f"packed source {instruction.operands[place]}")


def _dword(program: Program, instruction: Instruction, place: int, upper: int) -> Source:
    if not isinstance(instruction.operands[place].value, Register):
        return raw_source(program, instruction, place)
    pair = vector_source(program, instruction, place, "u64")
    if upper:
        return lambda machine: (pair(machine) >> _HALF).astype(np.uint32)
    return lambda machine: pair(machine).astype(np.uint32)
