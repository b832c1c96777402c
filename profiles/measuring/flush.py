"""What empties the caches ahead of a cold sample, and the proof that it does.

The proof is a buffer that fits the last-level cache, read in three states: cached, behind the
flush, and as memory that no cache holds.  A flush that works makes the second as slow as the third;
that the first is faster shows that the probe can tell.  `measurement.doubt_flush` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

from rocmoe.ops.core.backend import load_backend
from rocmoe.ops.core.device import Device
from rocmoe.profiles.measuring.machine import Machine, do_nothing
from rocmoe.profiles.measuring.measurement import PROBES

Flush = Callable[[], Any]

#: The device is kept busy for so long while the host queues what is read: at most three launches.
HOLD_US = 1000.0
#: int32 words of the least that is read, one line.
LINE_WORDS = 4


@dataclass(frozen=True)
class Layout:
    """How a probe's buffer is cut: pieces of one part of the cache each; one of them is probed.

    What is read ahead of a piece, so that no cache holds it, is all others: twice the cache and
    more.
    """

    parts: int
    pieces: int
    repetitions: int


#: A GPU reads half of its cache: less would take hardly longer than its launch where the cache is
#: small, and more than half need not stay: of the 50 MB of an H100's L2, 37.8 MB did (6.4 us, 5.9
#: TB/s).  A processor shares its cache with others and takes milliseconds to touch new memory, so
#: that it reads a quarter of it, and less often.
LAYOUTS: Mapping[str, Layout] = {"gpu": Layout(2, 8, 5), "cpu": Layout(4, 9, 3)}


@dataclass(frozen=True)
class ProbedFlush:
    """A flush, and what a probe of it read in each of `measurement.PROBES`, in microseconds."""

    flush: Flush
    probe_us: Mapping[str, float]


@cache
def prepare_flush(machine: Any, device: Device, size: int) -> ProbedFlush:
    """A flush of `size` bytes, probed; made once in a process, which keeps its memory."""
    flush = make_flush(device, size)
    return ProbedFlush(flush, probe_flush(machine, device, flush))


def make_flush(device: Device, size: int) -> Flush:
    """What evicts the caches: one launch that reads `size` bytes.

    Reading leaves nothing to be written back while a sample is taken; without Triton the bytes are
    overwritten, which does.
    """
    import torch

    if not can_stream(device):
        overwritten: Any = torch.empty(size, dtype=torch.uint8, device=device.torch_name)
        clear: Flush = overwritten.zero_
        return clear
    from rocmoe.ops.kernels.stream import SHAPES, stream

    memory, nothing = allocate_lines(device, size), allocate_lines(device, 0)
    return lambda: stream(memory, nothing, SHAPES[0])


def probe_flush(machine: Machine, device: Device, flush: Flush) -> dict[str, float]:
    """Microseconds that a probe takes to be read in each of `measurement.PROBES`.

    Each is a median of several, less what reading next to nothing takes, so that launches and
    events count in none.
    """
    return _Probe(machine, device, flush).take()


def can_stream(device: Device) -> bool:
    """Whether the kernels that floors and flushes are made of run on a device."""
    return device.kind == "gpu" and load_backend("triton").find_absence() is None


def allocate_lines(device: Device, size: int) -> Any:
    """int32 memory of whole lines for at least `size` bytes, with contents that do not compress."""
    import torch

    from rocmoe.ops.kernels.stream import LINE_BYTES

    words = -(-size // LINE_BYTES) * LINE_BYTES // 4
    name = device.torch_name
    return torch.randint(-(2**31), 2**31 - 1, (words,), dtype=torch.int32, device=name)


class _Probe:
    """A buffer cut into pieces, and what they take to be read."""

    def __init__(self, machine: Machine, device: Device, flush: Flush) -> None:
        self._flush, self._layout = flush, LAYOUTS[device.kind]
        self._time = _find_clock(machine, device)
        # Pieces begin at cache lines, of 128 bytes at most.
        self._size = max(machine.cache_bytes // self._layout.parts // 128, 1) * 128 // 4
        self._read, self._memory = _lay_out(device, self._size * self._layout.pieces * 4)
        for first in (self._memory, self._memory[:LINE_WORDS]):  # compiles, and touches all of it
            self._read(first)
        flush()
        machine.synchronize()

    def take(self) -> dict[str, float]:
        """All states in turn, so that what drifts is shared."""
        taken: dict[str, list[float]] = {name: [] for name in (*PROBES, "launch")}
        for number in range(self._layout.repetitions):
            taken["cached"].append(self._take_again(do_nothing, self._size))
            taken["flushed"].append(self._take_again(self._flush, self._size))
            taken["memory"].append(self._take_behind_others(1 + number))
            taken["launch"].append(self._take_again(do_nothing, LINE_WORDS))
        found = {name: median(each) for name, each in taken.items()}
        launch = found.pop("launch")
        beyond = {name: us - launch for name, us in found.items()}
        return beyond if min(beyond.values()) > 0.0 else found

    def _take(self, piece: Any, before: Callable[[], Any]) -> float:
        return self._time(lambda: self._read(piece), before)

    def _take_again(self, between: Callable[[], Any], size: int) -> float:
        """What the first words take once they were read, with something in between."""
        piece = self._memory[:size]

        def before() -> None:
            self._read(piece)
            between()

        return self._take(piece, before)

    def _take_behind_others(self, number: int) -> float:
        """What a piece takes behind all others; it is neither the first nor the last."""
        start, stop = number * self._size, (number + 1) * self._size

        def before() -> None:
            self._read(self._memory[:start])
            self._read(self._memory[stop:])

        return self._take(self._memory[start:stop], before)


def _find_clock(
    machine: Any, device: Device
) -> Callable[[Callable[[], Any], Callable[[], Any]], float]:
    """What times some work behind what is queued before it."""
    if device.kind == "gpu":
        return lambda work, before: float(machine.span_us(work, before, HOLD_US))

    def time(work: Callable[[], Any], before: Callable[[], Any]) -> float:
        before()
        start = machine.now_us()
        work()
        return float(machine.now_us() - start)

    return time


def _lay_out(device: Device, size: int) -> tuple[Callable[[Any], Any], Any]:
    """What reads memory, all of it once, and so many bytes of it."""
    if not can_stream(device):
        import torch

        # Written, since memory that never was is one page of zeros.
        memory = torch.full((size // 4,), 1, dtype=torch.int32, device=device.torch_name)
        return torch.amax, memory
    from rocmoe.ops.kernels.stream import SHAPES, stream

    nothing = allocate_lines(device, 0)
    # Four tiles a program read 37.8 MB that an H100 had cached in 6.4 us, one tile in 8.6.
    return lambda memory: stream(memory, nothing, SHAPES[-1]), allocate_lines(device, size)
