"""Wait states that software owes and did not give: data hazards that no hardware interlock catches.

One instruction is one wait state, and `s_nop N` is N + 1 (CDNA3 ISA, 4.5 Manually Inserted Wait
States).  From each executed instruction the way leads back over all those executed before it, on
every path that was taken, as far as any rule reaches.  A register that an instruction between the
two overwrites is that instruction's, and no longer the earlier one's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.sanitizers.hazard_rule import Rule, name_register
from rocmoe.ops.gcn.sanitizers.hazard_rules import find_rules
from rocmoe.ops.gcn.sanitizers.hazard_traits import Traits, find_traits
from rocmoe.ops.gcn.sanitizers.mfma_hazards import LONGEST

_NONE: frozenset[int] = frozenset()
_NO_FALL_THROUGH = frozenset(
    (
        *("s_branch", "s_endpgm", "s_endpgm_saved", "s_setpc_b64", "s_swappc_b64"),
        *("s_call_b64", "s_rfe_b64"),
    )
)


@dataclass(frozen=True)
class Hazard:
    """writer, reader: indices into `Program.instructions`, of the earlier and the later; in a rule
    about overwriting the earlier is the one that reads. owed, given: wait states between them.
    register: the first that they share.
    """

    writer: int
    reader: int
    rule: str
    owed: int
    given: int
    register: str

    def describe(self, program: Program) -> str:
        """What is wrong, with the place of the earlier instruction."""
        earlier = program.where(program.instructions[self.writer])
        return (
            f"{self.rule}: {self.register} needs {self.owed} wait states after {earlier}, "
            f"found {self.given}"
        )


@dataclass(frozen=True)
class Step:
    """A place on the way back: what runs before `index` has given `given` wait states at least.

    overwritten: registers written since; passed: rules whose `between` stood on the way.
    """

    index: int
    given: int = 0
    overwritten: frozenset[int] = _NONE
    passed: frozenset[int] = _NONE


@dataclass(frozen=True)
class Marked:
    """An instruction with the registers that make it the earlier and the later of each rule."""

    traits: Traits
    first: Mapping[int, frozenset[int]]
    second: Mapping[int, frozenset[int]]
    between: frozenset[int]


def find_hazards(
    program: Program, executed: Iterable[tuple[int, int]], entry: int, ran: Iterable[int]
) -> list[Hazard]:
    """Wait states owed between instructions of a run, by reader, then by writer.

    executed: (from, to), the transfers of control that happened but for falling through. ran: the
    indices of the instructions that were executed; where two of them follow one another, control
    may have fallen from one to the next. entry: nothing runs before it but by a transfer.
    Raises RocmoeError for an instruction whose registers are not known.
    """
    rules = _rules_of(program.target.architecture)
    marked = {index: _mark(program, index, rules) for index in sorted(ran)}
    before = _find_predecessors(program, executed, entry, marked.keys())
    firsts = frozenset(rule for each in marked.values() for rule in each.first)
    found: dict[tuple[int, int, str], Hazard] = {}
    for reader, each in marked.items():
        asked = [rule for rule in each.second if rule in firsts]
        if not asked:
            continue
        for hazard in _search(reader, asked, rules, marked, before):
            key = (hazard.reader, hazard.writer, hazard.rule)
            if key not in found or hazard.given < found[key].given:
                found[key] = hazard
    return [found[key] for key in sorted(found)]


def find_static_transfers(program: Program) -> set[tuple[int, int]]:
    """Every transfer that a branch or a call to a label can make."""
    return {
        (index, instruction.target)
        for index, instruction in enumerate(program.instructions)
        if instruction.target is not None
    }


@lru_cache
def _rules_of(architecture: str) -> tuple[Rule, ...]:
    return find_rules(architecture)


def _mark(program: Program, index: int, rules: Sequence[Rule]) -> Marked:
    memo, key = program.instructions[index].memo, f"hazards on {program.target.architecture}"
    if key not in memo:
        memo[key] = _make_marked(program, index, rules)
    marked: Marked = memo[key]
    return marked


def _make_marked(program: Program, index: int, rules: Sequence[Rule]) -> Marked:
    traits = find_traits(program.instructions[index], program.target.architecture)
    first = {at: registers for at, rule in enumerate(rules) if (registers := rule.first(traits))}
    second = {at: registers for at, rule in enumerate(rules) if (registers := rule.second(traits))}
    between = (at for at, rule in enumerate(rules) if rule.between and rule.between(traits))
    return Marked(traits, first, second, frozenset(between))


def _find_predecessors(
    program: Program, executed: Iterable[tuple[int, int]], entry: int, ran: Iterable[int]
) -> dict[int, list[int]]:
    known = set(ran)
    before: dict[int, list[int]] = {index: [] for index in known}
    for source, target in executed:
        if source in known and target in known:
            before[target].append(source)
    for index in known - {entry}:
        previous = index - 1
        if previous in known and program.instructions[previous].name not in _NO_FALL_THROUGH:
            before[index].append(previous)
    return before


def _search(
    reader: int,
    asked: Sequence[int],
    rules: Sequence[Rule],
    marked: Mapping[int, Marked],
    before: Mapping[int, list[int]],
) -> Iterator[Hazard]:
    """Hazards with one instruction as the later."""
    later = marked[reader]
    relevant = _NONE.union(*(later.second[at] for at in asked))
    start = Step(reader)
    steps, seen = [start], {start}
    while steps:
        step = steps.pop()
        for index in before[step.index]:
            earlier = marked[index]
            yield from _compare(index, reader, step, asked, rules, marked)
            given = step.given + earlier.traits.states
            overwritten = step.overwritten | (earlier.traits.footprint.writes & relevant)
            onward = Step(index, given, overwritten, step.passed | earlier.between)
            if given < LONGEST and onward not in seen and not relevant <= overwritten:
                seen.add(onward)
                steps.append(onward)


def _compare(
    writer: int,
    reader: int,
    step: Step,
    asked: Sequence[int],
    rules: Sequence[Rule],
    marked: Mapping[int, Marked],
) -> Iterator[Hazard]:
    earlier, later = marked[writer], marked[reader]
    for at in asked:
        registers = earlier.first.get(at, _NONE) & later.second[at] - step.overwritten
        rule = rules[at]
        if not registers or (rule.between and at not in step.passed):
            continue
        owed = rule.owed(earlier.traits, later.traits)
        if step.given < owed:
            name = name_register(min(registers))
            yield Hazard(writer, reader, rule.name, owed, step.given, name)
