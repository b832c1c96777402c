"""What timers need of the machine that calls run on: clocks, events, graphs, a profiler.

Everything that touches torch's device interface is here, so that the timers' arithmetic is tested
on a machine of pretence.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import describe_error
from rocmoe.profiles.hardware import find_last_cache

MIB = 1 << 20

#: What is taken for the last-level cache where nothing tells.
UNKNOWN_CACHE = 256 * MIB

#: Ticks of the device's clock that are waited to find out how fast it runs.
CLOCK_TICKS = 200_000
WARM_UP_CALLS = 3
#: The device is never held up for longer than this.
LONGEST_HOLD_US = 20_000.0


class CaptureError(Exception):
    """Calls cannot be captured in a graph, in one line."""


@dataclass(frozen=True)
class Activity:
    """Something that the device did, as its profiler saw it; stream: the profiler's number."""

    name: str
    start_us: float
    duration_us: float
    stream: int = 0

    @property
    def end_us(self) -> float:
        return self.start_us + self.duration_us


def keep_last(returned: deque[Any], call: Callable[[], Any]) -> None:
    """Call, and keep what it returns among as many answers as there is room for.

    The oldest goes ahead of the call, so that its memory serves again: of one answer more than a
    floor has, large ones would not stay in the same caches.
    """
    if len(returned) == returned.maxlen:
        returned.popleft()
    returned.append(call())


@dataclass(frozen=True)
class Captured:
    """A graph: what launches it, and what its last calls returned, the very last one at the end.

    stream: that it was captured on, of a machine that has streams.
    """

    replay: Callable[[], None]
    returned: list[Any]
    stream: Any = None


class Machine(Protocol):
    """What every machine has."""

    cache_bytes: int

    def now_us(self) -> float:
        """The host's clock."""

    def synchronize(self) -> None:
        """Wait until nothing runs."""


class Accelerator(Machine, Protocol):
    """A machine with queues of its own."""

    def hold(self, us: float) -> None:
        """Queue something that keeps the current stream busy for so long."""

    def span_us(self, work: Callable[[], Any], before: Callable[[], Any], hold_us: float) -> float:
        """Time on the device from the start of `work` to its end.

        hold_us: how long the device is kept busy first, so that it never waits for the host in the
        middle.  before: queued ahead of the work and not timed.
        """

    def capture(self, calls: Iterable[Callable[[], Any]], keep: int) -> Captured:
        """A graph of calls; `CaptureError` where there can be none.  keep: returned values."""

    def profile(self, work: Callable[[], Any]) -> list[Activity]:
        """What the device did during `work`, in order."""

    def clock_mhz(self) -> float:
        """How fast the device's clock runs now, under load."""


@cache
def find_machine(device: Device) -> Machine:
    """The machine behind a device that is no simulator, one for all who ask."""
    return Gpu(device.index) if device.kind == "gpu" else Host()


def do_nothing() -> None:
    """The default of what is queued ahead of a span."""


class Host:
    """The processor that Python runs on."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.cache_bytes = _find_host_cache(root)

    def now_us(self) -> float:
        return time.perf_counter_ns() / 1000.0

    def synchronize(self) -> None:
        """Calls return when they are done."""


def _find_host_cache(root: Path) -> int:
    """The largest cache that the kernel lists for processor 0."""
    sizes = []
    for path in root.glob("sys/devices/system/cpu/cpu0/cache/index*/size"):
        text = path.read_text().strip()
        sizes.append(int(text[:-1]) * {"K": 1 << 10, "M": MIB}[text[-1]])
    return max(sizes, default=UNKNOWN_CACHE)


class Gpu(Host):
    """A GPU by torch's interface, HIP or CUDA; its calls go to the current stream."""

    def __init__(self, index: int) -> None:
        import torch

        self._cuda: Any = torch.cuda
        self._index = index
        found: Any = torch.cuda.get_device_properties(index)
        arch = str(getattr(found, "gcnArchName", "")).partition(":")[0]
        reported = int(getattr(found, "L2_cache_size", 0)) or UNKNOWN_CACHE
        self.cache_bytes = max(reported, find_last_cache(arch))
        self._events = [self._cuda.Event(enable_timing=True) for _ in range(2)]
        self._ticks_a_us = self.clock_mhz()

    def synchronize(self) -> None:
        self._cuda.synchronize(self._index)

    def hold(self, us: float) -> None:
        self._cuda._sleep(int(min(us, LONGEST_HOLD_US) * self._ticks_a_us))

    def span_us(self, work: Callable[[], Any], before: Callable[[], Any], hold_us: float) -> float:
        start, end = self._events
        if hold_us > 0.0:
            self.hold(hold_us)
        before()
        start.record()
        work()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1000.0

    def clock_mhz(self) -> float:
        for _ in range(2):  # the first one wakes the device up
            start, end = self._events
            start.record()
            self._cuda._sleep(CLOCK_TICKS)
            end.record()
            end.synchronize()
        return CLOCK_TICKS / (float(start.elapsed_time(end)) * 1000.0)

    def capture(
        self, calls: Iterable[Callable[[], Any]], keep: int, graph: Any = None, pool: Any = None
    ) -> Captured:
        """As of an `Accelerator`; graph: torch's to capture into; pool: of another one's memory."""
        calls = list(calls)
        graph = self._cuda.CUDAGraph() if graph is None else graph
        side = self._cuda.Stream()
        side.wait_stream(self._cuda.current_stream())
        returned: deque[Any] = deque(maxlen=keep)
        with self._cuda.stream(side):
            for call in calls[:WARM_UP_CALLS]:
                call()
            self.synchronize()
            self._record(graph, calls, returned, pool)
        self._cuda.current_stream().wait_stream(side)
        return Captured(graph.replay, list(returned), side)

    def _record(
        self,
        graph: Any,
        calls: list[Callable[[], Any]],
        returned: deque[Any],
        pool: Any = None,
    ) -> None:
        """Unlike `torch.cuda.graph` this collects no garbage and empties no cache, a tenth of a
        second each time; no garbage is collected meanwhile either, which could free memory."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message=".*Graph is empty")
                graph.capture_begin() if pool is None else graph.capture_begin(pool=pool)
                try:
                    for call in calls:
                        keep_last(returned, call)
                finally:
                    graph.capture_end()
        except Exception as error:
            first = error.__context__ or error  # what went wrong inside, before the end of capture
            raise CaptureError(describe_error(first)) from error
        finally:
            if collecting:
                gc.enable()

    def profile(self, work: Callable[[], Any]) -> list[Activity]:
        import torch
        from torch.profiler import ProfilerActivity, profile

        self.synchronize()
        with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiler:
            work()
            self.synchronize()
        results: Any = profiler.profiler
        autograd: Any = torch.autograd
        on_device = autograd.DeviceType.CUDA  # HIP devices too, by torch's naming
        seen = [
            Activity(
                event.name(),
                event.start_ns() / 1000.0,
                event.duration_ns() / 1000.0,
                event.device_resource_id(),
            )
            for event in results.kineto_results.events()
            if event.device_type() == on_device and not event.is_user_annotation()
        ]
        return sorted(seen, key=lambda activity: activity.start_us)
