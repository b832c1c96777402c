"""What samples of several processes amount to: medians, intervals, ratios, and words for them.

Samples come in groups, one a process.  What a process adds of its own (where its memory lies, how
its clocks stand) is shared by all its samples, so that intervals resample processes first and the
samples of each then; an interval of one process knows nothing of others, and is too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: Resamples of a bootstrap, and the share of them that an interval holds.
RESAMPLES = 1000
CONFIDENCE = 0.95
#: Differences below this are not told apart: what two runs of one kernel differ by when nothing
#: changed (docs/measuring.md), and what compilers and drivers change by accident.
MARGIN = 0.02

Verdict = Literal["FASTER", "SLOWER", "SAME", "AMBIGUOUS"]
#: Microseconds, a list a process.
Groups = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Interval:
    """An estimate, and the bounds that hold it with `CONFIDENCE`."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval as a share of the value."""
        return (self.high - self.low) / (2.0 * self.value) if self.value else 0.0


def find_median(groups: Groups) -> float | None:
    """The median of the processes' medians; None where there is no sample."""
    medians = [float(np.median(group)) for group in groups if len(group)]
    return float(np.median(medians)) if medians else None


def find_percentile(groups: Groups, percent: float) -> float | None:
    """A percentile of all samples together; None where there is no sample."""
    pooled = [us for group in groups for us in group]
    return float(np.percentile(pooled, percent)) if pooled else None


def has_times(groups: Groups) -> bool:
    """Whether there are samples, and none of no time: only of such is there a ratio."""
    pooled = [us for group in groups for us in group]
    return bool(pooled) and min(pooled) > 0.0


def estimate_median(groups: Groups) -> Interval:
    """The median of the processes' medians, by a bootstrap; there must be a sample.

    The same samples give the same interval.
    """
    filled = [group for group in groups if len(group)]
    value = find_median(filled)
    assert value is not None
    return _bound(value, _resample(filled, _make_rng()))


def estimate_ratio(mine: Groups, base: Groups, *, paired: bool = False) -> Interval:
    """How many times as long as `base` a call takes, by a bootstrap of both.

    paired: the n-th group of both is of one process, in which they took turns: what that process
    adds then falls out of the ratio.  Each needs a sample.
    """
    if paired:
        return _estimate_paired_ratio(mine, base)
    mine, base = [group for group in mine if len(group)], [group for group in base if len(group)]
    over, under = find_median(mine), find_median(base)
    assert over is not None
    assert under is not None
    rng = _make_rng()
    return _bound(over / under, _resample(mine, rng) / _resample(base, rng))


def _estimate_paired_ratio(mine: Groups, base: Groups) -> Interval:
    """The median over the processes of their own ratios of medians."""
    pairs = [(m, b) for m, b in zip(mine, base, strict=True) if len(m) and len(b)]
    ratios = [float(np.median(over) / np.median(under)) for over, under in pairs]
    rng = _make_rng()
    processes = _draw_processes(len(pairs), rng)
    drawn = np.empty(processes.shape)
    for number, (over, under) in enumerate(pairs):
        slots = processes == number
        count = int(slots.sum())
        drawn[slots] = _draw_medians(over, count, rng) / _draw_medians(under, count, rng)
    return _bound(float(np.median(ratios)), np.median(drawn, axis=1))


def judge_ratio(ratio: Interval, margin: float = MARGIN) -> Verdict:
    """What a ratio of times says: its whole interval has to lie beyond, or within, the margin."""
    if ratio.low > 1.0 + margin:
        return "SLOWER"
    if ratio.high < 1.0 / (1.0 + margin):
        return "FASTER"
    if ratio.low >= 1.0 / (1.0 + margin) and ratio.high <= 1.0 + margin:
        return "SAME"
    return "AMBIGUOUS"


def find_spread(groups: Groups) -> float:
    """How far processes stray from each other: the largest distance of a process's median from the
    median of them all, as a share of it; 0 where there is one process."""
    middle = find_median(groups)
    medians = [float(np.median(group)) for group in groups if len(group)]
    return max(abs(each / middle - 1.0) for each in medians) if middle else 0.0


def _make_rng() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(0))


def _draw_processes(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(0, count, (RESAMPLES, count))


def _draw_medians(
    group: Sequence[float], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Medians of so many resamples of one process's samples."""
    values = np.asarray(group, dtype=np.float64)
    drawn = values[rng.integers(0, len(values), (count, len(values)))]
    medians: NDArray[np.float64] = np.median(drawn, axis=1)
    return medians


def _resample(groups: Groups, rng: np.random.Generator) -> NDArray[np.float64]:
    """Medians over the processes of `RESAMPLES` resamples of them and of their samples."""
    processes = _draw_processes(len(groups), rng)
    medians = np.empty(processes.shape)
    for number, group in enumerate(groups):
        mine = processes == number
        medians[mine] = _draw_medians(group, int(mine.sum()), rng)
    drawn: NDArray[np.float64] = np.median(medians, axis=1)
    return drawn


def _bound(value: float, drawn: NDArray[np.float64]) -> Interval:
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(drawn, [tail, 100.0 - tail])
    return Interval(value, float(low), float(high))
