"""Which implementation is faster: ratios of samples that were taken in turns, and words for them.

All of it is derived from the samples in an artifact, and holds for artifacts of `rocmoe compare`
alone: elsewhere implementations were timed one after another, and share nothing that could cancel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rocmoe.profiles.artifact import Artifact, Cache, CaseRecord, Measurement, Result, Timer
from rocmoe.profiles.measuring.measurement import find_fault
from rocmoe.profiles.measuring.statistics import (
    Interval,
    Verdict,
    estimate_ratio,
    find_median,
    judge_ratio,
)
from rocmoe.profiles.measuring.timers import TIMERS
from rocmoe.profiles.simulation import UNITS


@dataclass(frozen=True)
class Comparison:
    """How long a result takes, as a ratio to `base`, by a timer in a cache state."""

    base: Result
    result: Result
    timer: Timer
    cache: Cache
    ratio: Interval
    verdict: Verdict


@dataclass(frozen=True)
class Winner:
    """Who is fastest on cases of one op that differ in tokens alone, from the first to the last.

    selectors: several where they are not told apart.
    """

    cases: tuple[CaseRecord, ...]
    selectors: tuple[str, ...]


def list_comparisons(artifact: Artifact) -> list[Comparison]:
    """Every implementation against the first that was timed on its case."""
    return [each for results in _group_by_case(artifact) for each in compare_results(results)]


def compare_results(results: Sequence[Result]) -> list[Comparison]:
    """Results on one case against the first of them that was timed."""
    timed = [result for result in results if result.status == "pass" and result.measurements]
    return [each for result in timed[1:] for each in compare_pair(timed[0], result)]


def compare_pair(base: Result, result: Result) -> Iterator[Comparison]:
    """By every timer and cache state in which both were timed."""
    known = {_key(each): each for each in base.measurements or () if find_fault(each) is None}
    for mine in result.measurements or ():
        theirs = known.get(_key(mine))
        if theirs is not None and find_fault(mine) is None:
            ratio = estimate_ratio(mine.samples_us, theirs.samples_us, paired=True)
            yield Comparison(base, result, mine.timer, mine.cache, ratio, judge_ratio(ratio))


def _key(measurement: Measurement) -> tuple[Timer, Cache, str]:
    return measurement.timer, measurement.cache, measurement.stage


def find_winners(artifact: Artifact) -> list[Winner]:
    """Who is fastest over the tokens of each op, by the first timer that was used, warm if it was;
    neighbours with the same winners are one."""
    found = [(results[0].case, _find_fastest(results)) for results in _group_by_case(artifact)]
    found = [(case, names) for case, names in found if names]
    found.sort(key=lambda each: (_describe_others(each[0]), count_tokens(each[0])))
    return [
        Winner(tuple(case for case, _ in group), names)
        for (_, names), group in (
            (key, [*members])
            for key, members in groupby(found, lambda each: (_describe_others(each[0]), each[1]))
        )
    ]


def count_tokens(case: CaseRecord) -> int:
    """The size of a case that counts tokens, or rows."""
    return next(case.sizes[name] for name in UNITS if name in case.sizes)


def _describe_others(case: CaseRecord) -> tuple[str, ...]:
    """All of a case but its tokens."""
    sizes = [f"{name}={size}" for name, size in case.sizes.items() if name not in UNITS]
    params = [f"{name}={value}" for name, value in case.params.items()]
    return (case.op, *sizes, case.dtype, *params, case.pattern, case.layout)


def _find_fastest(results: Sequence[Result]) -> tuple[str, ...]:
    """Those that nobody is faster than, the one with the least median first."""
    timed = [result for result in results if result.status == "pass" and result.measurements]
    keyed = {result.selector: _choose_measurement(result) for result in timed}
    medians = {
        name: median
        for name, each in keyed.items()
        if each is not None and (median := find_median(each.samples_us)) is not None
    }
    if not medians:
        return ()
    best = min(medians, key=lambda name: medians[name])
    least = keyed[best]
    assert least is not None
    return (best, *(
        name for name in medians
        if name != best and (other := keyed[name]) is not None
        and judge_ratio(estimate_ratio(other.samples_us, least.samples_us, paired=True)) != "SLOWER"
    ))  # fmt: skip


def _choose_measurement(result: Result) -> Measurement | None:
    """By the first timer of `TIMERS`, warm rather than cold."""
    usable = [
        each for each in result.measurements or () if find_fault(each) is None and not each.stage
    ]
    ranked = sorted(usable, key=lambda each: (each.cache != "warm", TIMERS.index(each.timer)))
    return ranked[0] if ranked else None


def _group_by_case(artifact: Artifact) -> list[list[Result]]:
    """The results by case; the first backend that was asked for is the first of each."""
    groups: dict[str, list[Result]] = {}
    for result in artifact.results:
        groups.setdefault(result.case.id, []).append(result)
    order = {name: place for place, name in enumerate(artifact.request.backends)}
    for results in groups.values():
        results.sort(key=lambda result: order.get(result.selector, len(order)))
    return [*groups.values()]
