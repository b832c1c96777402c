"""Vector arithmetic by the table of operations, in every encoding: VOP1 to VOP3, DPP, SDWA.

Packed instructions (VOP3P) and those that move values between lanes are lowered elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import EXEC, VCC, Machine
from rocmoe.ops.gcn.machine.modes import scales_results
from rocmoe.ops.gcn.machine.operations import list_operations, list_saturating
from rocmoe.ops.gcn.machine.results import Lanes, Write, write_mask, write_vector
from rocmoe.ops.gcn.machine.shuffled import select_lanes, select_part
from rocmoe.ops.gcn.machine.sources import (
    Source,
    is_vector,
    modify,
    raw_source,
    vector_number,
    vector_source,
)
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.dpp import CONTROLS as DPP_CONTROLS
from rocmoe.ops.gcn.semantics.float_arithmetic import apply_output_modifier, clamp_output
from rocmoe.ops.gcn.semantics.fused import fma_mix_source
from rocmoe.ops.gcn.semantics.operation import Operation
from rocmoe.ops.gcn.semantics.words import Array

_LANE = np.arange(64, dtype=np.uint32)[None]
_FLOATS = ("f16", "f32", "f64")
#: What is read of them and not named is their destination.
_READS_DESTINATION = (
    *("v_mac_", "v_fmac_", "v_dot2c_", "v_dot4c_", "v_dot8c_", "v_cvt_pkaccum_u8_f32"),
)
_MODIFIERS = frozenset(
    (
        *("clamp", "mul", "div", "op_sel", "bitop3", "dst_sel", "dst_unused", "src0_sel"),
        *("src1_sel", "row_mask", "bank_mask", "bound_ctrl", *DPP_CONTROLS),
    )
)
#: Output modifiers by their code.
_SCALES = {("mul", 2): 1, ("mul", 4): 2, ("div", 2): 3}


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What a vector instruction of the table does; None for any other."""
    arch = program.target.architecture
    operation = list_operations(arch).get(instruction.name)
    if operation is None or not instruction.name.startswith("v_"):
        return None
    if "clamp" in instruction.modifiers and operation.results[0] not in _FLOATS:
        operation = list_saturating(arch).get(instruction.name)
        if operation is None:
            raise unsupported(program, instruction, "clamp")
    return lower_operation(program, instruction, operation)


def lower_operation(program: Program, instruction: Instruction, operation: Operation) -> Run:
    """An instruction's operands, read and written as always, with any computation between."""
    sources, lanes = find_sources(program, instruction, operation)
    writes = _find_writes(program, instruction, operation)
    compute = _finish(program, instruction, operation)
    if len(operation.results) == 1:
        return _run_one(compute, sources, writes[0], lanes)

    def run(machine: Machine) -> None:
        mask = lanes(machine) if lanes else None
        for write, result in zip(
            writes, compute(*[source(machine) for source in sources]), strict=True
        ):
            write(machine, result, mask)

    return run


def _run_one(
    compute: Callable[..., Array], sources: list[Source], write: Write, lanes: Lanes | None
) -> Run:
    if lanes is None and len(sources) == 2:
        first, second = sources
        return lambda machine: write(machine, compute(first(machine), second(machine)), None)

    def run(machine: Machine) -> None:
        mask = lanes(machine) if lanes else None
        write(machine, compute(*[source(machine) for source in sources]), mask)

    return run


def count_destinations(operation: Operation) -> int:
    """Operands that are written: the result, and the carry where there is one."""
    if operation.name.startswith("v_cmp"):
        return 1
    return 2 if operation.results[1:] == ("bool",) else 1


def find_sources(
    program: Program, instruction: Instruction, operation: Operation
) -> tuple[list[Source], Lanes | None]:
    """The values read, and the lanes written where these are not those of EXEC.

    After the assembly's operands come what stands in none of them: the truth table, the lane's
    number, VCC, the old destination.
    """
    _check_modifiers(program, instruction)
    first = 0 if operation.name == "v_swap_b32" else count_destinations(operation)
    places = list(range(first, len(instruction.operands)))
    lanes: Lanes | None = None
    sources: list[Source] = []
    for at, kind in enumerate(operation.sources):
        if places:
            place = places.pop(0)
            if at == 0 and instruction.dpp:
                source, lanes = select_lanes(program, instruction, place, kind)
            else:
                source = _explicit(program, instruction, place, place - first, kind)
            sources.append(source)
        else:
            sources.append(_implicit(program, instruction, operation, at, kind))
    if places:
        raise unsupported(program, instruction, "an operand too many")
    return sources, lanes


def _explicit(program: Program, instruction: Instruction, place: int, at: int, kind: str) -> Source:
    if instruction.name.startswith("v_fma_mix"):
        return _mixed(program, instruction, place, at, kind)
    half = instruction.modifiers.get("op_sel")
    if instruction.sdwa and at < 2 and kind != "bool":
        return select_part(program, instruction, place, at, kind)
    if isinstance(half, tuple) and at < len(half) and half[at] and kind != "bool":
        return _upper_half(program, instruction, place, kind)
    return vector_source(program, instruction, place, kind)


def _upper_half(program: Program, instruction: Instruction, place: int, kind: str) -> Source:
    """OP_SEL of VOP3: the upper half of a 16-bit source."""
    if kind not in ("f16", "u16", "i16", "bf16", "u8"):
        raise unsupported(program, instruction, f"op_sel of a source of type {kind}")
    words = raw_source(program, instruction, place)
    return modify(
        lambda machine: words(machine) >> np.uint32(16), instruction.operands[place], kind
    )


def _mixed(program: Program, instruction: Instruction, place: int, at: int, kind: str) -> Source:
    upper, is_half = (_bit(instruction, name, at) for name in ("op_sel", "op_sel_hi"))
    words = raw_source(program, instruction, place)
    if is_half and not isinstance(instruction.operands[place].value, Register):
        words = vector_source(program, instruction, place, "f16")
        halves = words
        words = lambda machine: halves(machine).view(np.uint16).astype(np.uint32)  # noqa: E731

    def convert(machine: Machine) -> Array:
        return fma_mix_source(words(machine), upper, is_half).view(np.uint32)

    return modify(convert, instruction.operands[place], kind)


def _bit(instruction: Instruction, name: str, at: int) -> bool:
    bits = instruction.modifiers.get(name)
    return bool(isinstance(bits, tuple) and at < len(bits) and bits[at])


def _implicit(
    program: Program, instruction: Instruction, operation: Operation, at: int, kind: str
) -> Source:
    name = operation.name
    if name.startswith("v_bitop3"):
        table = np.array([[instruction.modifiers.get("bitop3", 0)]], np.uint8)
        return lambda machine: table
    if name.startswith("v_mbcnt"):
        return lambda machine: _LANE
    if name == "v_mqsad_u32_u8":
        return _later_dword(program, instruction, at - 2)
    if kind == "bool":
        return lambda machine: machine.mask(VCC)
    if not name.startswith(_READS_DESTINATION):
        raise unsupported(program, instruction, "an operand too few")
    return vector_source(program, instruction, 0, kind)


def _later_dword(program: Program, instruction: Instruction, dword: int) -> Source:
    """Of the last operand, which has several."""
    value = instruction.operands[-1].value
    if not isinstance(value, Register) or value.count <= dword or not is_vector(value):
        raise unsupported(program, instruction, f"operand {value}")
    number = vector_number(value) + dword
    return lambda machine: machine.vector(number)


def _check_modifiers(program: Program, instruction: Instruction) -> None:
    unknown = instruction.modifiers.keys() - _MODIFIERS
    if "op_sel_hi" in unknown and instruction.name.startswith("v_fma_mix"):
        unknown -= {"op_sel_hi"}
    if unknown:
        raise unsupported(program, instruction, f"modifier {min(unknown)}")


def _finish(
    program: Program, instruction: Instruction, operation: Operation
) -> Callable[..., Array]:
    """The computation with the output modifiers of floats."""
    compute, kind = operation.compute, operation.results[0]
    scale = next((_SCALES[key] for key in _SCALES if key in instruction.modifiers.items()), 0)
    clamp = "clamp" in instruction.modifiers and kind in _FLOATS
    if scale and not (kind in _FLOATS and scales_results(program, kind)):
        why = "an output modifier, which has no effect on integers, in IEEE mode, or with denormals"
        raise unsupported(program, instruction, why)
    if clamp and len(operation.results) > 1:
        raise unsupported(program, instruction, "clamp")
    if not scale and not clamp:
        return compute

    def finish(*values: Array) -> Array:
        result = compute(*values)
        result = apply_output_modifier(result, scale)
        return clamp_output(result) if clamp else result

    return finish


def _find_writes(program: Program, instruction: Instruction, operation: Operation) -> list[Write]:
    name, results = operation.name, operation.results
    if name.startswith("v_cmpx"):
        mask = write_mask(program, instruction, 0)

        def both(machine: Machine, result: Array, lanes: Array | None) -> None:
            mask(machine, result, lanes)
            machine.set_mask(EXEC, np.broadcast_to(result, machine.active.shape) & machine.active)

        return [both] if len(results) == 1 else [both, lambda machine, result, lanes: None]
    if name.startswith("v_cmp"):
        return [write_mask(program, instruction, 0)]
    if name == "v_swap_b32":
        return [write_vector(program, instruction, at, kind) for at, kind in enumerate(results)]
    if results[1:] == ("bool",):
        return [
            write_vector(program, instruction, 0, results[0]),
            write_mask(program, instruction, 1),
        ]
    if len(results) > 1:
        return [write_vector(program, instruction, 0, kind, at) for at, kind in enumerate(results)]
    return [write_vector(program, instruction, 0, results[0])]
