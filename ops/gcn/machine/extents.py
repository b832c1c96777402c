"""Extents of memory: which addresses lie in none of them, and words for a place near a tensor."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from rocmoe.ops.gcn.machine.launch import Tensor
from rocmoe.ops.gcn.semantics.words import Array


class Extents:
    """The union of ranges of addresses, each from its first to one past its last."""

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        merged: list[tuple[int, int]] = []
        for start, end in sorted(pair for pair in ranges if pair[0] < pair[1]):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        self._starts = [start for start, _ in merged]
        self._ends = [end for _, end in merged]
        # The first entry is that of addresses before all ranges.
        self._start_table = np.array([np.iinfo(np.int64).min, *self._starts], np.int64)
        self._end_table = np.array([0, *self._ends], np.int64)

    def find_outside(self, addresses: Array, size: int) -> Array | None:
        """Which accesses of `size` bytes touch what is in no range: bool, as addresses (int64, at
        least one); None where none does."""
        low, high = int(addresses.min()), int(addresses.max()) + size
        if self.covers(low, high):
            return None
        number = np.searchsorted(self._start_table, addresses, "right") - 1
        outside = (number == 0) | (addresses > self._end_table[number] - size)
        return outside if outside.any() else None

    def covers(self, low: int, high: int) -> bool:
        """Whether all bytes from `low` up to `high` are in one range."""
        number = bisect_right(self._starts, low) - 1
        return number >= 0 and high <= self._ends[number]


def describe_place(tensor: Tensor, distance: int, size: int) -> str:
    """Words for `size` bytes that start `distance` bytes behind a tensor's first element."""
    name = f"{tensor.name}[{', '.join(map(str, tensor.shape))}]"
    if distance < 0:
        return f"{plural(-distance, 'byte')} before the start of {name}"
    past = distance + size - tensor.extent
    if past <= 0:
        return _describe_element(tensor, distance)
    return f"{plural(past, 'byte')} past the end of {name}"


def is_element(tensor: Tensor, distance: int) -> bool:
    """Whether the byte `distance` bytes behind the first element, within the extent, is one of an
    element's, and not of a gap between rows."""
    return not _find_indices(tensor, distance // tensor.itemsize)[1]


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("s" if count != 1 else "")


def _describe_element(tensor: Tensor, distance: int) -> str:
    element, rest = divmod(distance, tensor.itemsize)
    indices, beyond = _find_indices(tensor, element)
    suffix = f" + {plural(rest, 'byte')}" if rest else ""
    if beyond:
        row = ", ".join(map(str, indices))
        return f"{plural(beyond, 'element')} past row {row} of {tensor.name}{suffix}"
    return f"{tensor.name}[{', '.join(map(str, indices))}]{suffix}"


def _find_indices(tensor: Tensor, element: int) -> tuple[list[int], int]:
    """The indices of an element, and 0; or of a gap between rows those of the row before it, and
    how many elements it is past the row's last."""
    order = sorted(range(len(tensor.shape)), key=lambda at: -tensor.strides[at])
    indices = [0] * len(order)
    for position, at in enumerate(order):
        inner = sum((tensor.shape[i] - 1) * tensor.strides[i] for i in order[position:])
        if element > inner:
            return [indices[i] for i in sorted(order[:position])], element - inner
        if tensor.strides[at] and tensor.shape[at] > 1:
            indices[at] = min(element // tensor.strides[at], tensor.shape[at] - 1)
            element -= indices[at] * tensor.strides[at]
    return indices, element
