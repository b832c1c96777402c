"""What samples are worth: the status of a measurement, its ratio to the floors, several processes
of it as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

from rocmoe.profiles.artifact import Cache, Floor, Measurement, MeasurementStatus, Timer
from rocmoe.profiles.measuring.statistics import Groups, estimate_median, find_median, has_times
from rocmoe.profiles.measuring.timers import DEVICE_TIMERS, Sampled
from rocmoe.profiles.telemetry.reading import Telemetry
from rocmoe.profiles.telemetry.throttling import find_throttling

#: A clock that is below this share of what it was before has been throttled: NVBench discards
#: samples taken below three quarters of the usual clock (its throttle threshold).
THROTTLED_SHARE = 0.75
#: A floor is what one kernel took that only moves the bytes: the order in which another moves them
#: won 0.4 % on an H100 (qk_rmsnorm of 16384 tokens, docs/artifacts/bench-h100-qk.json).
FLOOR_MARGIN = 0.01
#: Memory behind a flush that works is read at least this share as slowly as memory that no cache
#: ever held.
FLUSHED_SHARE = 0.8
#: What a probe of a flush reads: memory that is cached, flushed, and never was in a cache.
PROBES = ("cached", "flushed", "memory")

Judged = tuple[MeasurementStatus, str | None]


def find_ratio(measurement: Measurement, floor: str = "stream") -> float | None:
    """How many times as long as a floor a call takes, None where either is not known."""
    if floor not in measurement.floors:
        return None
    mine = find_median(measurement.samples_us)
    least = find_median(measurement.floors[floor].samples_us)
    return mine / least if mine is not None and least else None


def find_fault(measurement: Measurement) -> str | None:
    """Why the samples of a measurement are held against nothing; None where they may be."""
    if measurement.status not in ("ok", "unverified"):
        reason = f" ({measurement.reason})" if measurement.reason else ""
        return f"{measurement.status}{reason}"
    return None if has_times(measurement.samples_us) else "no sample, or one of no time,"


def make_measurement(
    timer: Timer,
    cache: Cache,
    sampled: Sampled,
    floors: Mapping[str, Floor],
    clocks: Mapping[str, float],
    flush_probe_us: Mapping[str, float] | None = None,
    stage: str = "",
    telemetry: Sequence[Telemetry] = (),
) -> Measurement:
    """The record of what one process sampled, with what it is worth."""
    return judge_measurement(
        Measurement(
            timer, cache, "ok", [sampled.samples_us], [sampled.calls], {**floors},
            {name: [mhz] for name, mhz in clocks.items()}, stage=stage,
            flush_probe_us={name: [us] for name, us in (flush_probe_us or {}).items()},
            telemetry=[*telemetry],
        )
    )  # fmt: skip


def add_telemetry(measurement: Measurement, telemetry: Telemetry) -> Measurement:
    """The same measurement, judged by what the GPU told around it too; nothing is told of one that
    was refused."""
    if measurement.status == "refused":
        return measurement
    return judge_measurement(msgspec.structs.replace(measurement, telemetry=[telemetry]))


def judge_measurement(measurement: Measurement) -> Measurement:
    """The measurement with the status that its samples, floors, clocks, telemetry and probes come
    to."""
    status, reason = _judge(measurement)
    return _with_status(measurement, status, reason)


def invalidate(measurement: Measurement, reason: str) -> Measurement:
    """The same samples, not to be believed."""
    return _with_status(measurement, "invalid", reason)


def refuse_measurement(timer: Timer, cache: Cache, reason: str, stage: str = "") -> Measurement:
    """The record of what could not be timed."""
    return Measurement(timer, cache, "refused", [], [], reason=reason, stage=stage)


def merge_measurements(taken: Sequence[Measurement]) -> Measurement:
    """What several processes took by one timer in one cache state; there must be at least one.

    Refused where one was; invalid for a reason that samples do not show where one was; else judged
    anew, by all samples together.
    """
    if bad := next((each for each in taken if _is_beyond_samples(each)), None):
        return bad
    first = taken[0]
    merged = Measurement(
        first.timer, first.cache, "ok", _join(taken, "samples_us"), _join(taken, "calls"),
        {name: _merge_floors([each.floors[name] for each in taken]) for name in first.floors},
        _join_named([each.clocks for each in taken]), stage=first.stage,
        flush_probe_us=_join_named([each.flush_probe_us for each in taken]),
        telemetry=_join(taken, "telemetry"),
    )  # fmt: skip
    return judge_measurement(merged)


def _is_beyond_samples(measurement: Measurement) -> bool:
    """Whether a measurement is bad for a reason that its samples do not show."""
    invalid = measurement.status == "invalid" and _judge(measurement)[0] != "invalid"
    return measurement.status == "refused" or invalid


def _merge_floors(floors: Sequence[Floor]) -> Floor:
    first = floors[0]
    return Floor(
        _join(floors, "samples_us"), _join(floors, "calls"),
        first.variant, first.bytes_read, first.bytes_written,
    )  # fmt: skip


def _join(records: Sequence[object], name: str) -> list[Any]:
    return [each for record in records for each in getattr(record, name)]


def _join_named(records: Sequence[Mapping[str, list[float]]]) -> dict[str, list[float]]:
    return {name: [mhz for each in records for mhz in each[name]] for name in records[0]}


def _with_status(
    measurement: Measurement, status: MeasurementStatus, reason: str | None
) -> Measurement:
    return msgspec.structs.replace(measurement, status=status, reason=reason)


def _judge(measurement: Measurement) -> Judged:
    """What no work of these bytes can be is invalid; then a GPU that was held back; then cold
    samples behind a flush that nothing proves."""
    if measurement.timer in DEVICE_TIMERS:
        for name, floor in measurement.floors.items():
            if words := _compare_to_floor(measurement.samples_us, name, floor):
                return "invalid", words
    if words := _find_held_back(measurement):
        return "throttled", words
    if measurement.cache == "cold" and (reason := doubt_flush(measurement.flush_probe_us)):
        return "unverified", reason
    return "ok", None


def _find_held_back(measurement: Measurement) -> str | None:
    """Why the GPU was slower than it can be, in any process: its clock fell, or it tells so."""
    before_after = [measurement.clocks.get(name, []) for name in ("before", "after")]
    falls = [_find_fall(*clocks) for clocks in zip(*before_after, strict=True)]
    told = [find_throttling(telemetry) for telemetry in measurement.telemetry]
    each = [words for both in zip_longest(falls, told) if (words := "; ".join(filter(None, both)))]
    processes = len(measurement.samples_us)
    if not each or processes < 2:
        return each[0] if each else None
    return f"{each[0]} ({len(each)} of {processes} processes)"


def _find_fall(before_mhz: float, after_mhz: float) -> str | None:
    if after_mhz >= THROTTLED_SHARE * before_mhz:
        return None
    return f"the clock fell from {before_mhz:.0f} to {after_mhz:.0f} MHz"


def _compare_to_floor(samples_us: Groups, name: str, floor: Floor) -> str | None:
    """Why samples are faster than is possible: a median whose interval ends below a floor's, by
    more than the margin.

    By the wall timer the host's share decides, which may differ, so it is not asked there.
    """
    mine, least = estimate_median(samples_us), estimate_median(floor.samples_us)
    if mine.high >= least.low * (1 - FLOOR_MARGIN):
        return None
    return f"{mine.value:.3g} us is faster than the {name} floor, {least.value:.3g}"


def doubt_flush(probe_us: Mapping[str, Sequence[float]]) -> str | None:
    """Why cold samples may not be cold; None where a probe shows in every process that they are."""
    if not probe_us:
        return "no probe has shown that the flush empties the caches"
    for cached, flushed, memory in zip(*(probe_us[each] for each in PROBES), strict=True):
        if cached > FLUSHED_SHARE * memory:
            return f"a probe is no faster cached, {cached:.3g} us, than from memory, {memory:.3g}"
        if flushed < FLUSHED_SHARE * memory:
            return f"a probe takes {flushed:.3g} us behind the flush, {memory:.3g} from memory"
    return None
