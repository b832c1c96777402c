"""How far a kernel is from the roofline, and what holds it there, in one line.

Everything is optional but the time: what was not collected is named, and nothing is guessed in its
place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from rocmoe.profiles.hardware import Hardware, find_peak_share
from rocmoe.profiles.profiling.metrics import NOT_COLLECTED, Answer

Kind = Literal["launch-bound", "latency-bound", "HBM-bound", "LDS-bound", "VALU-bound", "undecided"]

#: A kernel shorter than twice an empty one spends most of its time being launched.
LAUNCH_TIMES = 2.0
#: Of a resource's peak.  Above it, not even a kernel that reaches the whole peak is 1.7 times as
#: fast, while the others have more to give.
BOUND_SHARE = 0.6
#: Cycles in which LDS resolves bank conflicts do no work: a quarter of all is worth a layout.
CONFLICT_SHARE = 0.25
#: Waves that wait for more than half of their time, where nothing is near its peak, wait for
#: answers: there are too few of them to hide it.
WAIT_SHARE = 0.5
#: More than memory can give comes from a cache; a little more is the clock's error.
CACHE_SHARE = 1.05


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of one kernel; None where it was not collected.

    time_us: of a launch while nothing was counted.  empty_us: of a kernel that does nothing, by
    the same timer.  moved_bytes: behind L2 by counters, or what has to be moved at least.
    operations: of vector instructions, in floating point.  at_least: bytes and operations are what
    the op needs, not what was counted.  workgroups: of a launch.  cold: no input was in a cache.
    dram_reads, valu_busy, lds_busy, lds_bank_conflict, waiting: 0 to 1, as `METRICS` defines them.
    """

    time_us: float
    empty_us: float | None = None
    moved_bytes: float | None = None
    operations: float | None = None
    at_least: bool = False
    workgroups: int | None = None
    cold: bool | None = None
    dram_reads: float | None = None
    valu_busy: float | None = None
    lds_busy: float | None = None
    lds_bank_conflict: float | None = None
    waiting: float | None = None


_SHARES = ("dram_reads", "valu_busy", "lds_busy", "lds_bank_conflict", "waiting")


def gather_evidence(
    time_us: float,
    answers: Iterable[Answer],
    *,
    empty_us: float | None = None,
    moved_bytes: float | None = None,
    operations: float | None = None,
    workgroups: int | None = None,
    cold: bool | None = None,
) -> Evidence:
    """What some metrics say; bytes that were counted go before `moved_bytes`, the least."""
    values: Mapping[str, float | None] = {answer.metric: answer.value for answer in answers}
    counted = values.get("fabric_bytes")
    percents = {name: values.get(name) for name in _SHARES}
    return Evidence(
        time_us=time_us,
        empty_us=empty_us,
        moved_bytes=moved_bytes if counted is None else counted,
        operations=operations,
        at_least=counted is None and moved_bytes is not None,
        workgroups=workgroups,
        cold=cold,
        **{name: None if value is None else value / 100 for name, value in percents.items()},
    )


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """Where a kernel is under the roof; None where bytes, operations or peaks are not known.

    intensity: operations a byte.  ridge: that of the roof's edge.  memory_share, compute_share: of
    the peaks.  roof: the one that such a kernel reaches first.  roof_us: what the launch would take
    at it; roof_share: that over the time.
    """

    intensity: float | None
    ridge: float | None
    gb_per_s: float | None
    tflops: float | None
    memory_share: float | None
    compute_share: float | None
    roof: Literal["memory", "compute"] | None
    roof_us: float | None
    roof_share: float | None


def find_roofline(evidence: Evidence, hardware: Hardware | None) -> Roofline:
    """The place of a kernel; a share over 1 is of a cache.  ValueError for a time of 0 or less."""
    time_us, moved, done = evidence.time_us, evidence.moved_bytes, evidence.operations
    if time_us <= 0:
        raise ValueError(f"a kernel of {time_us} us")
    peak = hardware.fp32_tflops if hardware else None
    memory = find_peak_share(moved, time_us, hardware) if hardware and moved is not None else None
    compute = None if done is None or peak is None else done / (time_us * peak * 1e6)
    shares = [share for share in (memory, compute) if share is not None]
    roof: Literal["memory", "compute"] | None = None
    if shares:
        roof = "memory" if memory == max(shares) else "compute"
    return Roofline(
        intensity=done / moved if done is not None and moved else None,
        ridge=peak * 1e3 / hardware.memory_gb_per_s if hardware and peak is not None else None,
        gb_per_s=None if moved is None else moved / (time_us * 1e3),
        tflops=None if done is None else done / (time_us * 1e6),
        memory_share=memory,
        compute_share=compute,
        roof=roof,
        roof_us=max(shares) * time_us if shares else None,
        roof_share=max(shares) if shares else None,
    )


@dataclass(frozen=True)
class Diagnosis:
    """line: for people, the numbers in it.  numbers: those by name.  missing: what was not
    collected and could have decided."""

    kind: Kind
    line: str
    numbers: Mapping[str, float]
    missing: tuple[str, ...] = ()


def diagnose(evidence: Evidence, hardware: Hardware) -> Diagnosis:
    """What holds a kernel back.

    The launch first, which hides the rest; then the resource that is most of its peak; then
    latency, if all resources were seen and none is near its own.
    """
    roofline = find_roofline(evidence, hardware)
    numbers = _list_numbers(evidence, roofline)
    found = _find_launch(evidence) or _find_resource(evidence, roofline, hardware)
    if found is None:
        found = _find_latency(evidence, roofline)
    if found is not None:
        kind, reason = found
        return Diagnosis(kind, f"{kind}: {reason}", numbers)
    missing = _list_missing(evidence, roofline)
    seen = ", ".join(
        [
            *(f"{name} {value:.0%}" for name, value in _list_shares(evidence, roofline)),
            *_tell_idle(evidence, hardware),
        ]
    )
    if missing:
        words = f"undecided: {', '.join(missing)} {NOT_COLLECTED}" + (f"; {seen}" if seen else "")
    else:
        words = f"undecided: nothing stands out: {seen}"
    return Diagnosis("undecided", words, numbers, tuple(missing))


def _tell_idle(evidence: Evidence, hardware: Hardware) -> list[str]:
    """What is certain of a launch with fewer workgroups than there are compute units."""
    units = hardware.compute_units
    if evidence.workgroups is None or evidence.workgroups >= units:
        return []
    return [f"{evidence.workgroups} workgroups leave {units - evidence.workgroups} of {units} "
            "compute units idle"]  # fmt: skip


def _find_launch(evidence: Evidence) -> tuple[Kind, str] | None:
    time_us, empty_us = evidence.time_us, evidence.empty_us
    if empty_us is None or time_us >= LAUNCH_TIMES * empty_us:
        return None
    return "launch-bound", f"{time_us:.3g} us, and an empty kernel takes {empty_us:.3g} us"


def _find_resource(
    evidence: Evidence, roofline: Roofline, hardware: Hardware
) -> tuple[Kind, str] | None:
    """The resource that is nearest to its peak, if it is near."""
    found: list[tuple[float, Kind, str]] = []
    share = _find_memory_share(evidence, roofline, hardware)
    if share is not None and share >= BOUND_SHARE:
        least = "at least " if evidence.at_least else ""
        rate = f"{roofline.gb_per_s:.0f} GB/s"
        words = f"{least}{rate}, {share:.0%} of {hardware.memory_gb_per_s:.0f}"
        found.append((share, "HBM-bound", words))
    if (evidence.lds_busy or 0) >= BOUND_SHARE:
        busy = evidence.lds_busy or 0
        found.append((busy, "LDS-bound", f"LDS busy {busy:.0%} of the time"))
    elif (evidence.lds_bank_conflict or 0) >= CONFLICT_SHARE:
        lost = evidence.lds_bank_conflict or 0
        found.append((BOUND_SHARE, "LDS-bound", f"LDS in bank conflicts {lost:.0%} of the time"))
    if (evidence.valu_busy or 0) >= BOUND_SHARE:
        busy = evidence.valu_busy or 0
        found.append((busy, "VALU-bound", f"vector units busy {busy:.0%} of the time"))
    elif (roofline.compute_share or 0) >= BOUND_SHARE:
        done = roofline.compute_share or 0
        words = f"{roofline.tflops:.3g} TFLOPS, {done:.0%} of {hardware.fp32_tflops:g}"
        found.append((done, "VALU-bound", words))
    if not found:
        return None
    _, kind, words = max(found, key=lambda each: each[0])
    return kind, words


def _find_memory_share(evidence: Evidence, roofline: Roofline, hardware: Hardware) -> float | None:
    """The share of memory's peak, None where a cache may have served it instead.

    Counters behind L2 do not tell the Infinity Cache from memory, except for reads; writes are
    taken to go where the reads do.
    """
    share = roofline.memory_share
    if share is None:
        return None
    if evidence.dram_reads is not None:
        return share * evidence.dram_reads
    from_memory = evidence.cold or (evidence.moved_bytes or 0) > hardware.last_cache_bytes
    return share if from_memory and share <= CACHE_SHARE else None


def _find_latency(evidence: Evidence, roofline: Roofline) -> tuple[Kind, str] | None:
    waiting = evidence.waiting
    if waiting is None or waiting < WAIT_SHARE:
        return None
    if roofline.memory_share is None or evidence.valu_busy is None or evidence.lds_busy is None:
        return None
    if max(roofline.memory_share, evidence.valu_busy, evidence.lds_busy) >= BOUND_SHARE:
        return None
    rest = ", ".join(
        f"{name} {share:.0%}"
        for name, share in _list_shares(evidence, roofline)
        if name != "waiting"
    )
    return "latency-bound", f"waves wait {waiting:.0%} of the time, with {rest}"


def _list_missing(evidence: Evidence, roofline: Roofline) -> list[str]:
    share = roofline.memory_share
    cached = share is not None and share >= BOUND_SHARE and evidence.dram_reads is None
    wanted = {
        "the time of an empty kernel": evidence.empty_us,
        "bytes moved": evidence.moved_bytes,
        "dram_reads (a cache may have served it)": None if cached else 0,
        "valu_busy": evidence.valu_busy,
        "lds_busy": evidence.lds_busy,
        "waiting": evidence.waiting,
    }
    return [name for name, value in wanted.items() if value is None]


def _list_shares(evidence: Evidence, roofline: Roofline) -> list[tuple[str, float]]:
    least = " at least" if evidence.at_least else ""
    shares = {
        f"memory{least}": roofline.memory_share,
        f"FP32{least}": roofline.compute_share,
        "vector units": evidence.valu_busy,
        "LDS": evidence.lds_busy,
        "bank conflicts": evidence.lds_bank_conflict,
        "waiting": evidence.waiting,
    }
    return [(name, share) for name, share in shares.items() if share is not None]


def _list_numbers(evidence: Evidence, roofline: Roofline) -> Mapping[str, float]:
    """What is known, by name."""
    values = {
        "time_us": evidence.time_us,
        "empty_us": evidence.empty_us,
        "moved_bytes": evidence.moved_bytes,
        "operations": evidence.operations,
        "workgroups": evidence.workgroups,
        "memory_share": roofline.memory_share,
        "compute_share": roofline.compute_share,
        **{name: getattr(evidence, name) for name in _SHARES},
    }
    return {name: float(value) for name, value in values.items() if value is not None}
