"""The road of a case that is timed: judge, time, judge what was timed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import Inputs, OpSpec
from rocmoe.ops.core.workbench import Workbench
from rocmoe.profiles.aftercheck import AfterCheck
from rocmoe.profiles.artifact import Cache, Measurement, Timer
from rocmoe.profiles.examination import Examination, draw_twice, examine
from rocmoe.profiles.floors import Floors, make_flush
from rocmoe.profiles.job import Timing
from rocmoe.profiles.machine import Gpu, Machine, find_machine
from rocmoe.profiles.measurement import invalidate, make_measurement, refuse_measurement
from rocmoe.profiles.timers import Effort, RefusedError, Sampled, Work, take_samples
from rocmoe.references.judging.verdict import merge

#: Cold calls rotate through at most as many inputs as a graph has calls: with a flush ahead of
#: every sample no call then meets what another one left.
MOST_SETS = Effort.calls
#: The flush reads, and rotating inputs cover, at least this many times the last-level cache.
CACHES = 2


def examine_and_time(
    spec: OpSpec,
    case: Case,
    implementation: Implementation,
    device: Device,
    *,
    strict: bool,
    timing: Timing,
) -> Examination:
    """Judge an implementation on a case, and time it if it passed.

    The answers of timed calls are judged too, as the check `after_timing`; what is wrong makes all
    measurements invalid.  Raises as `examine`, and what a later call raises.
    """
    draws = draw_twice(spec, case)
    examined = examine(spec, case, implementation, device, strict=strict, draws=draws)
    if not examined.verdict.ok or spec.out_of_contract(case):
        return examined
    with _using(device):
        stand = Stand(spec, case, implementation, device, draws, strict)
        stand.after.passed += enumerate(examined.answers)
        measurements = stand.measure(timing)
    after = stand.after.verdict()
    if not after.ok:
        measurements = [invalidate(each, "wrong after timing") for each in measurements]
    verdict = merge(examined.verdict, after)
    return replace(examined, verdict=verdict, measurements=tuple(measurements), answers=())


def _using(device: Device) -> Any:
    if device.kind != "gpu":
        return nullcontext()
    import torch

    return torch.cuda.device(device.index)


@dataclass(frozen=True)
class Bay:
    """Inputs laid out once for many calls: a workbench a set, and the calls on them in turn."""

    benches: Sequence[Workbench]
    work: Work


class Stand:
    """One implementation on one case, with all that its timing needs laid out."""

    def __init__(
        self,
        spec: OpSpec,
        case: Case,
        implementation: Implementation,
        device: Device,
        draws: Sequence[Inputs],
        strict: bool,
        machine: Machine | None = None,
        effort: Effort | None = None,
    ) -> None:
        self._machine = machine or find_machine(device)
        self._effort = effort or Effort()
        self._make_bench: Callable[[], Workbench] = lambda: Workbench(
            spec, case, implementation, device
        )
        self._draws = draws
        cost = spec.cost(case)
        self._footprint = max(cost.bytes_read + cost.bytes_written, 1)
        self._floors = Floors(self._machine, device, cost)
        self._device = device
        self._uncapturable: str | None = None
        self.after = AfterCheck(spec, case, device, draws, strict)

    def measure(self, timing: Timing) -> list[Measurement]:
        """A measurement a timer and cache state, in the order asked for."""
        asked = list(itertools.product(timing.timers, timing.caches))
        bays = {cache: self._lay_out(cache) for cache in timing.caches}
        # Behind a capture that failed a process is suspect, so graphs are the last.
        order = sorted(asked, key=lambda each: each[0] == "graph")
        found = {(timer, cache): self._measure(timer, cache, bays[cache]) for timer, cache in order}
        return [found[each] for each in asked]

    def _lay_out(self, cache: Cache) -> Bay:
        benches = [self._make_bench() for _ in range(self._count_sets(cache))]
        calls = [bench.prepare(self._draws[0], poison=0) for bench in benches]
        size = CACHES * self._machine.cache_bytes
        flush = make_flush(self._device, size) if cache == "cold" else None
        work = Work(lambda n: calls[n % len(calls)](), len(calls), flush)
        return Bay(benches, work)

    def _measure(self, timer: Timer, cache: Cache, bay: Bay) -> Measurement:
        work = bay.work
        if timer == "graph" and self._uncapturable:
            return refuse_measurement(timer, cache, self._uncapturable)
        try:
            before = self._read_clock()
            sampled = take_samples(timer, self._machine, work, self._effort)
            floors = self._floors.measure(timer, work.sets, work.flush, self._effort)
            clocks = {"before": before, "after": self._read_clock()} if before else {}
        except RefusedError as error:
            if timer == "graph":
                self._uncapturable = str(error)
            return refuse_measurement(timer, cache, str(error))
        self._check(f"{timer} {cache}", sampled, bay)
        return make_measurement(timer, cache, sampled, floors, clocks)

    def _check(self, label: str, sampled: Sampled, bay: Bay) -> None:
        replay = sampled.replay

        def again() -> Any:
            if replay is None:
                return bay.work.call(0)
            replay()
            self._machine.synchronize()
            return sampled.returned[-1]

        last = 0 if replay is None else (sampled.calls - 1) % len(bay.benches)
        self.after.check(label, sampled.returned[-1], again, bay.benches[last])

    def _count_sets(self, cache: Cache) -> int:
        """Inputs to rotate through: enough to overrun the caches, or one for every call."""
        if cache == "warm":
            return 1
        enough = math.ceil(CACHES * self._machine.cache_bytes / self._footprint) + 1
        return min(enough, MOST_SETS)

    def _read_clock(self) -> float:
        return self._machine.clock_mhz() if isinstance(self._machine, Gpu) else 0.0
