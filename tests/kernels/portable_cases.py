"""Launches of the portable kernels, with NumPy's answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import portable_kernels as kernels
import torch

from rocmoe.ops.core.launch import launch


@dataclass(frozen=True)
class Case:
    """check: raises AssertionError where the answers in the arguments are wrong."""

    kernel: Any
    grid: int
    arguments: dict[str, Any]
    check: Callable[[], None]
    num_warps: int = 4
    num_stages: int | None = None

    def run(self) -> None:
        options = {"num_warps": self.num_warps, "num_stages": self.num_stages}
        launch(self.kernel, (self.grid,), **self.arguments, **options)


def draw(low, high, shape, dtype=np.int32):
    return np.random.default_rng(0).integers(low, high, shape).astype(dtype)


def reduce_row() -> Case:
    x, total, largest = draw(-50, 50, (3, 1024), np.float32), torch.empty(3), torch.empty(3)

    def check():
        np.testing.assert_array_equal(total, x.sum(1))
        np.testing.assert_array_equal(largest, x.max(1))

    given = {"x": torch.from_numpy(x), "total": total, "largest": largest, "COLUMNS": 1024}
    return Case(kernels.reduce_row, 3, given, check)


def sort_row() -> Case:
    x, y = draw(-500, 500, (1, 512)), torch.empty(1, 512, dtype=torch.int32)
    given = {"x": torch.from_numpy(x), "y": y, "COLUMNS": 512}
    return Case(kernels.sort_row, 1, given, lambda: np.testing.assert_array_equal(y, np.sort(x)))


def count_values() -> Case:
    x, counts = draw(0, 64, (2, 500)), torch.empty(2, 64, dtype=torch.int32)
    wanted = [np.bincount(row, minlength=64) for row in x]
    given = {"x": torch.from_numpy(x), "counts": counts, "n": 500, "COLUMNS": 512, "BINS": 64}
    return Case(
        kernels.count_values, 2, given, lambda: np.testing.assert_array_equal(counts, wanted)
    )


def scan_row() -> Case:
    x, y = draw(-500, 500, (2, 1024)), torch.empty(2, 1024, dtype=torch.int32)
    wanted = np.cumsum(x, axis=1)
    given = {"x": torch.from_numpy(x), "y": y, "COLUMNS": 1024}
    return Case(kernels.scan_row, 2, given, lambda: np.testing.assert_array_equal(y, wanted))


def multiply() -> Case:
    a, b = draw(-4, 5, (64, 128), np.float16), draw(-4, 5, (128, 64), np.float16)
    c, wanted = torch.empty(64, 64), a.astype(np.float32) @ b.astype(np.float32)
    given = {"a": torch.from_numpy(a), "b": torch.from_numpy(b), "c": c, "K": 128}
    given |= {"M": 64, "N": 64, "BLOCK": 32}

    def check():
        np.testing.assert_array_equal(c, wanted)

    return Case(kernels.multiply, 1, given, check, num_stages=2)


def count_sort(n: int = 1000, experts: int = 64, block: int = 512) -> Case:
    ids = draw(0, experts, n)
    order, ends, cursors = (torch.empty(size, dtype=torch.int32) for size in (n, experts, experts))

    def check():
        np.testing.assert_array_equal(ends, np.cumsum(np.bincount(ids, minlength=experts)))
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
        np.testing.assert_array_equal(ids[order], np.sort(ids))

    given = {"ids": torch.from_numpy(ids), "order": order, "ends": ends, "cursors": cursors}
    given |= {"n": n, "EXPERTS": experts, "BLOCK": block}
    return Case(kernels.count_sort, 1, given, check, num_warps=8)


def collect_values() -> Case:
    x, kept = draw(-500, 500, 1500), torch.empty(1500, dtype=torch.int32)
    number = torch.zeros(1, dtype=torch.int32)
    largest = torch.full((1,), -(2**31), dtype=torch.int32)
    wanted = np.sort(x[x > 100])

    def check():
        assert (number.item(), largest.item()) == (len(wanted), x.max())
        np.testing.assert_array_equal(np.sort(kept[: len(wanted)]), wanted)

    given = {"x": torch.from_numpy(x), "kept": kept, "number": number, "largest": largest}
    return Case(kernels.collect_values, 3, given | {"n": 1500, "limit": 100, "BLOCK": 512}, check)


def sum_last() -> Case:
    x, parts = draw(-500, 500, (8, 256)), torch.empty(8, dtype=torch.int32)
    done, total = (torch.zeros(1, dtype=torch.int32) for _ in range(2))
    given = {"x": torch.from_numpy(x), "parts": parts, "done": done, "total": total}
    given |= {"PROGRAMS": 8, "BLOCK": 256}

    def check():
        assert total.item() == x.sum()

    return Case(kernels.sum_last, 8, given, check)


CASES: dict[str, Callable[[], Case]] = {
    make.__name__: make
    for make in (
        *(reduce_row, sort_row, count_values, scan_row, multiply),
        *(count_sort, collect_values, sum_last),
    )
}
