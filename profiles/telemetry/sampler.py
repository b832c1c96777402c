"""Readings around work: before it, in its pauses, and after it.

All are taken in the thread that works, and never while something is timed: a thread that read
beside it would hold Python's lock now and then, which makes a sample late.  So the work says when
nothing is timed, by calling what it is given.  A program as a source would keep a core and the
driver busy, and is read before and after only; of what is between, only what its counters added up
is known.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from rocmoe.profiles.telemetry.choice import Choice
from rocmoe.profiles.telemetry.reading import ReadError, Reading, Telemetry

T = TypeVar("T")
#: What work calls in its pauses.
Look = Callable[[], None]

#: Between readings: several fit a measurement, which takes some tens of ms.
PERIOD_S = 0.02
#: More readings than these are thinned out, and are taken half as often from then on.
MOST_READINGS = 4
#: Readings take at most one part in so many of the time.
PARTS = 20.0


def sample_around(
    choice: Choice, work: Callable[[Look], T], now_s: Callable[[], float] = time.monotonic
) -> tuple[T, Telemetry]:
    """What the work returns, and the GPU around it; what it raises is let through.

    work: given what it may call wherever it times nothing, as often as it likes: a reading is taken
    where one is due.  A reading that fails is missing, with the reason, and is the last one.
    """
    sampler = _Sampler(choice, now_s)
    before = sampler.read()
    returned = work(sampler.look)
    after = sampler.read()
    return returned, Telemetry(before, sampler.during, after, sampler.reason)


class _Sampler:
    """Reads until a reading fails."""

    def __init__(self, choice: Choice, now_s: Callable[[], float]) -> None:
        self._choice, self._now_s = choice, now_s
        self._period_s, self._due_s = PERIOD_S, math.inf
        self.during: list[Reading] = []
        self.reason: str | None = None

    def read(self) -> Reading | None:
        """None where a reading has failed."""
        if self.reason is not None:
            return None
        start = self._now_s()
        try:
            reading = self._choice.read()
        except ReadError as error:
            self.reason, self._due_s = str(error), math.inf
            return None
        if self._choice.in_process:
            end = self._now_s()
            self._due_s = end + max(self._period_s, PARTS * (end - start))
        return reading

    def look(self) -> None:
        """Read, if that is due."""
        if self._now_s() < self._due_s:
            return
        reading = self.read()
        if reading is None:
            return
        self.during.append(reading)
        if len(self.during) > MOST_READINGS:
            del self.during[1::2]
            self._period_s *= 2.0
