"""What is written down of a profile."""

from __future__ import annotations

from statistics import median

import msgspec


class MetricRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A metric of `metrics.METRICS` for one launch; null with the reason where it has no value."""

    metric: str
    unit: str
    value: float | None
    reason: str = ""


class RooflineRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where something is under the roof; null where bytes, operations or peaks are not known.

    time_us: that it took.  at_least: bytes and operations are what the op has to move and do at
    least, not what was counted.  The rest is as of `diagnosis.Roofline`.
    """

    time_us: float
    at_least: bool
    moved_bytes: float | None
    operations: float | None
    intensity: float | None
    ridge: float | None
    gb_per_s: float | None
    tflops: float | None
    memory_share: float | None
    compute_share: float | None
    roof: str | None
    roof_us: float | None
    roof_share: float | None


class DiagnosisRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds a kernel back, as of `diagnosis.Diagnosis`."""

    kind: str
    line: str
    numbers: dict[str, float]
    missing: list[str] = []


class KernelRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kernel with one launch size, over all its launches in the calls that are looked at.

    launches: while nothing was counted, or in all where nothing was timed.  a_call: those over the
    calls, null where nobody knows how many calls there were.  durations_ns: while nothing was
    counted; counted_ns: while counters were.  blocks: workgroups of a launch; lanes: of a
    workgroup.  vgprs, agprs: registers a lane; total_vgprs: of both kinds, as allocated; sgprs: a
    wave.  lds_bytes: of a workgroup; scratch_bytes: of a lane.  occupancy: percent of the wave
    slots of all compute units that the workgroups fill at most; limited_by: what allows no more.
    counts: medians of a launch, by counter.
    """

    name: str
    short: str
    launches: int
    a_call: float | None
    durations_ns: list[int]
    counted_ns: list[int]
    blocks: int | None
    lanes: int | None
    lds_bytes: int | None
    scratch_bytes: int | None
    vgprs: int | None
    agprs: int | None
    total_vgprs: int | None
    sgprs: int | None
    occupancy: float | None
    limited_by: list[str]
    agent: str | None
    counts: dict[str, float]
    metrics: list[MetricRecord]
    roofline: RooflineRecord | None
    diagnosis: DiagnosisRecord | None

    @property
    def median_us(self) -> float | None:
        """Of a launch while nothing was counted."""
        return median(self.durations_ns) / 1e3 if self.durations_ns else None


class ProfileRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a profiler told of the calls of one implementation on one case, or of a whole program.

    form: of what was read.  calls: that the kernels are of; null for a whole program.  hardware:
    the name of the profile whose peaks count.  empty_us: of a kernel that does nothing, by the
    same profiler.  kernels: the one that took longest first.  roofline: of all kernels of a call
    together.  notes: what is not to be trusted, and why.  commands: of the profiler's runs,
    with folders relative to where it was started.
    """

    tool: str
    version: str
    form: str
    calls: int | None
    hardware: str | None
    empty_us: float | None
    kernels: list[KernelRecord]
    roofline: RooflineRecord | None = None
    notes: list[str] = []
    commands: list[list[str]] = []
