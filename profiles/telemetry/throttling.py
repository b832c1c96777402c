"""Whether a GPU was held back while work ran, by its telemetry.

The rule, and why it is this one: docs/measuring.md, "Telemetry".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from rocmoe.profiles.telemetry.reading import Reading, Telemetry

#: NVIDIA's counters of time: up to this share the samples that were slowed move no median.
HELD_SHARE = 0.1
#: They were seen to grow in steps of this, so that a shorter work can be given a whole one.
STEP_S = 0.1
#: A reason counts if more than this share of the readings tell it.
TELLING_SHARE = 0.5
#: NVML's reasons for a low clock that no work was held back by: nothing to do, and settings.
HARMLESS = frozenset({"gpu_idle", "applications_clocks_setting", "display_clock_setting"})
#: Reasons that say no more than a counter of time does, by the counter: it knows for how long.
COUNTED = {"sw_power_cap": "power"}


def find_throttling(telemetry: Telemetry) -> str | None:
    """Why the GPU was held back during the work, with the numbers, in one line; None if it was not.

    Counts of violations: that grew from before to after.  Counters of time: that grew by more than
    a tenth of it.  Percentages, where a cause has no counter: over zero, and reasons: in most of
    the readings, each of readings in the work, or of the one after it where there is none.  Clocks
    of readings are those of a GPU that pauses, and show nothing.
    """
    found = [
        *_find_growth(telemetry.before, telemetry.after),
        *_find_percents(telemetry),
        *_find_reasons(telemetry),
    ]
    return "; ".join(found) or None


def _at_work(telemetry: Telemetry) -> list[Reading]:
    """The readings that are nearest to the work."""
    return telemetry.during or ([telemetry.after] if telemetry.after else [])


def _find_growth(before: Reading | None, after: Reading | None) -> Iterator[str]:
    if before is None or after is None:
        return
    looks = _subtract(before.violation_samples, after.violation_samples)
    for cause, count in _grow(before.violation_counts, after.violation_counts).items():
        share = f" of {looks} samples ({count / looks:.1%})" if looks else " samples"
        yield f"{cause} limited the clock in {count}{share}"
    took_s = max(after.taken_s - before.taken_s, STEP_S)
    for cause, ns in _grow(before.violation_ns, after.violation_ns).items():
        if ns * 1e-9 > HELD_SHARE * took_s:
            yield f"{cause} limited the clock for {ns * 1e-6:.3g} of {took_s * 1e3:.3g} ms"


def _grow(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """By how much counters grew; one that fell was reset or ran over, and tells nothing."""
    grown = {cause: _subtract(before.get(cause), count) for cause, count in after.items()}
    return {cause: by for cause, by in grown.items() if by is not None and by > 0}


def _subtract(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _find_percents(telemetry: Telemetry) -> Iterator[str]:
    counted = _list_counted(telemetry, "violation_counts")
    highest: dict[str, float] = {}
    for reading in _at_work(telemetry):
        for cause, percent in reading.violation_percents.items():
            highest[cause] = max(percent, highest.get(cause, 0.0))
    for cause, percent in highest.items():
        if percent > 0.0 and cause not in counted:
            yield f"{cause} limited the clock for {percent:.3g} % of the time"


def _find_reasons(telemetry: Telemetry) -> Iterator[str]:
    readings = _at_work(telemetry)
    timed = _list_counted(telemetry, "violation_ns")
    words = (word for reading in readings for word in reading.throttle_reasons or ())
    for word, times in Counter(words).items():
        counts = word not in HARMLESS and COUNTED.get(word) not in timed
        if counts and times > TELLING_SHARE * len(readings):
            yield f"{word} in {times} of {len(readings)} readings"


def _list_counted(telemetry: Telemetry, counters: str) -> set[str]:
    """The causes whose counter is known from before to after."""
    before, after = telemetry.before, telemetry.after
    if before is None or after is None:
        return set()
    return set(getattr(before, counters)) & set(getattr(after, counters))
