"""One launch for a long row: a program brackets, lists, searches and divides.

What `sift_rows`, `settle_rows` and `write_rows` do in three launches, where there are so many rows
that a program a row keeps a GPU busy.  The row is read again to be divided, from the L2 cache.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.threshold import (
    REGISTERS,
    VECTOR,
    divide,
    find_threshold,
    load_keys,
    load_mass,
    load_rank,
    locate,
)
from rocmoe.ops.kernels.shared.threshold_kernels import settle, sift


@triton.jit
def add_lanes(mass, count, COUNTED: tl.constexpr):
    """Sums over all lanes; the number is zero where it is not counted."""
    number = 0
    if COUNTED:
        number = tl.sum(count, None)
    return tl.sum(mass, None), number


@triton.jit(do_not_specialize=["top_k", "few"])
def renormalise_whole_rows(
    probs,
    top_k,
    top_p,
    listed,
    renorm_probs,
    V,
    row_stride,
    column_stride,
    top_k_stride,
    top_p_stride,
    few,
    BY_RANK: tl.constexpr,
    BY_MASS: tl.constexpr,
    SEQUENTIAL: tl.constexpr,
    RANK_PER_ROW: tl.constexpr,
    MASS_PER_ROW: tl.constexpr,
    WIDE: tl.constexpr,
    SAMPLE: tl.constexpr,
    WAVES: tl.constexpr,
    LANES: tl.constexpr,
    DEPTH: tl.constexpr,
    ROOM: tl.constexpr,
    SLOTS: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A program a row.  listed: int32 [rows, WAVES, ROOM].

    SLOTS: lists up to this length are searched in registers, longer ones CHUNK at a time in memory.
    BLOCK: columns that are divided at once.
    """
    row = tl.program_id(0).to(tl.int64)
    k = load_rank(top_k, row, top_k_stride, V, RANK_PER_ROW)
    p = load_mass(top_p, row, top_p_stride, MASS_PER_ROW)
    places = probs + row * row_stride
    lists = listed + row * WAVES * ROOM
    sums, length, low, high, second_low, second_high = sift(
        places, lists, V, column_stride, 0, k, p, few, BY_RANK, BY_MASS, SEQUENTIAL, WIDE, SAMPLE,
        1, WAVES, LANES, DEPTH, ROOM,
    )  # fmt: skip
    mass, count = add_lanes(sums[0], sums[1], BY_RANK)
    between_mass, between_count = 0.0, 0
    if SEQUENTIAL:
        between_mass, between_count = add_lanes(sums[2], sums[3], True)
    # A wave reads what the others listed.
    tl.debug_barrier()
    threshold = high
    total = 0.0
    right = False
    if tl.max(length, 0) <= SLOTS:
        slots = tl.arange(0, SLOTS)[None, :]
        # A lane loads a vector or none of it: zeros follow a list's last key.
        mask = slots // VECTOR * VECTOR < length[:, None]
        lines = tl.arange(0, WAVES)[:, None] * ROOM
        keys = tl.load(lists + lines + slots, mask=mask, other=0)
        threshold, total, right = find_threshold(
            keys, 0, 0, 0, 0, low, high, second_low, second_high, mass, count, between_mass,
            between_count, k, p, BY_RANK, BY_MASS, SEQUENTIAL, REGISTERS, False, 1, 1,
        )  # fmt: skip
    if not right:
        threshold, total = settle(
            places, V, column_stride, lists, length, low, high, second_low, second_high, mass,
            count, between_mass, between_count, k, p, BY_RANK, BY_MASS, SEQUENTIAL, WIDE, WAVES,
            ROOM, CHUNK,
        )  # fmt: skip
    out = renorm_probs + row * V
    for start in range(0, V, BLOCK):
        at = start + tl.arange(0, BLOCK)
        row_keys = load_keys(places + locate(at, column_stride, WIDE), at < V)
        tl.store(out + at, divide(row_keys, threshold, total), mask=at < V)
