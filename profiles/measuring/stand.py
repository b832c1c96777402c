"""Where implementations are timed on a case, alone or in turns, with all that it needs laid out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.pipeline import find_host_reads, list_stages
from rocmoe.ops.core.spec import Inputs, OpSpec
from rocmoe.ops.core.workbench import Workbench
from rocmoe.profiles.artifact import Cache, Floor, Measurement, Timer
from rocmoe.profiles.job import Timing
from rocmoe.profiles.measuring.aftercheck import AfterCheck, SpotChecks
from rocmoe.profiles.measuring.conditions import observe_samples, observe_stage, pause_in
from rocmoe.profiles.measuring.floors import Floors
from rocmoe.profiles.measuring.flush import ProbedFlush, can_stream, prepare_flush
from rocmoe.profiles.measuring.machine import Gpu, Machine, find_machine
from rocmoe.profiles.measuring.measurement import make_measurement, refuse_measurement
from rocmoe.profiles.measuring.side_work import CallInspection, inspect_call, make_marker
from rocmoe.profiles.measuring.stages import StageBench
from rocmoe.profiles.measuring.timers import (
    Effort,
    RefusedError,
    Sampled,
    Sampler,
    Work,
    make_sampler,
    take_turns,
)
from rocmoe.profiles.telemetry.choice import Choice
from rocmoe.profiles.telemetry.reading import Telemetry
from rocmoe.profiles.telemetry.sampler import Look

#: Cold calls rotate through at most as many inputs as a graph has calls: with a flush ahead of
#: every sample no call then meets what another one left.
MOST_SETS = Effort.calls
#: The flush reads, and rotating inputs cover, at least this many times the last-level cache.
CACHES = 2


@dataclass(frozen=True)
class Bay:
    """Inputs laid out once for many calls: a workbench a set, and the calls on them in turn.

    flush_probe_us: as of a `Measurement`, of the flush ahead of each sample; empty if warm.
    """

    benches: Sequence[Workbench]
    work: Work
    flush_probe_us: Mapping[str, float]


@dataclass(frozen=True)
class Opened:
    """What a timer is about to sample, and what looks at some of its answers."""

    bay: Bay
    sampler: Sampler
    spots: SpotChecks


@dataclass(frozen=True)
class Beside:
    """What is measured beside samples."""

    floors: Mapping[str, Floor]
    clocks: Mapping[str, float]
    telemetry: Sequence[Telemetry]


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
        choice: Choice | None = None,
    ) -> None:
        self.machine = machine or find_machine(device)
        self.choice = choice
        self.effort = effort or Effort()
        self._bays: dict[Cache, Bay] = {}
        self._make_bench: Callable[[], Workbench] = lambda: Workbench(
            spec, case, implementation, device
        )
        self._draws = draws
        cost = spec.cost(case)
        self._footprint = max(cost.bytes_read + cost.bytes_written, 1)
        self._floors = Floors(self.machine, device, cost)
        self._device, self._case = device, case
        function = implementation.for_case(case).function
        self._stages = list_stages(function)
        # Known ahead, no capture has to fail for it, which would spoil the process.
        self._uncapturable = find_host_reads(function) or None
        self.after = AfterCheck(spec, case, device, draws, strict)

    def measure(self, timing: Timing) -> list[Measurement]:
        """A measurement a timer and cache state, in the order asked for; and then those of each
        stage, of a pipeline."""
        stages = self._measure_stages(timing)
        return [*(each for (each,) in measure_in_turns([self], timing)), *stages]

    def _measure_stages(self, timing: Timing) -> list[Measurement]:
        if not self._stages:
            return []
        flush = self._prepare_flush() if "cold" in timing.caches else None
        bound = self._make_bench().bind_stages(self._draws[0])
        bench = StageBench(self.machine, self._device, self._case, flush, self.effort)
        taken = (observe_stage(self.choice, partial(bench.measure, each, timing)) for each in bound)
        return [each for stage in taken for each in stage]

    def _lay_out(self, cache: Cache) -> Bay:
        benches = [self._make_bench() for _ in range(self._count_sets(cache))]
        calls = [bench.prepare(self._draws[0], poison=0) for bench in benches]
        flush = self._prepare_flush() if cache == "cold" else None
        work = Work(lambda n: calls[n % len(calls)](), len(calls), flush.flush if flush else None)
        return Bay(benches, work, flush.probe_us if flush else {})

    def _prepare_flush(self) -> ProbedFlush:
        machine = cast(Hashable, self.machine)
        return prepare_flush(machine, self._device, CACHES * self.machine.cache_bytes)

    def open(self, timer: Timer, cache: Cache) -> Opened:
        """Lay out and warm up what a timer samples; raises `RefusedError`."""
        if timer == "graph" and self._uncapturable:
            raise RefusedError(self._uncapturable)
        if cache not in self._bays:
            self._bays[cache] = self._lay_out(cache)
        bay = self._bays[cache]
        try:
            sampler = make_sampler(timer, self.machine, bay.work, self.effort)
        except RefusedError as error:
            if timer == "graph":
                self._uncapturable = str(error)
            raise
        return Opened(bay, sampler, SpotChecks(self.effort, bay.benches))

    def close(
        self, timer: Timer, cache: Cache, opened: Opened, samples_us: list[float], beside: Beside
    ) -> Measurement:
        """Judge what was timed, and the record of it."""
        sampled = opened.sampler.finish(samples_us)
        self.after.check_spots(f"{timer} {cache}", opened.spots)
        self._check(f"{timer} {cache}", sampled, opened.bay)
        return make_measurement(
            timer, cache, sampled, beside.floors, beside.clocks, opened.bay.flush_probe_us,
            telemetry=beside.telemetry,
        )  # fmt: skip

    def inspect(self) -> CallInspection | None:
        """What a call does on the device; None without a GPU.  Raises `UnseenError`."""
        if not can_stream(self._device):
            return None
        call = self._make_bench().prepare(self._draws[0], poison=0)
        call()
        return inspect_call(cast(Gpu, self.machine), call, make_marker(self._device))

    def measure_floors(self, timer: Timer, cache: Cache) -> dict[str, Floor]:
        """The floors in the cache state of what was opened before."""
        work = self._bays[cache].work
        return self._floors.measure(timer, work.sets, work.flush, self.effort)

    def read_clock(self) -> float:
        """MHz under load, 0 where it cannot be read."""
        return self.machine.clock_mhz() if isinstance(self.machine, Gpu) else 0.0

    def _check(self, label: str, sampled: Sampled, bay: Bay) -> None:
        replay = sampled.replay

        def again() -> Any:
            if replay is None:
                return bay.work.call(0)
            replay()
            self.machine.synchronize()
            return sampled.returned[-1]

        last = 0 if replay is None else (sampled.calls - 1) % len(bay.benches)
        self.after.check(label, sampled.returned[-1], again, bay.benches[last])

    def _count_sets(self, cache: Cache) -> int:
        """Inputs to rotate through: enough to overrun the caches, or one for every call."""
        if cache == "warm":
            return 1
        enough = math.ceil(CACHES * self.machine.cache_bytes / self._footprint) + 1
        return min(enough, MOST_SETS)


def measure_in_turns(stands: Sequence[Stand], timing: Timing) -> list[list[Measurement]]:
    """For each timer and cache state, in the order asked for, a measurement a stand; they take
    turns, and share floors, clocks and telemetry."""
    asked = list(itertools.product(timing.timers, timing.caches))
    # Behind a capture that failed a process is suspect, so graphs are the last.
    order = sorted(asked, key=lambda each: each[0] == "graph")
    found = {(timer, cache): _measure_together(stands, timer, cache) for timer, cache in order}
    return [found[each] for each in asked]


def _measure_together(stands: Sequence[Stand], timer: Timer, cache: Cache) -> list[Measurement]:
    found: dict[int, Measurement] = {}
    opened: dict[int, Opened] = {}
    clock = stands[0].read_clock()
    for number, stand in enumerate(stands):
        try:
            opened[number] = stand.open(timer, cache)
        except RefusedError as error:
            found[number] = refuse_measurement(timer, cache, str(error))
    if opened:
        found |= _sample_together(stands, opened, timer, cache, clock)
    return [found[number] for number in range(len(stands))]


def _sample_together(
    stands: Sequence[Stand], opened: Mapping[int, Opened], timer: Timer, cache: Cache, clock: float
) -> dict[int, Measurement]:
    first = stands[next(iter(opened))]

    def take(look: Look | None) -> list[list[float]]:
        spots = pause_in([each.spots for each in opened.values()], look)
        samplers = [each.sampler for each in opened.values()]
        return take_turns(samplers, first.machine, first.effort, spots)

    taken, telemetry = observe_samples(first.choice, take)
    floors = first.measure_floors(timer, cache)
    clocks = {"before": clock, "after": first.read_clock()} if clock else {}
    beside = Beside(floors, clocks, telemetry)
    return {
        number: stands[number].close(timer, cache, opened[number], samples, beside)
        for number, samples in zip(opened, taken, strict=True)
    }
