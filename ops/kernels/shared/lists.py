"""Sorted lists of keys, a tensor for each rank: how the gating kernels find the k largest.

A list is a tuple of tensors of one shape; rank 0 holds the largest key of every lane.  Comparing
whole tensors with each other takes no data across lanes, so a sorting network over the loaded tiles
costs two instructions a comparison and no traffic, and what remains is to merge the lists of a row:
`reduce_lists` does it within a thread first, then between the few lanes that share a row.

Keys are distinct: the index of their expert stands in the low bits.  Batcher's odd-even merge sort
and bitonic merger: K. E. Batcher, Sorting networks and their applications, AFIPS 1968.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.keys import hide_absent

#: Up to this many ranks; longer lists take more registers than rounds of a maximum take time.
MOST_RANKS = 16


@triton.constexpr_function
def sorting_stages(length):
    """Batcher's odd-even merge sort of a list: for each stage, every rank's partner or itself."""
    stages, width = [], 1
    while width < length:
        reach = width
        while reach >= 1:
            partners = list(range(length))
            for start in range(reach % width, length - reach, 2 * reach):
                for i in range(start, min(start + reach, length - reach)):
                    if i // (2 * width) == (i + reach) // (2 * width):
                        partners[i], partners[i + reach] = i + reach, i
            stages.append(tuple(partners))
            reach //= 2
        width *= 2
    return tuple(stages)


@triton.constexpr_function
def merging_stages(length):
    """The stages that sort a bitonic list; length: a power of two."""
    stages, reach = [], length // 2
    while reach:
        stages.append(tuple(rank ^ reach for rank in range(length)))
        reach //= 2
    return tuple(stages)


@triton.jit
def larger(a, b):
    """The larger keys; NaN is not a key."""
    if a.dtype == tl.int64:
        larger_key = tl.where(a > b, a, b)
    else:
        larger_key = tl.maximum(a, b)
    return larger_key


@triton.jit
def smaller(a, b):
    """The smaller keys."""
    if a.dtype == tl.int64:
        smaller_key = tl.where(a > b, b, a)
    else:
        smaller_key = tl.minimum(a, b)
    return smaller_key


@triton.jit
def exchange(keys, STAGES: tl.constexpr):
    """The list after compare-exchanges between partners, the larger key to the lower rank."""
    for stage in tl.static_range(len(STAGES)):
        changed = ()
        for rank in tl.static_range(len(keys)):
            if rank < STAGES[stage][rank]:
                changed = changed + (larger(keys[rank], keys[STAGES[stage][rank]]),)
            elif rank > STAGES[stage][rank]:
                changed = changed + (smaller(keys[STAGES[stage][rank]], keys[rank]),)
            else:
                changed = changed + (keys[rank],)
        keys = changed
    return keys


@triton.jit
def sort_list(keys):
    """The list in descending order."""
    return exchange(keys, sorting_stages(len(keys)))


@triton.jit
def merge_lists(a, b):
    """The largest of two sorted lists, sorted and as long as the first; the second may be shorter.

    len(a): a power of two.
    """
    kept = ()
    for rank in tl.static_range(len(a)):
        if len(a) - 1 - rank < len(b):
            kept = kept + (larger(a[rank], b[len(a) - 1 - rank]),)
        else:
            kept = kept + (a[rank],)
    return exchange(kept, merging_stages(len(a)))


@triton.jit
def merge_2(a0, a1, b0, b1):
    """`merge_lists` as `tl.reduce` calls it."""
    return merge_lists((a0, a1), (b0, b1))


@triton.jit
def merge_4(a0, a1, a2, a3, b0, b1, b2, b3):
    """`merge_lists` as `tl.reduce` calls it."""
    return merge_lists((a0, a1, a2, a3), (b0, b1, b2, b3))


@triton.jit
def merge_8(a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7):
    """`merge_lists` as `tl.reduce` calls it."""
    return merge_lists((a0, a1, a2, a3, a4, a5, a6, a7), (b0, b1, b2, b3, b4, b5, b6, b7))


@triton.jit
def merge_16(
    a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15,
    b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15,
):  # fmt: skip
    """`merge_lists` as `tl.reduce` calls it."""
    a = (a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15)
    b = (b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15)
    return merge_lists(a, b)


@triton.jit
def reduce_lists(keys, axis: tl.constexpr):
    """The largest keys along an axis, of sorted lists of 2, 4, 8 or 16 ranks."""
    if len(keys) == 2:
        reduced = tl.reduce(keys, axis, merge_2)
    elif len(keys) == 4:
        reduced = tl.reduce(keys, axis, merge_4)
    elif len(keys) == 8:
        reduced = tl.reduce(keys, axis, merge_8)
    else:
        reduced = tl.reduce(keys, axis, merge_16)
    return reduced


@triton.jit
def merge_tiles(keys, RANKS: tl.constexpr):
    """The sorted list of the RANKS largest at each place of a tuple of any number of tensors."""
    best = ()
    for first in tl.static_range(0, len(keys), RANKS):
        part = ()
        for n in tl.static_range(RANKS):
            if first + n < len(keys):
                part = part + (keys[first + n],)
        part = sort_list(part)
        if first == 0:
            for _ in tl.static_range(RANKS - len(part)):
                part = part + (hide_absent(keys[0], False),)
            best = part
        else:
            best = merge_lists(best, part)
    return best


@triton.jit
def gather_ranks(keys, slots, RANKS: tl.constexpr):
    """[rows, slots] of a list of [rows]: the key of rank `slot` in each slot."""
    chosen = tl.broadcast_to(keys[0][:, None], [keys[0].shape[0], slots.shape[1]])
    for rank in tl.static_range(1, RANKS):
        chosen = tl.where(slots == rank, keys[rank][:, None], chosen)
    return chosen


@triton.jit
def hide_list(keys, present):
    """The list with every rank below every key where nothing is present."""
    hidden = ()
    for rank in tl.static_range(len(keys)):
        hidden = hidden + (hide_absent(keys[rank], present),)
    return hidden
