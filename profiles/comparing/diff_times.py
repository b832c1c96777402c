"""Times of two runs against each other: the noise that their artifacts show, and a word for each.

The rule.  The ratio new / base comes with an interval over processes (`statistics.estimate_ratio`).
It is SLOWER or FASTER where the whole interval lies beyond the margin, SAME where it lies within
`MARGIN`, else AMBIGUOUS.  The margin is `MARGIN`, or the noise where that is more: the larger of

- how far the processes of these two measurements stray from each other, and
- the 90th percentile of how far those of other measurements in both artifacts do, by the same timer
  in the same cache state, of calls that take a quarter to four times as long: by luck the few
  processes of one measurement lie closer together than the next ones would.

A measurement of one process shows nothing of its own noise, and its interval is that of its samples
alone; it is widened by the noise of the others.  Where no measurement has several processes, what
the empty launch strays by within a run stands for it, and at least `ASSUMED_NOISE`.

Where a floor went the same way, and the ratio to it stays within the margin, the machine changed
rather than the kernel: AMBIGUOUS.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rocmoe.profiles.artifact import Artifact, Cache, Measurement, Result, Timer
from rocmoe.profiles.bench_report import format_us
from rocmoe.profiles.measuring.measurement import find_fault
from rocmoe.profiles.measuring.statistics import (
    MARGIN,
    Groups,
    Interval,
    Verdict,
    estimate_ratio,
    find_median,
    find_spread,
    has_times,
    judge_ratio,
)

#: What measurements of one process are taken to stray by, where nothing tells: of the empty
#: launches in docs/artifacts/bench-h100-*.json (100 of each timer, on one machine within four
#: minutes) 90 % lie this close to the median of their run.  The profiler's are closer, but an
#: empty launch is one tick of its clock; `events` are as those of `graph`.
ASSUMED_NOISE: Mapping[Timer, float] = {"graph": 0.03, "events": 0.03, "kernel": 0.03, "wall": 0.5}
#: The share of spreads that the noise covers.
NOISE_PERCENT = 90.0
#: Calls whose times differ by no more than this factor are as noisy as each other: what a launch or
#: an event adds weighs more on a short call.
ALIKE = 4.0
#: Empty launches of one run that say how far they stray.
LEAST_REPEATS = 5

State = tuple[Timer, Cache]
Key = tuple[Timer, Cache, str]


@dataclass(frozen=True)
class TimeVerdict:
    """What two measurements say: the word, the ratio new / base, the margin, and why not more."""

    word: Verdict
    ratio: Interval
    margin: float
    note: str = ""


@dataclass(frozen=True)
class Noise:
    """What two artifacts show of noise, as shares, by timer and cache state.

    spreads: a median in microseconds and a spread, for each measurement of several processes.
    repeats: distances of empty launches from the median of their run.
    """

    spreads: Mapping[State, Sequence[tuple[float, float]]]
    repeats: Mapping[State, Sequence[float]]

    def estimate(self, base: Measurement, new: Measurement) -> tuple[float, bool]:
        """The noise of a pair, and whether measurements of several processes show it."""
        state = (base.timer, base.cache)
        own = [_find_stray(each.samples_us) for each in (base, new)]
        if known := self.spreads.get(state):
            center = math.sqrt(_find_us(base.samples_us) * _find_us(new.samples_us))
            alike = [spread for us, spread in known if 1.0 / ALIKE <= us / center <= ALIKE]
            others = alike or [spread for _, spread in known]
            return max(*own, float(np.percentile(others, NOISE_PERCENT))), True
        repeats = self.repeats.get(state)
        seen = float(np.percentile(repeats, NOISE_PERCENT)) if repeats else 0.0
        return max(ASSUMED_NOISE[base.timer], seen), False


def learn_noise(artifacts: Iterable[Artifact]) -> Noise:
    """The noise that all measurements in some artifacts show."""
    spreads: dict[State, list[tuple[float, float]]] = {}
    repeats: dict[State, list[float]] = {}
    for artifact in artifacts:
        taken = [each for result in artifact.results for each in result.measurements or ()]
        empty: dict[State, list[float]] = {}
        for each in (each for each in taken if find_fault(each) is None):
            state = (each.timer, each.cache)
            if _count_processes(each) > 1:
                told = (_find_us(each.samples_us), _find_stray(each.samples_us))
                spreads.setdefault(state, []).append(told)
            if "empty" in each.floors and has_times(samples := each.floors["empty"].samples_us):
                empty.setdefault(state, []).append(_find_us(samples))
        for state, medians in empty.items():
            if len(medians) >= LEAST_REPEATS:
                away = np.abs(np.asarray(medians) / np.median(medians) - 1.0)
                repeats.setdefault(state, []).extend(away.tolist())
    return Noise(spreads, repeats)


def match_measurements(
    base: Result, new: Result
) -> list[tuple[Key, Measurement | None, Measurement | None]]:
    """The measurements of two results by timer, cache state and stage, whatever they are worth."""
    mine, theirs = (
        {(each.timer, each.cache, each.stage): each for each in result.measurements or ()}
        for result in (new, base)
    )
    return [(key, theirs.get(key), mine.get(key)) for key in dict.fromkeys([*theirs, *mine])]


def find_obstacle(base: Measurement | None, new: Measurement | None) -> str | None:
    """Why two measurements cannot be compared; None where they can."""
    for name, each in (("base", base), ("new", new)):
        fault = "not measured" if each is None else find_fault(each)
        if fault:
            return f"{fault} in {name}"
    return None


def judge_times(base: Measurement, new: Measurement, noise: Noise) -> TimeVerdict:
    """The word for two measurements that `find_obstacle` has nothing against."""
    if base.samples_us == new.samples_us:
        return TimeVerdict("SAME", Interval(1.0, 1.0, 1.0), MARGIN, "the same samples")
    strays, shown = noise.estimate(base, new)
    margin = max(MARGIN, strays)
    ratio = estimate_ratio(new.samples_us, base.samples_us)
    processes = [_count_processes(each) for each in (base, new)]
    if min(processes) == 1:
        ratio = _widen(ratio, strays * math.sqrt(sum(1.0 / count for count in processes)))
    word = judge_ratio(ratio, margin)
    if word in ("SLOWER", "FASTER"):
        moved = _find_moved_floor(base, new, ratio, margin, word)
        return TimeVerdict("AMBIGUOUS" if moved else word, ratio, margin, moved or "")
    if judge_ratio(ratio) == "SAME":
        return TimeVerdict("SAME", ratio, margin)
    return TimeVerdict("AMBIGUOUS", ratio, margin, _tell_noise(strays, shown, min(processes)))


def _find_moved_floor(
    base: Measurement, new: Measurement, ratio: Interval, margin: float, word: Verdict
) -> str | None:
    """What moved a floor the same way, so far that the ratio to it says nothing any more."""
    for name in (name for name in base.floors if name in new.floors):
        before, after = (each.floors[name].samples_us for each in (base, new))
        if not (has_times(before) and has_times(after)):
            continue
        moved = estimate_ratio(after, before)
        least = Interval(*(bound / moved.value for bound in (ratio.value, ratio.low, ratio.high)))
        if judge_ratio(moved) == word and judge_ratio(least, margin) != word:
            told = [format_us(_find_us(groups)) for groups in (before, after)]
            return f"the {name} floor went from {told[0]} to {told[1]} us too: the machine changed"
    return None


def _tell_noise(strays: float, shown: bool, processes: int) -> str:
    words = f"processes stray by {strays:.1%}"
    if processes > 1:
        return words
    return f"a single process; {words if shown else f'{strays:.0%} of noise assumed'}"


def _widen(ratio: Interval, share: float) -> Interval:
    low, high = ratio.value / (1.0 + share), ratio.value * (1.0 + share)
    return Interval(ratio.value, min(ratio.low, low), max(ratio.high, high))


def _find_stray(groups: Groups) -> float:
    """`find_spread`; of two processes their whole distance, as their median lies between them."""
    return find_spread(groups) * (2.0 if sum(map(bool, groups)) == 2 else 1.0)


def _count_processes(measurement: Measurement) -> int:
    return sum(map(bool, measurement.samples_us))


def _find_us(groups: Groups) -> float:
    """The median, of samples that are there."""
    median = find_median(groups)
    assert median is not None
    return median
