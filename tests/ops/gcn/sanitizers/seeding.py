"""Compiled kernels with one instruction changed, run under the sanitizers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from portable_cases import Case

from rocmoe.ops.core.kernarg import make_launch
from rocmoe.ops.core.launch import recording
from rocmoe.ops.core.simulator import CHECKS, FaultRecord, Simulator, Watch
from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.instruction import parse_instruction
from rocmoe.ops.gcn.machine.launch import Launch
from rocmoe.ops.gcn.operands import Operand, WaitCount
from rocmoe.ops.gcn.program import Program

#: What a field holds of which s_waitcnt says nothing.
ANY = WaitCount()


@dataclass(frozen=True)
class Seed:
    """An instruction that is taken out, or but one counter of it: `barrier`, `vmcnt`, `lgkmcnt`.

    slack: a counter is not taken out, but waits for so many fewer.
    """

    index: int
    line: int
    kind: str
    slack: int = 0

    def plant(self, program: Program) -> Program:
        old = program.instructions[self.index]
        new = replace(parse_instruction("s_nop 0"), line=old.line, text=old.text, source=old.source)
        if self.kind != "barrier":
            value = old.operands[0].value
            most, now = getattr(ANY, self.kind), getattr(value, self.kind)
            value = replace(value, **{self.kind: now + self.slack if self.slack else most})
            if value != ANY:
                new = replace(old, operands=(Operand(value),))
        changed = (
            *program.instructions[: self.index],
            new,
            *program.instructions[self.index + 1 :],
        )
        return replace(program, instructions=changed)


def list_seeds(program: Program) -> Iterator[Seed]:
    """Every barrier, and every counter of every wait, of a program: out, and by one less."""
    for index, instruction in enumerate(program.instructions):
        if instruction.name == "s_barrier":
            yield Seed(index, instruction.line, "barrier")
        elif instruction.name == "s_waitcnt":
            value = instruction.operands[0].value
            for kind in ("vmcnt", "lgkmcnt"):
                if getattr(value, kind) != getattr(ANY, kind):
                    yield Seed(index, instruction.line, kind)
                    yield Seed(index, instruction.line, kind, slack=1)


#: A program is frozen, and every seed of a kernel is planted in the same one.
read_once = lru_cache(maxsize=4)(read_program)


def compile_case(case: Case, arch: str) -> tuple[Program, Launch]:
    with recording(arch) as launches:
        case.run()
    (recorded,) = launches
    program = read_once(recorded.compiled.assembly, recorded.compiled.name)
    return program, make_launch(recorded.compiled, recorded.grid, case.arguments)


def sanitize(program: Program, launch: Launch, order: str = "together") -> list[FaultRecord]:
    """All that the sanitizers say, notes too."""
    simulator = Simulator(program.target.architecture, Watch(CHECKS, order, counts=False))
    simulator.run(program, program.kernel(), launch)
    (simulated,) = simulator.take()
    return list(simulated.faults)
