"""The road of one case under another order of waves, compared with all waves together."""

from __future__ import annotations

from dataclasses import replace

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.simulator import Watch
from rocmoe.ops.core.spec import Inputs, OpSpec
from rocmoe.ops.core.workbench import Call, Workbench
from rocmoe.profiles.examination import (
    Examination,
    draw_twice,
    drop_undecided,
    examine,
    judge_memory,
    judge_repeat,
    judge_simulation,
)
from rocmoe.profiles.simulation import count_launches
from rocmoe.references.judging.verdict import Check, Verdict, merge

CHECK = "order"


def examine_order(
    spec: OpSpec,
    case: Case,
    implementation: Implementation,
    device: Device,
    *,
    strict: bool,
    watch: Watch,
    folder: str = "",
) -> Examination:
    """Judge an implementation on a case under the wave order of `watch`.

    Two calls on the same draw, the second with all waves together and unwatched: after the op's
    judge the outputs are compared in canonical form, bit by bit if strict.  folder: of
    `draw_twice`.  Raises as `examine`.
    """
    if watch.order == "together" or spec.out_of_contract(case):
        draws = None if spec.out_of_contract(case) else draw_twice(spec, case, folder)
        return examine(spec, case, implementation, device, strict=strict, watch=watch, draws=draws)
    inputs = draw_twice(spec, case, folder)[0]
    bench = Workbench(spec, case, implementation, device, watch)
    call = bench.call(inputs, poison=0)
    found = judge_simulation(bench, (call,))
    if bench.simulator is not None:
        bench.simulator.watch = Watch((), counts=False)
    together = bench.call(inputs, poison=1)
    verdict = merge(
        spec.judge(inputs, call.outputs, dtype=case.dtype, strict=strict),
        judge_memory(bench, inputs, (call, together)),
        judge_order(spec, inputs, call, together, watch.order, strict=strict),
        *found,
    )
    # A distribution that wants another look gets it once, under order together.
    return Examination(drop_undecided(verdict), count_launches(case, call.launches))


def judge_order(
    spec: OpSpec, inputs: Inputs, call: Call, together: Call, order: str, *, strict: bool
) -> Verdict:
    """Whether an order of waves gave what all together give, in canonical form."""
    verdict = judge_repeat(spec, inputs, together, call, strict=strict)
    detail = f"order {order} against together"
    if not verdict.checks:
        why = "not compared: every output depends on how sums are rounded; each order is judged"
        return Verdict((Check(CHECK, None, 0.0, 0.0, why),))
    checks = tuple(replace(check, name=CHECK, detail=detail) for check in verdict.checks)
    findings = tuple(
        replace(each, check=CHECK, found=f"{each.found} in order {order}",
                wanted=f"{each.wanted}, as in order together")
        for each in verdict.findings
    )  # fmt: skip
    return Verdict(checks, findings)
