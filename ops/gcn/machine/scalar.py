"""Scalar arithmetic: SOP1, SOP2, SOPC and SOPK by the table of operations."""

from __future__ import annotations

from collections.abc import Callable

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.machine import EXEC, Machine
from rocmoe.ops.gcn.machine.operations import list_operations
from rocmoe.ops.gcn.machine.sources import Source, as_words, scalar_number, scalar_source
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.operands import Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.operation import Operation
from rocmoe.ops.gcn.semantics.words import Array

Write = Callable[[Machine, Array], None]


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What a scalar instruction of the table does; None for any other."""
    operation = list_operations(program.target.architecture).get(instruction.name)
    if operation is None or not instruction.name.startswith("s_"):
        return None
    return lower_operation(program, instruction, operation)


def lower_operation(program: Program, instruction: Instruction, operation: Operation) -> Run:
    """An instruction's operands, read and written as always, with any computation between."""
    sources = _find_sources(program, instruction, operation)
    writes = _find_writes(program, instruction, operation)
    compute = operation.compute

    def run(machine: Machine) -> None:
        results = compute(*[source(machine) for source in sources])
        if len(writes) == 1:
            writes[0](machine, results)
            return
        for write, result in zip(writes, results, strict=True):
            write(machine, result)

    return run


def _compares(name: str) -> bool:
    return name.startswith(("s_cmp_", "s_cmpk_", "s_bitcmp"))


def _find_sources(program: Program, instruction: Instruction, operation: Operation) -> list[Source]:
    """Those of the assembly, then the old destination, EXEC, and SCC where they are read."""
    first = 0 if _compares(instruction.name) else 1
    places = list(range(first, len(instruction.operands)))
    sources: list[Source] = []
    for kind in operation.sources:
        if kind == "bool":
            sources.append(lambda machine: machine.scc)
        elif places:
            sources.append(scalar_source(program, instruction, places.pop(0), kind))
        elif "exec_" in instruction.name:
            sources.append(lambda machine: machine.scalar64(EXEC))
        else:
            sources.append(scalar_source(program, instruction, 0, kind))
    if places:
        raise unsupported(program, instruction, "an operand too many")
    return sources


def _find_writes(program: Program, instruction: Instruction, operation: Operation) -> list[Write]:
    writes: list[Write] = []
    for kind in operation.results:
        if kind == "bool":
            writes.append(lambda machine, value: machine.set_scc(value))
        elif not writes:
            writes.append(write_scalar(program, instruction, kind.endswith("64")))
        else:
            writes.append(lambda machine, value: machine.set_scalar64(EXEC, value))
    return writes


def write_scalar(program: Program, instruction: Instruction, wide: bool) -> Write:
    """Writing the first operand."""
    register = instruction.operands[0].value
    number = scalar_number(register) if isinstance(register, Register) else None
    if isinstance(register, Register) and register.file == "null":
        return lambda machine, value: None
    if number is None:
        raise unsupported(program, instruction, f"destination {instruction.operands[0]}")
    place = number
    if wide:
        return lambda machine, value: machine.set_scalar64(place, value.view("u8"))
    return lambda machine, value: machine.set_scalar(place, as_words(value))
