"""Small Triton kernels whose waves exchange data in every way that kernels of this kind do."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def reduce_row(x, total, largest, COLUMNS: tl.constexpr):
    """Sum and maximum of a row, over all waves of a workgroup."""
    row = tl.program_id(0)
    values = tl.load(x + row * COLUMNS + tl.arange(0, COLUMNS))
    tl.store(total + row, tl.sum(values, 0))
    tl.store(largest + row, tl.max(values, 0))


@triton.jit
def sort_row(x, y, COLUMNS: tl.constexpr):
    """A row in ascending order: a bitonic network across waves."""
    places = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    tl.store(y + places, tl.sort(tl.load(x + places)))


@triton.jit
def count_values(x, counts, n, COLUMNS: tl.constexpr, BINS: tl.constexpr):
    """How often each value below BINS stands in a row of n."""
    row = tl.program_id(0)
    columns = tl.arange(0, COLUMNS)
    values = tl.load(x + row * n + columns, mask=columns < n, other=0)
    bins = tl.histogram(values, BINS, mask=columns < n)
    tl.store(counts + row * BINS + tl.arange(0, BINS), bins)


@triton.jit
def scan_row(x, y, COLUMNS: tl.constexpr):
    """Running sums of a row, across waves."""
    places = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    tl.store(y + places, tl.cumsum(tl.load(x + places), 0))


@triton.jit
def multiply(a, b, c, K, M: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr):
    """c f32 [M, N] = a f16 [M, K] times b f16 [K, N], a row of blocks ahead of the sums."""
    rows, columns, depth = tl.arange(0, M), tl.arange(0, N), tl.arange(0, BLOCK)
    sums = tl.zeros([M, N], tl.float32)
    for start in range(0, K, BLOCK):
        left = tl.load(a + rows[:, None] * K + start + depth[None, :])
        right = tl.load(b + (start + depth)[:, None] * N + columns[None, :])
        sums = tl.dot(left, right, sums)
    tl.store(c + rows[:, None] * N + columns[None, :], sums)


@triton.jit
def count_sort(ids, order, ends, cursors, n, EXPERTS: tl.constexpr, BLOCK: tl.constexpr):
    """The places of n ids, those of one id side by side; where each id's places end.

    One workgroup, whose waves hand each other where an id's places start through memory.
    """
    experts, lanes = tl.arange(0, EXPERTS), tl.arange(0, BLOCK)
    counts = tl.zeros([EXPERTS], tl.int32)
    for start in range(0, n, BLOCK):
        present = start + lanes < n
        counts += tl.histogram(
            tl.load(ids + start + lanes, mask=present, other=0), EXPERTS, present
        )
    sums = tl.cumsum(counts, 0)
    tl.store(ends + experts, sums)
    tl.store(cursors + experts, sums - counts)
    tl.debug_barrier()
    for start in range(0, n, BLOCK):
        present = start + lanes < n
        expert = tl.load(ids + start + lanes, mask=present, other=0)
        place = tl.atomic_add(cursors + expert, 1, mask=present, sem="relaxed")
        tl.store(order + place, start + lanes, mask=present)


@triton.jit
def collect_values(x, kept, number, largest, n, limit, BLOCK: tl.constexpr):
    """Values above a limit in any order, how many they are, and the largest of all."""
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    values = tl.load(x + places, mask=places < n, other=-(2**31))
    chosen = (values > limit) & (places < n)
    place = tl.atomic_add(number + tl.zeros([BLOCK], tl.int32), 1, mask=chosen)
    tl.store(kept + place, values, mask=chosen)
    tl.atomic_max(largest, tl.max(values, 0))


@triton.jit
def sum_last(x, parts, done, total, PROGRAMS: tl.constexpr, BLOCK: tl.constexpr):
    """A sum whose parts the workgroup that comes last adds up: no second launch."""
    program = tl.program_id(0)
    part = tl.sum(tl.load(x + program * BLOCK + tl.arange(0, BLOCK)), 0)
    tl.store(parts + program, part)
    if tl.atomic_add(done, 1, sem="acq_rel") == PROGRAMS - 1:
        tl.store(total, tl.sum(tl.load(parts + tl.arange(0, PROGRAMS)), 0))
