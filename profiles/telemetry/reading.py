"""What one look at a GPU told: the same record from whatever told it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class ReadError(Exception):
    """A source could not be read, in one line."""


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A GPU at one moment; None is what the source did not tell.

    taken_s: seconds since 1970.  gpu_index: as the source counts, so of all GPUs, also of those
    that the *_VISIBLE_DEVICES hide.  gfx_clock_mhz: of the fastest die, since dies without work
    sleep.  utilization_percent: of the time, how long anything ran.

    violation_counts: how often firmware found the GPU held back, by cause, since the driver was
    loaded; violation_samples: how often it looked.  violation_ns: the time for which it was held
    back, by cause, where that is what is counted.  violation_percents: of the time just before the
    reading, by the tool's own two looks.  throttle_reasons: what holds the clock back now, in
    words; empty if nothing does.
    """

    taken_s: float
    source: str
    gpu_index: int
    gfx_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    socket_power_w: float | None = None
    edge_temperature_c: float | None = None
    hotspot_temperature_c: float | None = None
    memory_temperature_c: float | None = None
    utilization_percent: float | None = None
    violation_counts: dict[str, int] = {}
    violation_samples: int | None = None
    violation_ns: dict[str, int] = {}
    violation_percents: dict[str, float] = {}
    throttle_reasons: list[str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the source told nothing at all."""
        return self == Reading(self.taken_s, self.source, self.gpu_index)


class Telemetry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A GPU before, during and after some work.

    during: empty where the source may not be read while work is timed.  reason: why readings are
    missing, one line.
    """

    before: Reading | None = None
    during: list[Reading] = []
    after: Reading | None = None
    reason: str | None = None

    @property
    def readings(self) -> list[Reading]:
        """All of them, in order."""
        return [each for each in (self.before, *self.during, self.after) if each is not None]


class Source(Protocol):
    """Something that tells about GPUs.

    name: as it is shown.  in_process: whether a reading starts no process, so that it may be taken
    while work is timed.
    """

    @property
    def name(self) -> str: ...

    @property
    def in_process(self) -> bool: ...

    def find_absence(self) -> str | None:
        """Why it tells nothing here, in one line with the remedy; None where it works.

        It is asked first, once: it loads what the other calls need.
        """

    def list_gpus(self) -> Mapping[int, str | None]:
        """The PCI address of each GPU by its index, None where it is not told; or `ReadError`."""

    def read(self, gpu_index: int) -> Reading:
        """The GPU now; `ReadError` if nothing is told about it."""


def check_reading(reading: Reading) -> Reading:
    """The reading, if it tells anything; else `ReadError`."""
    if reading.is_empty:
        raise ReadError(f"{reading.source} tells nothing about GPU {reading.gpu_index}")
    return reading
