"""How thoroughly is measured: samples of a process, and how many processes.

What a process adds of its own is seen only in others, so that more processes tell more than more
samples of one.  Rounds go over all cases, each in fresh processes, until every interval is narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rocmoe.ops.core.errors import unknown
from rocmoe.profiles.artifact import Measurement
from rocmoe.profiles.measuring.statistics import estimate_median
from rocmoe.profiles.measuring.timers import Effort


@dataclass(frozen=True)
class Rounds:
    """Processes that a measurement gets: at least, at most, and the half-width of the interval of
    its median, as a share, at which there are enough."""

    least: int
    most: int
    half_width: float = 0.01
    effort: Effort = field(default_factory=Effort)


#: pyperf's default is 20 processes of 3 values and hyperfine's 10 runs; a GPU's process takes
#: seconds to start, and a round goes over all cases.
EFFORTS: Mapping[str, Rounds] = {
    "quick": Rounds(2, 3, effort=Effort(samples=20, seconds=0.03)),
    "default": Rounds(3, 5),
    "rigorous": Rounds(5, 9, effort=Effort(samples=100, seconds=0.2)),
}


def load_effort(name: str) -> Rounds:
    """The rounds of a name; an unknown one is a `RocmoeError`."""
    if name not in EFFORTS:
        raise unknown("effort", name, EFFORTS)
    return EFFORTS[name]


def are_settled(measurements: Iterable[Measurement], rounds: Rounds) -> bool:
    """Whether nothing is gained by another process: every interval is narrow, or there is none."""
    return all(_is_settled(each, rounds) for each in measurements)


def _is_settled(measurement: Measurement, rounds: Rounds) -> bool:
    processes = len(measurement.samples_us)
    if measurement.status == "refused" or processes >= rounds.most:
        return True
    if processes < rounds.least:
        return False
    return estimate_median(measurement.samples_us).half_width <= rounds.half_width
