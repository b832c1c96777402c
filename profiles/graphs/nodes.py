"""The nodes of a graph, as the driver's library tells of them, and a drawing of it as DOT.

Of HIP and CUDA alike: `GraphGetNodes`, `GraphNodeGetType` and `GraphDebugDotPrint`, by names that
begin with `hip` or, in CUDA's driver library, `cu`.  Kinds: `hipGraphNodeType` of hip_runtime_api.h
and `CUgraphNodeType` of cuda.h, which agree up to 11.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SHARED = {
    0: "kernel",
    1: "memcpy",
    2: "memset",
    3: "host",
    4: "child graph",
    5: "empty",
    6: "wait event",
    7: "event record",
    8: "semaphore signal",
    9: "semaphore wait",
    10: "mem alloc",
    11: "mem free",
}
KINDS: Mapping[str, Mapping[int, str]] = {
    "hip": {**_SHARED, 12: "memcpy from symbol", 13: "memcpy to symbol", 14: "batch mem op"},
    "cu": {**_SHARED, 12: "batch mem op", 13: "conditional"},
}
#: CUDA's driver has its library in a fixed place; HIP's is the one that torch brought along.
CUDA_LIBRARY = "libcuda.so.1"
HIP_LIBRARY = "libamdhip64.so"
#: Flag 1 of both: everything.  HIP's other flags write files that are no DOT.
VERBOSE = 1


class UnreadError(Exception):
    """The nodes of a graph cannot be read, in one line."""


@dataclass(frozen=True)
class Library:
    """The functions of a driver; prefix: `hip` or `cu`."""

    functions: Any
    prefix: str

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function; `UnreadError` where it is missing or returns an error."""
        full = f"{self.prefix}{name}"
        try:
            function = getattr(self.functions, full)
        except AttributeError:
            raise UnreadError(f"the driver has no {full}") from None
        if code := function(*arguments):
            raise UnreadError(f"{full} returned error {code}")


def load_library(*, hip: bool, maps: Path = Path("/proc/self/maps")) -> Library | UnreadError:
    """The library that knows torch's graphs, or why there is none.

    maps: what is loaded into this process.
    """
    name = _find_loaded(HIP_LIBRARY, maps) if hip else CUDA_LIBRARY
    try:
        return Library(ctypes.CDLL(name), "hip" if hip else "cu")
    except OSError as error:
        return UnreadError(f"{name} cannot be loaded: {error}")


def _find_loaded(name: str, maps: Path) -> str:
    """The path of a library that this process holds; else its bare name."""
    for line in maps.read_text().splitlines():
        path = line.split(maxsplit=5)[-1]
        if Path(path).name.startswith(name):
            return path
    return name


def count_nodes(library: Library, graph: int) -> dict[str, int]:
    """How many nodes of each kind a graph has, by its address; raises `UnreadError`."""
    handle, count = ctypes.c_void_p(graph), ctypes.c_size_t(0)
    library.call("GraphGetNodes", handle, None, ctypes.byref(count))
    nodes = (ctypes.c_void_p * count.value)()
    library.call("GraphGetNodes", handle, nodes, ctypes.byref(count))
    return dict(Counter(_find_kind(library, node) for node in nodes).most_common())


def _find_kind(library: Library, node: int | None) -> str:
    number = ctypes.c_int(-1)
    library.call("GraphNodeGetType", ctypes.c_void_p(node), ctypes.byref(number))
    return KINDS[library.prefix].get(number.value, f"kind {number.value}")


def draw_nodes(library: Library, graph: int, path: Path) -> None:
    """Write a graph as a DOT file; raises `UnreadError`."""
    library.call(
        "GraphDebugDotPrint", ctypes.c_void_p(graph), str(path).encode(), ctypes.c_uint(VERBOSE)
    )
    if not path.is_file() or not path.stat().st_size:
        raise UnreadError(f"the driver wrote no {path}")
