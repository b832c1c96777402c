"""The road of a case that is timed: judge, time, judge what was timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import OpSpec
from rocmoe.profiles.artifact import Measurement
from rocmoe.profiles.examination import Examination, draw_twice, examine
from rocmoe.profiles.job import Timing
from rocmoe.profiles.measuring.aftercheck import CHECK, AfterCheck
from rocmoe.profiles.measuring.conditions import choose_telemetry, observe_case
from rocmoe.profiles.measuring.efforts import load_effort
from rocmoe.profiles.measuring.measurement import invalidate
from rocmoe.profiles.measuring.side_work import UnseenError
from rocmoe.profiles.measuring.stand import Stand, measure_in_turns
from rocmoe.references.judging.verdict import Check, Verdict, merge

#: The check that all work of a call is on the stream that is timed, or on what that waits for.
IN_STREAM = "work_in_stream"
_REASONS = {CHECK: "wrong after timing", IN_STREAM: "works outside of the stream that is timed"}


def examine_and_time(
    spec: OpSpec,
    case: Case,
    implementation: Implementation,
    device: Device,
    *,
    strict: bool,
    timing: Timing,
    folder: str = "",
) -> Examination:
    """Judge an implementation on a case, and time it if it passed, here or in another process.

    The answers of timed calls are judged too, as the check `after_timing`; what is wrong makes all
    measurements invalid.  folder: of `draw_twice`.  Raises as `examine`, and what a later call
    raises.
    """
    draws = draw_twice(spec, case, folder)
    examined = None
    if not timing.passed:
        examined = examine(spec, case, implementation, device, strict=strict, draws=draws)
        if not examined.verdict.ok or spec.out_of_contract(case):
            return examined
    with _using(device):
        effort = load_effort(timing.effort).effort
        choice = choose_telemetry(device)
        stand = Stand(
            spec, case, implementation, device, draws, strict, effort=effort, choice=choice
        )
        stand.after.passed |= {*timing.passed, *(examined.passed if examined else ())}
        inspected = _inspect(stand) if timing.inspect else None
        (measurements,) = observe_case(choice, lambda: [stand.measure(timing)])
    return _join(examined, stand.after, measurements, inspected)


def _join(
    examined: Examination | None,
    after: AfterCheck,
    measurements: Sequence[Measurement],
    inspected: _Inspected | None,
) -> Examination:
    """What was judged ahead of the timing, if anything was, and what was timed and judged then."""
    verdict = merge(after.verdict(), *([inspected.verdict] if inspected else []))
    if not verdict.ok:
        reason = "; ".join(_REASONS[name] for name in verdict.failed)
        measurements = [invalidate(each, reason) for each in measurements]
    if examined is not None:
        verdict = merge(examined.verdict, verdict)
    return replace(
        examined or Examination(verdict), verdict=verdict, measurements=tuple(measurements),
        passed=tuple(sorted(after.passed)),
        kernels=inspected.kernels if inspected else (),
    )  # fmt: skip


@dataclass(frozen=True)
class _Inspected:
    """What one call ran on the device, and whether a timer of its stream sees all of it."""

    kernels: tuple[str, ...]
    verdict: Verdict


def _inspect(stand: Stand) -> _Inspected | None:
    """None where there is no GPU to look at."""
    try:
        found = stand.inspect()
    except UnseenError as error:
        return _Inspected((), Verdict((Check(IN_STREAM, None, 0.0, 0.0, f"not checked: {error}"),)))
    if found is None:
        return None
    late = found.side_work
    check = Check(IN_STREAM, late is None, float(late is not None), 0.0, late or "")
    return _Inspected(found.kernels, Verdict((check,)))


def _using(device: Device) -> Any:
    if device.kind != "gpu":
        return nullcontext()
    import torch

    return torch.cuda.device(device.index)


def time_in_turns(
    spec: OpSpec,
    case: Case,
    implementations: Mapping[str, Implementation],
    device: Device,
    *,
    strict: bool,
    timing: Timing,
    folder: str = "",
) -> dict[str, Examination]:
    """Time implementations that passed on a case, by name, in turns in this one process.

    Judged is only what the timed calls answered.  Raises what a call raises.
    """
    draws = draw_twice(spec, case, folder)
    effort = load_effort(timing.effort).effort
    with _using(device):
        choice = choose_telemetry(device)
        stands = {
            name: Stand(spec, case, each, device, draws, strict, effort=effort, choice=choice)
            for name, each in implementations.items()
        }
        for stand in stands.values():
            stand.after.passed |= {*timing.passed}
        inspected = {
            name: _inspect(stand) if timing.inspect else None for name, stand in stands.items()
        }
        measured = observe_case(choice, lambda: measure_in_turns([*stands.values()], timing))
    taken = zip(*measured, strict=True)
    return {
        name: _join(None, stand.after, mine, inspected[name])
        for (name, stand), mine in zip(stands.items(), taken, strict=True)
    }
