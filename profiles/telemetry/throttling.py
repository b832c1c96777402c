"""Whether a GPU was held back while work ran, by its telemetry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from rocmoe.profiles.telemetry.reading import Reading, Telemetry

#: A clock that is below this share of what it was before has been throttled: NVBench discards
#: samples taken below three quarters of the usual clock (its throttle threshold).
THROTTLED_SHARE = 0.75
#: A GPU that is used less may have slowed down since there was nothing to do.
BUSY_PERCENT = 50.0
#: NVML's reasons for a low clock that no work was held back by.
HARMLESS = frozenset({"gpu_idle", "applications_clocks_setting", "display_clock_setting"})


def find_throttling(telemetry: Telemetry) -> str | None:
    """Why the GPU was held back during the work, with the numbers, in one line; None if it was not.

    Counters: that grew from before to after.  Percentages, where a cause has no counter, and
    reasons: of readings during the work, or of the one after it where there is none.  Clock: during
    the work, busy, below three quarters of what it was before in the work.  Clocks before and after
    it are those of an idle GPU and show nothing.
    """
    found = [
        *_find_growth(telemetry.before, telemetry.after),
        *_find_percents(telemetry),
        *_find_reasons(_at_work(telemetry)),
        *_find_fall(telemetry.during),
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
    took_ms = (after.taken_s - before.taken_s) * 1e3
    for cause, ns in _grow(before.violation_ns, after.violation_ns).items():
        yield f"{cause} limited the clock for {ns / 1e6:.3g} of {took_ms:.3g} ms"


def _grow(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """By how much counters grew; one that fell was reset or ran over, and tells nothing."""
    grown = {cause: _subtract(before.get(cause), count) for cause, count in after.items()}
    return {cause: by for cause, by in grown.items() if by is not None and by > 0}


def _subtract(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _find_percents(telemetry: Telemetry) -> Iterator[str]:
    before, after = telemetry.before, telemetry.after
    counted = (
        set(before.violation_counts) & set(after.violation_counts) if before and after else set()
    )
    highest: dict[str, float] = {}
    for reading in _at_work(telemetry):
        for cause, percent in reading.violation_percents.items():
            highest[cause] = max(percent, highest.get(cause, 0.0))
    for cause, percent in highest.items():
        if percent > 0.0 and cause not in counted:
            yield f"{cause} limited the clock for {percent:.3g} % of the time"


def _find_reasons(readings: list[Reading]) -> Iterator[str]:
    words = (word for reading in readings for word in reading.throttle_reasons or ())
    for word, times in Counter(word for word in words if word not in HARMLESS).items():
        yield f"{word} in {times} of {len(readings)} readings"


def _find_fall(readings: list[Reading]) -> Iterator[str]:
    """The deepest fall of the clock below what it was earlier in the work."""
    highest, falls = 0.0, []
    for reading in readings:
        clock, busy = reading.gfx_clock_mhz, reading.utilization_percent
        if clock is None or busy is None or busy < BUSY_PERCENT:
            continue
        highest = max(highest, clock)
        if clock < THROTTLED_SHARE * highest:
            falls.append((clock / highest, highest, clock, busy))
    if falls:
        _, high, low, busy = min(falls)
        yield f"the clock fell from {high:.0f} to {low:.0f} MHz at {busy:.0f} % utilization"
