"""The road of one case: draw, call, judge, call again, compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import InputsError, describe_error
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.simulator import Watch
from rocmoe.ops.core.spec import Inputs, OpSpec
from rocmoe.ops.core.variants import noting
from rocmoe.ops.core.workbench import Call, Workbench
from rocmoe.profiles.draws import load_inputs
from rocmoe.profiles.simulation import count_launches, judge_faults
from rocmoe.references.judging.elementwise import digest, same_bits
from rocmoe.references.judging.verdict import Check, Finding, Judgement, Verdict, merge

if TYPE_CHECKING:
    from rocmoe.profiles.artifact import Measurement

#: Called after each call of a candidate: its number, as in `Finding`, what it was given, and what
#: it left.
OnCall = Callable[[int, Inputs, Call], None]


@dataclass(frozen=True)
class Examination:
    """A verdict, and what else is known of the first call.

    counts: of the simulator, None on other devices.  variants: of the kernels that ran, where they
    are chosen from a table.  kernels: symbols of what a call ran on the device, where it was timed.
    measurements: None where nothing was to be timed.  passed: digests of right answers, by the
    number of their draw.
    """

    verdict: Verdict
    counts: dict[str, float] | None = None
    variants: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] | None = None
    passed: tuple[tuple[int, str], ...] = ()
    kernels: tuple[str, ...] = ()


def examine(
    spec: OpSpec,
    case: Case,
    implementation: Implementation,
    device: Device,
    *,
    strict: bool,
    watch: Watch | None = None,
    draws: Sequence[Inputs] | None = None,
    on_call: OnCall = lambda number, inputs, call: None,
) -> Examination:
    """Judge an implementation on a case.

    Three calls on the same addresses: the first draw, a second draw (an answer remembered by
    address is now wrong), and the first again with other poison (an element that was never
    written, or an answer that depends on what ran before, now differs).  In a simulator the second
    has transcendental functions as far off as the hardware's may be.

    watch: what a simulator looks at, if the device is one.  draws: those of `draw_twice`, where
    they are at hand, and a third for a second look.  Raises what the candidate raises, and
    `CandidateError` for outputs that are not as declared.
    """
    draws = draws or draw_twice(spec, case)
    bench = Workbench(spec, case, implementation, device, watch)
    if spec.out_of_contract(case):
        return Examination(_examine_out_of_contract(bench, draws[0], on_call))
    with noting() as chosen:
        first = bench.call(draws[0], poison=0)
    on_call(1, draws[0], first)
    # Strict judging wants an order that results a rounding apart need not have.
    second = bench.call(draws[1], poison=1, inexact=not strict)
    on_call(2, draws[1], second)
    again = bench.call(draws[0], poison=1)
    on_call(3, draws[0], again)
    judged = spec.judge(draws[0], first.outputs, dtype=case.dtype, strict=strict)
    # A judge is a function of inputs and outputs: the same bits have the same verdict.
    repeated, seen = judged, digest(first.outputs)
    same = seen == digest(again.outputs)  # and so in canonical form, which need not be made
    if not same:
        repeated = spec.judge(draws[0], again.outputs, dtype=case.dtype, strict=strict)
    verdict = merge(
        _at_call(1, judged),
        _at_call(2, spec.judge(draws[1], second.outputs, dtype=case.dtype, strict=strict)),
        _at_call(3, repeated),
        _at_call(1, judge_memory(bench, draws[0], (first, again))),
        _at_call(2, judge_memory(bench, draws[1], (second,))),
        _at_call(3, judge_repeat(spec, draws[0], first, again, strict=strict or same)),
        _at_call(3, judge_afterwards(bench)),
        *judge_simulation(bench, (first, second, again)),
    )
    if verdict.undecided and spec.second_look is not None:
        larger = draws[2] if len(draws) > 2 else None
        verdict = _look_again(spec, case, implementation, device, verdict, larger, on_call)
    variants = tuple(dict.fromkeys(chosen))
    counts = count_launches(case, first.launches)
    passed = ((0, seen), (1, digest(second.outputs))) if verdict.ok else ()
    return Examination(verdict, counts, variants, passed=passed)


def draw_twice(spec: OpSpec, case: Case, folder: str = "") -> list[Inputs]:
    """The first two sets of inputs, shared with other processes through a folder, if any.

    Raises `InputsError` where they do not fit into memory.
    """
    try:
        return [load_inputs(spec, case, draw, Path(folder) if folder else None) for draw in (0, 1)]
    except (MemoryError, RuntimeError, ValueError) as error:
        # NumPy's word for an array beyond the address space is a ValueError.
        if isinstance(error, ValueError) and "too big" not in str(error):
            raise
        raise InputsError(f"the inputs do not fit: {describe_error(error)}") from error


def judge_simulation(bench: Workbench, calls: tuple[Call, ...]) -> list[Verdict]:
    """What the simulator saw in each call; nothing on a real device."""
    if bench.simulator is None:
        return []
    checks = bench.simulator.watch.checks
    judged = [judge_faults(call.launches, checks) for call in calls]
    return [_at_call(number, verdict) for number, verdict in enumerate(judged, 1)]


def judge_memory(bench: Workbench, inputs: Inputs, calls: tuple[Call, ...]) -> Verdict:
    """Whether calls on the same inputs left their surroundings alone and wrote what they must.

    Given two calls with different poison, an element that kept both is one never written.
    """
    judgement = Judgement()
    _report_damage(judgement, "inputs_unchanged", [d for call in calls for d in call.mutated])
    if bench.fenced:
        _report_damage(judgement, "no_write_outside", [d for call in calls for d in call.outside])
    elif bench.simulator is None:  # whose memcheck sees every store
        note = "not checked: the function allocates its own outputs"
        judgement.checks.append(Check("no_write_outside", None, 0.0, 0.0, note))
    if len(calls) == 2:
        must_write = bench.spec.must_write(bench.case, inputs)
        for name, held in calls[0].poisoned.items():
            due = must_write.get(name, np.True_)
            judgement.exact(
                "all_written",
                held & calls[1].poisoned[name] & due,
                output=name,
                found="never written",
                wanted="a value",
            )
    return merge(judgement.verdict())


def judge_repeat(
    spec: OpSpec, inputs: Inputs, first: Call, again: Call, *, strict: bool
) -> Verdict:
    """Whether the same inputs gave the same outputs: in canonical form, bit by bit if strict."""
    judgement = Judgement()
    before, after = first.outputs, again.outputs
    if not strict:
        before, after = spec.canonical(inputs, before), spec.canonical(inputs, after)
    for name in before:
        judgement.exact(
            "repeatable",
            # What neither call wrote differs by its poison alone; `all_written` judges that.
            ~same_bits(before[name], after[name]) & ~(first.poisoned[name] & again.poisoned[name]),
            output=name,
            found=after[name],
            wanted=before[name],
            detail="the third call against the first, on the same inputs",
        )
    return merge(judgement.verdict())


def judge_afterwards(bench: Workbench) -> Verdict:
    """Whether memory is as the last call left it: work that went on may have written since."""
    judgement = Judgement()
    _report_damage(judgement, "no_work_after_return", bench.find_late_writes())
    return judgement.verdict()


def _examine_out_of_contract(bench: Workbench, inputs: Inputs, on_call: OnCall) -> Verdict:
    try:
        calls = (bench.call(inputs, poison=0), bench.call(inputs, poison=1))
    except Exception as error:  # raising is the best answer to what no contract covers
        detail = f"raised {type(error).__name__}, as it may: the inputs are out of contract"
        judgement = Judgement([Check("survives", True, 0.0, 0.0, detail)])
        mutated, outside = bench.find_damage(inputs)
        _report_damage(judgement, "inputs_unchanged", mutated)
        _report_damage(judgement, "no_write_outside", outside)
        return judgement.verdict()
    on_call(1, inputs, calls[0])
    on_call(3, inputs, calls[1])
    detail = "out of contract: no crash, no hang, no access out of bounds"
    survived = Verdict((Check("survives", True, 0.0, 0.0, detail),))
    memory = judge_memory(bench, inputs, calls)
    kept = tuple(check for check in memory.checks if check.name != "all_written")
    findings = tuple(f for f in memory.findings if f.check != "all_written")
    return merge(survived, Verdict(kept, findings), *judge_simulation(bench, calls))


def _look_again(
    spec: OpSpec,
    case: Case,
    implementation: Implementation,
    device: Device,
    verdict: Verdict,
    inputs: Inputs | None,
    on_call: OnCall,
) -> Verdict:
    """Decide a statistical check on fresh, larger draws; the first look's p-value is dropped."""
    assert spec.second_look is not None
    larger = spec.second_look(case)
    inputs = inputs or draw_inputs(spec, larger, draw=2)
    call = Workbench(spec, larger, implementation, device).call(inputs, poison=0)
    on_call(4, inputs, call)
    second = spec.judge(inputs, call.outputs, dtype=larger.dtype, strict=False)
    return replace(merge(drop_undecided(verdict), _at_call(4, second)), undecided=None)


def drop_undecided(verdict: Verdict) -> Verdict:
    """A verdict without the statistical check that asks for a second look, if one does."""
    name = verdict.undecided
    return replace(
        verdict,
        checks=tuple(check for check in verdict.checks if check.name != name),
        findings=tuple(finding for finding in verdict.findings if finding.check != name),
        undecided=None,
    )


def _at_call(number: int, verdict: Verdict) -> Verdict:
    findings = tuple(replace(finding, call=number) for finding in verdict.findings)
    return replace(verdict, findings=findings)


def _report_damage(
    judgement: Judgement, name: str, damage: list[tuple[str, str, tuple[int, ...]]]
) -> None:
    judgement.checks.append(Check(name, not damage, float(len(damage)), 0.0))
    for output, words, index in damage[:8]:
        judgement.findings.append(Finding(name, output, index, f"written {words}", "unchanged"))
