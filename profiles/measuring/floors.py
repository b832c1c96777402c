"""Floors: what moving the same bytes takes, and what launching nothing takes, in the same run."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.device import Device
from rocmoe.ops.core.spec import Cost
from rocmoe.profiles.artifact import Floor, Timer
from rocmoe.profiles.measuring.flush import Flush, allocate_lines, can_stream
from rocmoe.profiles.measuring.machine import Machine
from rocmoe.profiles.measuring.timers import Effort, Sampled, Work, take_samples

#: For finding the fastest of the shapes; its samples are not kept.
BRIEF = Effort(samples=5, least=3, seconds=0.01)


class Floors:
    """Measures the floors of one op on one case, with the timers that measure the op.

    cost: the least bytes that the op must move; none are moved where it is zero.  There are no
    floors where there is no GPU, and none without Triton.
    """

    def __init__(self, machine: Machine, device: Device, cost: Cost) -> None:
        self._machine, self._device, self._cost = machine, device, cost
        self._usable = can_stream(device)
        self._fastest: dict[int, Any] = {}

    def measure(
        self, timer: Timer, sets: int, flush: Flush | None, effort: Effort
    ) -> dict[str, Floor]:
        """The floors by name: `stream` and `empty`.

        sets, flush: as of the op's own `Work`, so that the caches are in the same state.
        """
        if not self._usable:
            return {}
        floors = {"empty": _record(self._take(timer, self._make_empty(flush), effort))}
        if self._cost.bytes_read + self._cost.bytes_written:
            works = self._make_streams(sets, flush)
            if sets not in self._fastest:
                self._fastest[sets] = self._find_fastest(works)
            fastest = self._fastest[sets]
            sampled = self._take(timer, works[fastest], effort)
            floors["stream"] = _record(sampled, str(fastest), self._cost)
        return floors

    def _take(self, timer: Timer, work: Work, effort: Effort) -> Sampled:
        return take_samples(timer, self._machine, work, effort)

    def _find_fastest(self, works: dict[Any, Work]) -> Any:
        def find_least(shape: Any) -> float:
            return min(self._take("graph", works[shape], BRIEF).samples_us)

        return min(works, key=find_least)

    def _make_streams(self, sets: int, flush: Flush | None) -> dict[Any, Work]:
        """The same memory moved in every shape."""
        from rocmoe.ops.kernels.stream import SHAPES, stream

        read, written = self._cost.bytes_read, self._cost.bytes_written
        pairs = [
            (allocate_lines(self._device, read), allocate_lines(self._device, written))
            for _ in range(sets)
        ]

        def make(shape: Any) -> Work:
            return Work(lambda n: stream(*pairs[n % sets], shape), sets, flush)

        return {shape: make(shape) for shape in SHAPES}

    def _make_empty(self, flush: Flush | None) -> Work:
        from rocmoe.ops.kernels.stream import empty

        tensor = allocate_lines(self._device, 4)
        return Work(lambda n: empty(tensor), 1, flush)


def _record(sampled: Sampled, variant: str = "", cost: Cost | None = None) -> Floor:
    read, written = (cost.bytes_read, cost.bytes_written) if cost else (0, 0)
    return Floor([sampled.samples_us], [sampled.calls], variant, read, written)
