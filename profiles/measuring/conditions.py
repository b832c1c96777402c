"""Under which conditions of the GPU samples are taken: telemetry around them, on their records.

A source in this process is read around the samples of each timer and cache state, and in their
pauses.  A program takes about a second a reading, so it is read once around all of a case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rocmoe.ops.core.device import Device
from rocmoe.profiles.artifact import Measurement
from rocmoe.profiles.measuring.measurement import add_telemetry
from rocmoe.profiles.measuring.timers import Spots
from rocmoe.profiles.telemetry.choice import Choice, find_choice
from rocmoe.profiles.telemetry.reading import Telemetry
from rocmoe.profiles.telemetry.sampler import Look, sample_around

T = TypeVar("T")


def choose_telemetry(device: Device) -> Choice | None:
    """The choice for a device, made once a process; None for one that is no GPU."""
    return find_choice(device.index) if device.kind == "gpu" else None


def observe_samples(
    choice: Choice | None, take: Callable[[Look | None], T]
) -> tuple[T, list[Telemetry]]:
    """What taking samples of one timer in one cache state gives, and the GPU around it, by a source
    in this process.

    take: given what it may call where nothing is timed, or None where nothing is observed.
    """
    if choice is None or not choice.in_process:
        return take(None), []
    taken, telemetry = sample_around(choice, take)
    return taken, [telemetry]


def observe_stage(
    choice: Choice | None, measure: Callable[[], list[Measurement]]
) -> list[Measurement]:
    """All measurements of a stage, with the GPU around them by a source in this process."""
    if choice is None or not choice.in_process:
        return measure()
    return _observe(choice, lambda: [measure()])[0]


def observe_case(
    choice: Choice | None, measure: Callable[[], list[list[Measurement]]]
) -> list[list[Measurement]]:
    """All measurements of a case, with the GPU around them by a program."""
    if choice is None or choice.in_process:
        return measure()
    return _observe(choice, measure)


def _observe(
    choice: Choice, measure: Callable[[], list[list[Measurement]]]
) -> list[list[Measurement]]:
    measured, telemetry = sample_around(choice, lambda look: measure())
    return [[add_telemetry(each, telemetry) for each in group] for group in measured]


@dataclass(frozen=True)
class PausedSpots:
    """Spots, with a look at the GPU ahead of each batch of samples, when nothing is timed."""

    spots: Spots
    look: Look

    def picks(self, number: int) -> bool:
        self.look()
        return self.spots.picks(number)

    def before(self, returned: Any) -> None:
        self.spots.before(returned)

    def after(self, returned: Any) -> None:
        self.spots.after(returned)


def pause_in(spots: Sequence[Spots], look: Look | None) -> list[Spots]:
    """The spots of samplers that take turns, of which the first pauses for all."""
    first, *rest = spots
    return [first if look is None else PausedSpots(first, look), *rest]
