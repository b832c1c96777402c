"""What samples amount to: statistics, the status of a measurement, its ratio to the floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rocmoe.profiles.artifact import Cache, Floor, Measurement, MeasurementStatus, Timer
from rocmoe.profiles.timers import DEVICE_TIMERS, Sampled

#: Resamples of a bootstrap, and the share of them that an interval holds.
RESAMPLES = 1000
CONFIDENCE = 0.95
#: A clock that is below this share of what it was before has been throttled: NVBench discards
#: samples taken below three quarters of the usual clock (its throttle threshold).
THROTTLED_SHARE = 0.75


@dataclass(frozen=True)
class Summary:
    """Statistics of samples, in their unit; low and high: of the median, by a bootstrap."""

    median: float
    p10: float
    p90: float
    low: float
    high: float


def summarize_samples(samples: Sequence[float]) -> Summary:
    """The same samples give the same summary; there must be at least one."""
    values = np.asarray(samples, dtype=np.float64)
    rng = np.random.Generator(np.random.PCG64(0))
    drawn = values[rng.integers(0, len(values), (RESAMPLES, len(values)))]
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(np.median(drawn, axis=1), [tail, 100.0 - tail])
    p10, median, p90 = np.percentile(values, [10.0, 50.0, 90.0])
    return Summary(float(median), float(p10), float(p90), float(low), float(high))


def find_median(samples: Sequence[float]) -> float | None:
    """The median, None of nothing."""
    return float(np.median(samples)) if len(samples) else None


def find_ratio(measurement: Measurement, floor: str = "stream") -> float | None:
    """How many times as long as a floor a call takes, None where either is not known."""
    if floor not in measurement.floors:
        return None
    mine = find_median(measurement.samples_us)
    least = find_median(measurement.floors[floor].samples_us)
    return mine / least if mine is not None and least else None


def make_measurement(
    timer: Timer,
    cache: Cache,
    sampled: Sampled,
    floors: Mapping[str, Floor],
    clocks: Mapping[str, float],
) -> Measurement:
    """The record of some samples, with what they are worth."""
    status, reason = judge_samples(timer, cache, sampled.samples_us, floors, clocks)
    return Measurement(
        timer, cache, status, sampled.samples_us, sampled.calls, {**floors}, {**clocks}, reason
    )


def judge_samples(
    timer: Timer,
    cache: Cache,
    samples: Sequence[float],
    floors: Mapping[str, Floor],
    clocks: Mapping[str, float],
) -> tuple[MeasurementStatus, str | None]:
    """The status of samples, and why it is not ok.

    Invalid is what no work of these bytes can be: a median whose interval ends below that of a
    floor.  By the wall timer the host's share decides, which may differ, so nothing is invalid.
    """
    if timer in DEVICE_TIMERS:
        mine = summarize_samples(samples)
        for name, floor in floors.items():
            least = summarize_samples(floor.samples_us)
            if mine.high < least.low:
                words = f"{mine.median:.3g} us is faster than the {name} floor, {least.median:.3g}"
                return "invalid", words
    before, after = clocks.get("before", 0.0), clocks.get("after", 0.0)
    if after < THROTTLED_SHARE * before:
        return "throttled", f"the clock fell from {before:.0f} to {after:.0f} MHz"
    if cache == "cold":
        return "unverified", "no probe has shown that the flush empties the caches"
    return "ok", None


def refuse_measurement(timer: Timer, cache: Cache, reason: str) -> Measurement:
    """The record of what could not be timed."""
    return Measurement(timer, cache, "refused", [], 0, reason=reason)
