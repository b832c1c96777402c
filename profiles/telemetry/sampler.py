"""Readings around work: before it, while it runs, and after it.

While it runs a thread reads, if the source is a library or files in this process.  Calls of the
library are made without Python's lock, but the lines around them hold it: where the host is timed,
one sample in every `period_s` can be late by as long as they take.  A program as a source would
keep a core and the driver busy each time, so it is read before and after only; of what is between,
only what its counters added up is known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from rocmoe.profiles.telemetry.choice import Choice
from rocmoe.profiles.telemetry.reading import ReadError, Reading, Telemetry

T = TypeVar("T")

#: AMD's driver renews its figures no more often (amdsmi, docs/conceptual, "GPU violations").
PERIOD_S = 0.1
#: More readings than these are thinned out, and are taken half as often from then on.
MOST_READINGS = 64


def sample_around(
    choice: Choice, work: Callable[[], T], period_s: float = PERIOD_S
) -> tuple[T, Telemetry]:
    """What the work returns, and the GPU around it; what it raises is let through.

    A reading that fails is missing, with the reason; it never disturbs the work.
    """
    reasons: list[str] = []
    before = _try_reading(choice, reasons)
    in_process = before is not None and choice.source is not None and choice.source.in_process
    sampler = _Sampler(choice, period_s, reasons)
    if in_process:
        sampler.start()
    try:
        returned = work()
    finally:
        during = sampler.finish() if in_process else []
    after = None if before is None else _try_reading(choice, reasons)
    return returned, Telemetry(before, during, after, reasons[0] if reasons else None)


def _try_reading(choice: Choice, reasons: list[str]) -> Reading | None:
    try:
        return choice.read()
    except ReadError as error:
        reasons.append(str(error))
        return None


class _Sampler:
    """A thread that reads until it is told to finish, or a reading fails."""

    def __init__(self, choice: Choice, period_s: float, reasons: list[str]) -> None:
        self._choice = choice
        self._period_s = period_s
        self._reasons = reasons
        self._readings: list[Reading] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rocmoe-telemetry", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> list[Reading]:
        """The readings; waits for one that is being taken."""
        self._stop.set()
        self._thread.join()
        return self._readings

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            reading = _try_reading(self._choice, self._reasons)
            if reading is None:
                return
            self._readings.append(reading)
            if len(self._readings) > MOST_READINGS:
                del self._readings[1::2]
                self._period_s *= 2.0
