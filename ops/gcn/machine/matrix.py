"""Matrix instructions: MFMA over whole waves, whatever EXEC is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.sources import Source, is_vector, raw_source, vector_number
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.mfma import MFMA, Mfma
from rocmoe.ops.gcn.semantics.mfma_scaled import MICROSCALED
from rocmoe.ops.gcn.semantics.words import Array

EVERY_LANE = np.ones((1, WAVE), np.bool_)


def _plain(name: str) -> str:
    """A mnemonic without the marks in which the targets' spellings differ."""
    return name.replace("_", "")


@cache
def list_matrix(arch: str) -> Mapping[str, Mfma]:
    """Matrix instructions by their spelling without underscores: assemblers take the older one
    (v_mfma_f32_32x32x8f16) and the newer (v_mfma_f32_32x32x8_f16) for the same code."""
    named = {_plain(mfma.name): mfma for mfma in MFMA[arch].values()}
    older = {
        _plain(mfma.name).replace(f"{mfma.shape.blocks}b", "", 1): mfma
        for mfma in MFMA[arch].values()
        if mfma.shape.blocks > 1
    }
    if arch != "gfx90a":
        # Without 1k these names are those of gfx90a's instructions of half the depth.
        halves = {f"{name}1k": mfma for name, mfma in {**older, **named}.items() if "bf16" in name}
        older = {name: mfma for name, mfma in older.items() if "bf16" not in name} | halves
    return MappingProxyType({**older, **named})


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What an MFMA does; None for any other."""
    if not instruction.name.startswith("v_mfma") or instruction.name in MICROSCALED:
        return None
    mfma = list_matrix(program.target.architecture).get(_plain(instruction.name))
    modifiers = instruction.modifiers
    if mfma is None:
        raise unsupported(program, instruction, "this matrix instruction")
    if set(modifiers) - {"cbsz", "abid", "blgp", "neg"}:
        raise unsupported(program, instruction, "a modifier of a matrix instruction")
    cbsz, abid, blgp = (int(modifiers.get(key, 0)) for key in ("cbsz", "abid", "blgp"))  # type: ignore[arg-type]
    if "neg" in modifiers:
        negated = modifiers["neg"]
        assert isinstance(negated, tuple)
        blgp = sum(bit << at for at, bit in enumerate(negated))
    a, b = (read_rows(program, instruction, at, mfma.source_registers) for at in (1, 2))
    c = read_rows(program, instruction, 3, mfma.result_registers, mfma.result)
    write = write_rows(program, instruction, mfma.result_registers, EVERY_LANE)

    def run(machine: Machine) -> None:
        write(machine, mfma.compute(a(machine), b(machine), c(machine), cbsz, abid, blgp))

    return run


def read_rows(
    program: Program, instruction: Instruction, at: int, count: int, kind: str = "u32"
) -> Source:
    """An operand of several registers, u32 [n, 64, count]; a constant is in each element."""
    register = instruction.operands[at].value
    if not isinstance(register, Register):
        constant = raw_source(program, instruction, at, kind)

        def repeat(machine: Machine) -> Array:
            words = constant(machine).view(np.uint32)
            return np.tile(words, (machine.n, WAVE, count // words.size))

        return repeat
    if register.count != count or not is_vector(register):
        raise unsupported(program, instruction, f"operand {instruction.operands[at]} of {count}")
    first = vector_number(register)
    return lambda machine: np.stack([machine.vector(first + i) for i in range(count)], axis=-1)


def write_rows(
    program: Program, instruction: Instruction, count: int, lanes: Array | None = None
) -> Callable[[Machine, Array], None]:
    """Writing u32 [n, 64, count] to the registers of the first operand; lanes: those of EXEC if
    None."""
    register = instruction.operands[0].value
    if not isinstance(register, Register) or not is_vector(register) or register.count != count:
        raise unsupported(program, instruction, f"operand {instruction.operands[0]} of {count}")
    first = vector_number(register)

    def write(machine: Machine, rows: Array) -> None:
        for at in range(count):
            machine.set_vector(first + at, np.ascontiguousarray(rows[..., at]), lanes)

    return write
