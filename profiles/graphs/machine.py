"""What trials need of a machine: graphs that can be looked at, streams, pressure on memory."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from rocmoe.ops.core.errors import describe_error
from rocmoe.profiles.graphs.nodes import UnreadError, count_nodes, draw_nodes, load_library
from rocmoe.profiles.measuring.machine import Captured, CaptureError, Gpu, Machine

KIB = 1 << 10
#: Bytes and number of the blocks that fill free memory: torch cuts blocks below 1 MiB out of
#: segments of 2 MiB, larger ones out of 20 MiB, and gives those from 10 MiB on their own.
BLOCKS = (
    *((KIB // 2 << shift, 32) for shift in range(0, 11, 2)),
    (2048 * KIB, 8),
    (8192 * KIB, 8),
    (32768 * KIB, 2),
)
#: Bytes that free memory is filled with, in turn: NaN and -1, or a number far beyond any index.
GARBAGE = (0xFF, 0x7F)
#: Streams that were captured on of late, whose free memory only they may be given again.
STREAMS = 4


class HeldGraph(Protocol):
    """A graph, with what its last calls returned, the very last one at the end."""

    @property
    def returned(self) -> list[Any]: ...

    def replay(self) -> None: ...

    def count_nodes(self) -> dict[str, int]:
        """Its nodes by kind; raises `UnreadError`."""

    def draw(self, path: Path) -> None:
        """Write it as a DOT file; raises `UnreadError`."""


class GraphMachine(Machine, Protocol):
    """A machine that has graphs."""

    def make_graph(
        self, calls: Iterable[Callable[[], Any]], keep: int, beside: Any = None
    ) -> HeldGraph:
        """A graph of calls that were made before; `CaptureError` where there can be none.

        keep: returned values.  beside: a graph of this machine whose memory pool it shares.
        """

    def on_side_stream(self) -> AbstractContextManager[None]:
        """Inside, another stream than the default one is current."""

    def press(self) -> None:
        """Overwrite memory that is free, and give it back."""

    def using(self) -> AbstractContextManager[Any]:
        """Inside, this machine's device is torch's current one."""


class GpuGraph:
    """A torch graph; library: that reads its nodes, or why they cannot be read."""

    def __init__(self, captured: Captured, graph: Any, library: Any) -> None:
        self._captured, self._graph, self._library = captured, graph, library

    @property
    def returned(self) -> list[Any]:
        return self._captured.returned

    @property
    def pool(self) -> Any:
        return self._graph.pool()

    def replay(self) -> None:
        self._captured.replay()

    def count_nodes(self) -> dict[str, int]:
        return count_nodes(self._find_library(), self._graph.raw_cuda_graph())

    def draw(self, path: Path) -> None:
        draw_nodes(self._find_library(), self._graph.raw_cuda_graph(), path)

    def _find_library(self) -> Any:
        if isinstance(self._library, UnreadError):
            raise self._library
        return self._library


class GraphGpu(Gpu):
    """A GPU by torch's interface, HIP or CUDA, whose graphs are kept to be looked at."""

    def __init__(self, index: int) -> None:
        import torch

        with torch.cuda.device(index):
            super().__init__(index)
        self._streams: deque[Any] = deque(maxlen=STREAMS)
        self._pressed = 0

    def make_graph(
        self, calls: Iterable[Callable[[], Any]], keep: int, beside: GpuGraph | None = None
    ) -> GpuGraph:
        graph, library = self._begin()
        captured = self.capture(calls, keep, graph, beside.pool if beside else None)
        self._streams.append(captured.stream)
        try:
            if not isinstance(library, UnreadError):
                graph.instantiate()  # which a graph that is kept is not by the end of its capture
        except Exception as error:
            raise CaptureError(describe_error(error)) from error
        return GpuGraph(captured, graph, library)

    def _begin(self) -> tuple[Any, Any]:
        """A graph to capture into, and what reads its nodes."""
        import torch

        try:
            graph = self._cuda.CUDAGraph(keep_graph=True)
        except TypeError:
            words = f"torch {torch.__version__} keeps no graph to look at; wanted 2.8 or newer"
            return self._cuda.CUDAGraph(), UnreadError(words)
        return graph, load_library(hip=torch.version.hip is not None)

    @contextmanager
    def on_side_stream(self) -> Iterator[None]:
        side = self._cuda.Stream()
        side.wait_stream(self._cuda.current_stream())
        with self._cuda.stream(side):
            yield
        self.synchronize()

    def press(self) -> None:
        gc.collect()
        self.synchronize()
        for stream in (self._cuda.current_stream(), *self._streams):
            with self._cuda.stream(stream):
                self._fill_free()
        self._cuda.empty_cache()  # what was the allocator's now is whoever's asks next
        self._fill_free()
        self._cuda.empty_cache()

    def _fill_free(self) -> None:
        import torch

        self._pressed += 1
        held: list[Any] = []
        sizes = [size for size, number in BLOCKS for _ in range(number)]
        try:
            for size in sizes:
                held.append(torch.empty(size, dtype=torch.uint8, device=f"cuda:{self._index}"))
        except torch.cuda.OutOfMemoryError:
            del held[len(held) // 2 :]  # nothing free is left, which is more than was wanted
        for block in held:
            block.fill_(GARBAGE[self._pressed % len(GARBAGE)])
        self.synchronize()

    def using(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self._cuda.device(self._index)
        return context
