"""Timers: from calls to raw samples, in microseconds a call.  What each means: docs/measuring.md.

graph    a graph of N calls is replayed between two events
events   two events around a single call, which the host has queued before the device reaches it
kernel   what the device's profiler says that each kernel of a call took, added up
wall     the host's clock around back-to-back calls and the wait for the last of them
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, get_args

from rocmoe.profiles.artifact import Timer
from rocmoe.profiles.measuring.machine import (
    WARM_UP_CALLS,
    Accelerator,
    Activity,
    CaptureError,
    Machine,
    do_nothing,
)

TIMERS: tuple[Timer, ...] = get_args(Timer)
#: The timers that need no device with queues of its own.
HOST_TIMERS: tuple[Timer, ...] = ("wall",)
#: The timers that the host does not slow down, so that no call can be faster than its floor.
DEVICE_TIMERS: tuple[Timer, ...] = ("graph", "events", "kernel")
#: Parts that a batch of samples is taken in, where several things take turns.
TURNS = 4
#: Added to what the host needs to queue work, while the device is held.
HOLD_MARGIN_US = 20.0
#: The slowest of so many counts: by one alone, events of a whole process were seen to take twice as
#: long as they should (12 us for 6 on an H100), since the device waited for the host between them.
HOLD_TRIES = 5


class RefusedError(Exception):
    """Something that a timer cannot time, in one line."""


@dataclass(frozen=True)
class Effort:
    """How long is measured.

    samples: at most; least: at least, even where they take longer than seconds.  calls: in a
    graph; loop: back to back.  sample_us: there are fewer calls where they would take longer.
    """

    samples: int = 40
    least: int = 5
    seconds: float = 0.06
    calls: int = 20
    loop: int = 50
    sample_us: float = 20_000.0

    def count_calls(self, call_us: float, most: int) -> int:
        """Calls of a sample, by what one takes."""
        return max(1, min(most, int(self.sample_us / max(call_us, 0.001))))


@dataclass(frozen=True)
class Work:
    """What is timed.

    call: makes the n-th call, and gives what it returned.  sets: of inputs, which the calls take in
    turn.  flush: evicts the caches ahead of every sample, by one device operation; None if warm.
    """

    call: Callable[[int], Any]
    sets: int = 1
    flush: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Sampler:
    """Work made ready to be sampled by a timer, as often as wanted.

    take: a number of samples, each the mean of `calls` calls.  batch: how many it is best asked
    for.  returned: what the last calls gave.  replay: makes the same calls again, of a graph.
    """

    take: Callable[[int], list[float]]
    calls: int
    returned: Callable[[], Sequence[Any]]
    replay: Callable[[], None] | None = None
    batch: int = 1

    def finish(self, samples_us: list[float]) -> Sampled:
        """The record of samples that it took."""
        return Sampled(samples_us, self.calls, self.returned(), self.replay)


@dataclass(frozen=True)
class Sampled:
    """Raw samples, each the mean of `calls` calls; returned, replay: as of a `Sampler`."""

    samples_us: list[float]
    calls: int
    returned: Sequence[Any]
    replay: Callable[[], None] | None = None


class Spots(Protocol):
    """What looks at the answers of some samples; none of it is timed."""

    def picks(self, number: int) -> bool:
        """Whether it wants the answer of the sample of this number."""

    def before(self, returned: Any) -> None:
        """Given the answer that stands, ahead of the sample."""

    def after(self, returned: Any) -> None:
        """Given the sample's own answer."""


def take_samples(
    timer: Timer, machine: Machine, work: Work, effort: Effort, spots: Spots | None = None
) -> Sampled:
    """Samples until there are enough or the time is up; raises as `make_sampler`."""
    sampler = make_sampler(timer, machine, work, effort)
    (samples,) = take_turns([sampler], machine, effort, [spots])
    return sampler.finish(samples)


def take_turns(
    samplers: Sequence[Sampler], machine: Machine, effort: Effort, spots: Sequence[Spots | None]
) -> list[list[float]]:
    """As many samples of each: they take turns, in the opposite order each time (ABBA), so that
    what drifts meanwhile is shared."""
    start = machine.now_us()
    taken: list[list[float]] = [[] for _ in samplers]
    turns = [*zip(samplers, taken, spots, strict=True)]
    least, seconds = effort.least, effort.seconds * len(samplers)
    share = 1 if len(samplers) == 1 else TURNS
    while (done := len(taken[0])) < effort.samples and (
        done < least or machine.now_us() - start < seconds * 1e6
    ):
        batch = max(1, max(sampler.batch for sampler in samplers) // share)
        count = min(batch, effort.samples - done)
        for sampler, samples, spot in turns:
            samples += _take(sampler, count, spot if spot and spot.picks(done) else None)
        turns.reverse()
    return taken


def _take(sampler: Sampler, count: int, spot: Spots | None) -> list[float]:
    if spot is None:
        return sampler.take(count)
    spot.before(sampler.returned()[-1])
    samples = sampler.take(count)
    spot.after(sampler.returned()[-1])
    return samples


def make_sampler(timer: Timer, machine: Machine, work: Work, effort: Effort) -> Sampler:
    """Warm up and prepare; `RefusedError` where the timer cannot, and whatever a call raises."""
    for number in range(WARM_UP_CALLS):
        work.call(number)
    machine.synchronize()
    return MAKERS[timer](machine, work, effort)


def sample_graph(machine: Accelerator, work: Work, effort: Effort) -> Sampler:
    """Replays of a graph of calls; when cold each call has inputs of its own, as far as there are
    sets, and outputs of its own."""
    calls = effort.count_calls(_estimate_us(machine, work), effort.calls)
    try:
        graph = machine.capture([_bind(work, number) for number in range(calls)], work.sets)
        graph.replay()
        machine.synchronize()
    except CaptureError as error:
        raise RefusedError(f"cannot be captured in a graph: {error}") from error
    hold_us = _find_hold(machine, graph.replay)
    before = work.flush or do_nothing

    def take() -> float:
        return machine.span_us(graph.replay, before, hold_us) / calls

    return Sampler(_repeat(take), calls, lambda: graph.returned, graph.replay)


def sample_events(machine: Accelerator, work: Work, effort: Effort) -> Sampler:
    """One call a sample."""
    del effort
    turn = _Turn(work)
    hold_us = _find_hold(machine, turn)
    before = work.flush or do_nothing
    return Sampler(
        _repeat(lambda: machine.span_us(turn, before, hold_us)), 1, lambda: [turn.returned]
    )


def sample_kernels(machine: Accelerator, work: Work, effort: Effort) -> Sampler:
    """One call a sample: the sum of what its kernels, copies and fills took on the device."""
    turn = _Turn(work)

    def take(count: int) -> list[float]:
        def make_calls() -> None:
            for _ in range(count):
                if work.flush is not None:
                    work.flush()
                turn()

        return split_calls(machine.profile(make_calls), count, int(work.flush is not None))

    batch = effort.count_calls(_estimate_us(machine, work), effort.samples)
    return Sampler(take, 1, lambda: [turn.returned], batch=batch)


def split_calls(activities: Sequence[Activity], calls: int, flushes: int) -> list[float]:
    """The time of each call's activities, added up; each call is behind `flushes` other ones.

    Raises `RefusedError` where calls cannot be told apart, as they did not all do as much.
    """
    a_call, rest = divmod(len(activities), calls)
    if rest or a_call <= flushes:
        raise RefusedError(
            f"the profiler saw {len(activities)} device activities in {calls} calls, so that calls "
            "cannot be told apart"
        )
    groups = [activities[start : start + a_call] for start in range(0, len(activities), a_call)]
    return [sum(activity.duration_us for activity in group[flushes:]) for group in groups]


def sample_wall(machine: Machine, work: Work, effort: Effort) -> Sampler:
    """Back-to-back calls, and the wait for the last; when cold no more than there are sets."""
    turn = _Turn(work)
    start = machine.now_us()
    turn()
    machine.synchronize()
    most = effort.loop if work.flush is None else min(effort.loop, work.sets)
    calls = effort.count_calls(machine.now_us() - start, most)

    def take() -> float:
        if work.flush is not None:
            work.flush()
        machine.synchronize()
        start = machine.now_us()
        for _ in range(calls):
            turn()
        machine.synchronize()
        return (machine.now_us() - start) / calls

    return Sampler(_repeat(take), calls, lambda: [turn.returned])


MAKERS: Mapping[Timer, Callable[[Any, Work, Effort], Sampler]] = {
    "graph": sample_graph,
    "events": sample_events,
    "kernel": sample_kernels,
    "wall": sample_wall,
}


def _repeat(take: Callable[[], float]) -> Callable[[int], list[float]]:
    return lambda count: [take() for _ in range(count)]


class _Turn:
    """Makes one call after another, each on the next set of inputs, and keeps the last answer."""

    def __init__(self, work: Work) -> None:
        self._work, self._next = work, 0
        self.returned: Any = None

    def __call__(self) -> None:
        self.returned = None  # as of `keep_last`
        self.returned = self._work.call(self._next)
        self._next += 1


def _bind(work: Work, number: int) -> Callable[[], Any]:
    return lambda: work.call(number)


def _find_hold(machine: Machine, work: Callable[[], Any]) -> float:
    """How long the device has to be kept busy, for the host to queue some work meanwhile."""

    def queue() -> float:
        start = machine.now_us()
        work()
        needed = machine.now_us() - start
        machine.synchronize()
        return needed

    return 1.5 * max(queue() for _ in range(HOLD_TRIES)) + HOLD_MARGIN_US


def _estimate_us(machine: Accelerator, work: Work) -> float:
    def call() -> None:
        work.call(0)

    return machine.span_us(call, do_nothing, _find_hold(machine, call))
