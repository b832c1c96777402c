"""Where instructions lie in the address space, for calls and relocations.

A disassembler gives real addresses.  In text an instruction has 8 bytes: the relocations of a call
(`s_getpc_b64`, `s_add_u32 ...@rel32@lo+4`, `s_addc_u32 ...@rel32@hi+12`) count from a literal in
the second dword of their own instruction, and so come out right.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import lru_cache

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.operands import Expression, Symbol
from rocmoe.ops.gcn.program import Program

CODE_BASE = 0x1000_0000
_LITERAL = 4
_STEP = 8


@lru_cache(maxsize=8)
def _index_addresses(program_id: int, addresses: tuple[int | None, ...]) -> Mapping[int, int]:
    return {_address(known, at): at for at, known in enumerate(addresses)}


def _address(known: int | None, index: int) -> int:
    return CODE_BASE + (known if known is not None else index * _STEP)


def address_of(program: Program, index: int) -> int:
    """The address of an instruction; one past the last is where the code ends."""
    if index == len(program.instructions):
        return address_of(program, index - 1) + _STEP
    return _address(program.instructions[index].address, index)


def find_index(program: Program, address: int) -> int | None:
    """The instruction at an address, None where there is none."""
    known = tuple(instruction.address for instruction in program.instructions)
    return _index_addresses(id(program), known).get(address)


def find_value(program: Program, instruction: Instruction, value: Symbol | Expression) -> int:
    """The number that the linker puts in place of a symbol or an expression."""
    if isinstance(value, Expression):
        return _evaluate(program, instruction, value)
    if value.name not in program.labels:
        raise unsupported(program, instruction, f"{value.name} is no code of this file")
    target = address_of(program, program.labels[value.name]) + value.addend
    if value.relocation.startswith("rel32"):
        own = next(i for i, each in enumerate(program.instructions) if each is instruction)
        target -= address_of(program, own) + _LITERAL
    high = value.relocation.endswith("@hi")
    return (target >> 32 if high else target) & 0xFFFFFFFF


_OPERATORS = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.operator, ast.unaryop)


def _evaluate(program: Program, instruction: Instruction, expression: Expression) -> int:
    text = expression.text
    for name in sorted(expression.names, key=len, reverse=True):
        if name not in program.labels:
            raise unsupported(program, instruction, f"{name} is no code of this file")
        address = address_of(program, program.labels[name])
        text = re.sub(rf"(?<![\w.$]){re.escape(name)}(?![\w.$])", str(address), text)
    tree = ast.parse(text, mode="eval")
    if not all(isinstance(node, _OPERATORS) for node in ast.walk(tree)):
        raise unsupported(program, instruction, f"expression {expression.text}")
    return int(eval(compile(tree, "expression", "eval"), {"__builtins__": {}})) & 0xFFFFFFFF
