"""Tiles [rows, groups, columns] of experts that stand in groups, and which groups are kept."""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.keys import LOWEST_LONG, encode_long, hide_absent
from rocmoe.ops.kernels.shared.short_keys import encode_truncated

#: Rounds beyond these are a loop: 512 of them, unrolled, took over 300 s to compile for an H100.
MOST_UNROLLED = tl.constexpr(8)


@triton.jit
def load_groups(
    places, rows, token_stride, expert_stride,
    GROUPS: tl.constexpr, SIZE: tl.constexpr, PADDED: tl.constexpr, COLUMNS: tl.constexpr,
    WIDE: tl.constexpr,
):  # fmt: skip
    """A tuple of tiles [rows, PADDED groups, COLUMNS] of float32 logits, -inf where none is."""
    groups = tl.arange(0, PADDED)[None, :, None]
    columns = tl.arange(0, COLUMNS)[None, None, :]
    at_row, at_column = rows[:, None, None], groups * SIZE + columns
    if WIDE:
        at_row, at_column = at_row.to(tl.int64), at_column.to(tl.int64)
    places += at_row * token_stride + at_column * expert_stride
    tiles = ()
    for first in tl.static_range(0, SIZE, COLUMNS):
        if PADDED == GROUPS and first + COLUMNS <= SIZE:
            tile = tl.load(places)
        else:
            present = (groups < GROUPS) & (columns < SIZE - first)
            tile = tl.load(places, mask=present, other=-float("inf"))
        tiles = tiles + (tile.to(tl.float32),)
        places += COLUMNS * expert_stride
    return tiles


@triton.jit
def key_tiles(
    values, GROUPS: tl.constexpr, SIZE: tl.constexpr, KEYS: tl.constexpr, BITS: tl.constexpr
):
    """The keys of tiles [rows, groups, columns] of values."""
    groups = tl.arange(0, values[0].shape[1])[None, :, None]
    columns = tl.arange(0, values[0].shape[2])[None, None, :]
    keys = ()
    for n in tl.static_range(len(values)):
        experts = groups * SIZE + columns + n * values[0].shape[2]
        if KEYS == "short":
            key = encode_truncated(values[n], experts, BITS)
        else:
            key = encode_long(values[n], experts, KEYS == "double")
        if GROUPS < values[0].shape[1] or SIZE < (n + 1) * values[0].shape[2]:
            present = (groups < GROUPS) & (columns < SIZE - n * values[0].shape[2])
            key = hide_absent(key, present)
        keys = keys + (key,)
    return keys


@triton.jit
def add_top_two(first, second, other_first, other_second):
    """The two largest of two pairs."""
    lower = tl.maximum(second, other_second)
    return tl.maximum(first, other_first), tl.maximum(tl.minimum(first, other_first), lower)


@triton.jit
def score_groups(values, GROUPS: tl.constexpr, BY_SUM: tl.constexpr):
    """int64 keys [rows, groups] of the groups' scores: the sum of the two best, or the best."""
    first = values[0]
    second = tl.full(first.shape, -float("inf"), tl.float32)
    for n in tl.static_range(1, len(values)):
        second = tl.maximum(second, tl.minimum(first, values[n]))
        first = tl.maximum(first, values[n])
    if BY_SUM:
        first, second = tl.reduce((first, second), 2, add_top_two)
        # A group of one expert has no second.
        scores = first + tl.where(second == -float("inf"), 0.0, second)
    else:
        scores = tl.max(first, 2)
    groups = tl.arange(0, values[0].shape[1])[None, :]
    return hide_absent(encode_long(scores, groups, False), groups < GROUPS)


@triton.jit
def keep_best(keys, kept):
    """The group with the largest key kept too, and the keys without it."""
    best = keys == tl.max(keys, 1)[:, None]
    return tl.where(best, LOWEST_LONG, keys), kept | best


@triton.jit
def keep_groups(keys, TOPK_GROUP: tl.constexpr):
    """Whether each group [rows, groups] is among the TOPK_GROUP best by its key."""
    kept = tl.zeros(keys.shape, tl.int1)
    if TOPK_GROUP <= MOST_UNROLLED:
        for _ in tl.static_range(TOPK_GROUP):
            keys, kept = keep_best(keys, kept)
    else:
        for _ in range(TOPK_GROUP):
            keys, kept = keep_best(keys, kept)
    return kept
