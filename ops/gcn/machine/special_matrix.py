"""Matrix instructions beside the plain ones: gfx950's of 8, 6 and 4 bits, and sparse ones."""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.matrix import EVERY_LANE, read_rows, write_rows
from rocmoe.ops.gcn.machine.sources import Source, is_vector, raw_source
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.mfma_scaled import FORMATS, MICROSCALED
from rocmoe.ops.gcn.semantics.small_float import SmallFloat
from rocmoe.ops.gcn.semantics.smfmac import SMFMAC

_SCALES = (4, 5)


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What such an instruction does; None for any other."""
    if instruction.name in MICROSCALED:
        return _microscaled(program, instruction)
    return _sparse(program, instruction) if instruction.name.startswith("v_smfmac_") else None


def _check_modifiers(program: Program, instruction: Instruction, *allowed: str) -> None:
    if set(instruction.modifiers) - set(allowed):
        raise unsupported(program, instruction, "a modifier of a matrix instruction")


def _code(instruction: Instruction, name: str) -> int:
    return int(instruction.modifiers.get(name, 0))  # type: ignore[arg-type]


def _microscaled(program: Program, instruction: Instruction) -> Run:
    if program.target.architecture != "gfx950":
        raise unsupported(program, instruction, "only gfx950 has it")
    mfma = MICROSCALED[instruction.name]
    scaled = "_scale_" in instruction.name
    _check_modifiers(
        program, instruction, "cbsz", "blgp", *(("op_sel", "op_sel_hi") if scaled else ())
    )
    formats = _format(program, instruction, "cbsz"), _format(program, instruction, "blgp")
    a, b = (
        read_rows(program, instruction, at, small.bits)
        for at, small in zip((1, 2), formats, strict=True)
    )
    c = read_rows(program, instruction, 3, mfma.result_registers, "f32")
    scales = [_scale(program, instruction, at) for at in _SCALES] if scaled else []
    write = write_rows(program, instruction, mfma.result_registers, EVERY_LANE)

    def run(machine: Machine) -> None:
        pair = (scales[0](machine), scales[1](machine)) if scales else None
        write(machine, mfma.compute(a(machine), b(machine), c(machine), formats, pair))

    return run


def _format(program: Program, instruction: Instruction, name: str) -> SmallFloat:
    code = _code(instruction, name)
    if code >= len(FORMATS):
        raise unsupported(program, instruction, f"{name}:{code} is no format")
    return FORMATS[code]


def _scale(program: Program, instruction: Instruction, at: int) -> Source:
    """The byte of a register that OP_SEL and OP_SEL_HI select, u8 [n, 64]."""
    register = instruction.operands[at].value
    if not isinstance(register, Register) or not is_vector(register):
        raise unsupported(program, instruction, f"scale {instruction.operands[at]}")
    words = raw_source(program, instruction, at)
    low, high = (_bit(instruction, name, at - _SCALES[0]) for name in ("op_sel", "op_sel_hi"))
    shift = np.uint32(8 * (low + 2 * high))
    return lambda machine: (words(machine) >> shift).astype(np.uint8)


def _bit(instruction: Instruction, name: str, at: int) -> int:
    bits = instruction.modifiers.get(name)
    return bits[at] if isinstance(bits, tuple) and at < len(bits) else 0


def _sparse(program: Program, instruction: Instruction) -> Run:
    smfmac = SMFMAC.get(program.target.architecture, {}).get(instruction.name)
    if smfmac is None:
        raise unsupported(program, instruction, "this sparse matrix instruction")
    _check_modifiers(program, instruction, "cbsz", "abid")
    cbsz, abid = _code(instruction, "cbsz"), _code(instruction, "abid")
    of_a, of_b = smfmac.source_registers
    a, b = read_rows(program, instruction, 1, of_a), read_rows(program, instruction, 2, of_b)
    d = read_rows(program, instruction, 0, smfmac.result_registers)
    index = raw_source(program, instruction, 3)
    write = write_rows(program, instruction, smfmac.result_registers, EVERY_LANE)

    def run(machine: Machine) -> None:
        indices = np.broadcast_to(index(machine), (machine.n, EVERY_LANE.size))
        made = smfmac.compute(a(machine), b(machine), d(machine), indices, cbsz, abid)
        write(machine, made)

    return run
