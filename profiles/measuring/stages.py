"""Times of the stages of a pipeline, each on what those before it gave."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.pipeline import BoundStage
from rocmoe.profiles.artifact import Cache, Measurement, Timer
from rocmoe.profiles.job import Timing
from rocmoe.profiles.measuring.floors import Floors
from rocmoe.profiles.measuring.flush import ProbedFlush
from rocmoe.profiles.measuring.machine import Machine
from rocmoe.profiles.measuring.measurement import make_measurement, refuse_measurement
from rocmoe.profiles.measuring.timers import Effort, RefusedError, Work, take_samples


@dataclass(frozen=True)
class StageBench:
    """What all stages are timed with.  Their answers are not judged: those of the whole are."""

    machine: Machine
    device: Device
    case: Case
    flush: ProbedFlush | None
    effort: Effort

    def measure(self, bound: BoundStage, timing: Timing) -> list[Measurement]:
        """A measurement of one stage a timer and cache state, graphs last."""
        floors = Floors(self.machine, self.device, bound.stage.cost(self.case))
        asked = itertools.product(timing.timers, timing.caches)
        order = sorted(asked, key=lambda each: each[0] == "graph")
        return [self._measure(bound, floors, timer, cache) for timer, cache in order]

    def _measure(
        self, bound: BoundStage, floors: Floors, timer: Timer, cache: Cache
    ) -> Measurement:
        name = bound.stage.name
        flush = self.flush if cache == "cold" else None
        work = Work(_ignore_number(bound), 1, flush.flush if flush else None)
        try:
            if timer == "graph" and bound.stage.host_reads:
                raise RefusedError(f"it reads {bound.stage.host_reads}")
            sampled = take_samples(timer, self.machine, work, self.effort)
            beside = floors.measure(timer, work.sets, work.flush, self.effort)
        except RefusedError as error:
            return refuse_measurement(timer, cache, str(error), name)
        probe_us = flush.probe_us if flush else None
        return make_measurement(timer, cache, sampled, beside, {}, probe_us, name)


def _ignore_number(bound: BoundStage) -> Any:
    return lambda number: bound.call()
