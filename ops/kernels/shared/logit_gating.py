"""Gating by the order of the logits: softmax, and sigmoid without a bias.

Logits are compared as they are stored, which no rounding disturbs.  Rows where that differs from
the order of the scores, since scores underflow, saturate or hold zeros of either sign, are rare;
programs that meet one choose again in rounds over cleaned logits.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.keys import decode, encode, hide_absent
from rocmoe.ops.kernels.shared.lists import gather_ranks, merge_tiles, reduce_lists
from rocmoe.ops.kernels.shared.overlap import announce_next
from rocmoe.ops.kernels.shared.rounds import (
    SATURATED,
    TINY,
    UNDERFLOW,
    clean_logits,
    rank_values,
)
from rocmoe.ops.kernels.shared.short_keys import (
    count_above,
    decode_expert,
    encode_truncated,
    find_disorder,
    rank_exactly,
)

LOG2_E = tl.constexpr(1.4426950408889634)
#: Added to no sum of sigmoids that counts, and keeps one that underflows from dividing by zero.
LEAST_SUM = tl.constexpr(1e-20)


@triton.jit
def load_tiles(
    places,
    rows,
    token_stride,
    expert_stride,
    E: tl.constexpr,
    COLUMNS: tl.constexpr,
    WIDE: tl.constexpr,
):
    """A tuple of tiles [rows, COLUMNS] of all E columns; rows: present ones only."""
    columns = tl.arange(0, COLUMNS)[None, :]
    at_row, at_column = rows[:, None], columns
    if WIDE:
        at_row, at_column = at_row.to(tl.int64), at_column.to(tl.int64)
    places += at_row * token_stride + at_column * expert_stride
    tiles = ()
    for first in tl.static_range(0, E, COLUMNS):
        if first + COLUMNS <= E:
            tile = tl.load(places)
        else:
            tile = tl.load(places, mask=columns < E - first, other=0.0)
        tiles = tiles + (tile,)
        places += COLUMNS * expert_stride
    return tiles


@triton.jit
def load_chosen(places, rows, ids, token_stride, expert_stride, WIDE: tl.constexpr):
    """The float32 logits of ids [rows, slots]."""
    at_row, at_expert = rows[:, None], ids
    if WIDE:
        at_row, at_expert = at_row.to(tl.int64), at_expert.to(tl.int64)
    return tl.load(places + at_row * token_stride + at_expert * expert_stride).to(tl.float32)


@triton.jit
def encode_tiles(
    tiles, E: tl.constexpr, COLUMNS: tl.constexpr, KEYS: tl.constexpr, BITS: tl.constexpr
):
    """The keys of a tuple of tiles [rows, COLUMNS]."""
    columns = tl.arange(0, COLUMNS)[None, :]
    keys = ()
    for n in tl.static_range(len(tiles)):
        experts = columns + n * COLUMNS
        if KEYS == "short":
            key = encode_truncated(tiles[n], experts, BITS)
        else:
            key = encode(tiles[n], experts, KEYS == "double")
        if (n + 1) * COLUMNS > E:
            key = hide_absent(key, columns < E - n * COLUMNS)
        keys = keys + (key,)
    return keys


@triton.jit
def misses_any(tiles, values, counted, E: tl.constexpr, COLUMNS: tl.constexpr):
    """Whether a logit that is not among values [rows, slots] is above the least of them."""
    least = tl.min(tl.where(counted, values, float("inf")), 1)[:, None]
    above = tl.sum((counted & (values > least)).to(tl.int32), 1)
    all_above = count_above(tiles, least)
    if len(tiles) * COLUMNS > E:
        # The last tile holds zeros past the end, which are no logits.
        absent = tl.arange(0, COLUMNS)[None, :] >= E - (len(tiles) - 1) * COLUMNS
        all_above -= (absent & (least < 0.0)).to(tl.int32)
    return tl.max((tl.sum(all_above, 1) != above).to(tl.int32), 0) != 0


@triton.jit
def sum_powers(tiles, largest, E: tl.constexpr, COLUMNS: tl.constexpr):
    """The sum of exp(logit - largest) over each row."""
    columns = tl.arange(0, COLUMNS)[None, :]
    sums = tl.zeros([tiles[0].shape[0], COLUMNS], tl.float32)
    for n in tl.static_range(len(tiles)):
        powers = tl.exp2((tiles[n].to(tl.float32) - largest[:, None]) * LOG2_E)
        if (n + 1) * COLUMNS > E:
            powers = tl.where(columns < E - n * COLUMNS, powers, 0.0)
        sums += powers
    return tl.sum(sums, 1)


@triton.jit
def disagrees(values, counted, SIGMOID: tl.constexpr):
    """Whether the logits [rows, slots] that were chosen need not be those of the best scores."""
    least = tl.min(tl.where(counted, values, float("inf")), 1)
    largest = tl.max(tl.where(counted, values, -float("inf")), 1)
    if SIGMOID:
        odd = (least < -UNDERFLOW) | (largest > SATURATED)
    else:
        odd = least < largest - UNDERFLOW
    tiny = tl.max((counted & (tl.abs(values) < TINY)).to(tl.int32), 1)
    return tl.max(odd.to(tl.int32) | tiny, 0) != 0


@triton.jit
def weigh(values, counted, largest, total, SIGMOID: tl.constexpr, RENORMALIZE: tl.constexpr):
    """The weights [rows, slots] of the chosen logits; total: of all powers, if not renormalised."""
    if SIGMOID:
        scores = tl.where(counted, 1.0 / (1.0 + tl.exp2(-values * LOG2_E)), 0.0)
        if RENORMALIZE:
            scores *= (1.0 / tl.maximum(tl.sum(scores, 1), LEAST_SUM))[:, None]
    else:
        scores = tl.where(counted, tl.exp2((values - largest[:, None]) * LOG2_E), 0.0)
        if RENORMALIZE:
            total = tl.sum(scores, 1)
        scores *= (1.0 / total)[:, None]
    return scores


@triton.jit
def select_again(
    gating_output,
    topk_weights,
    topk_ids,
    first,
    tokens,
    token_stride,
    expert_stride,
    E: tl.constexpr,
    K: tl.constexpr,
    SIGMOID: tl.constexpr,
    RENORMALIZE: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    EXPERTS: tl.constexpr,
    SLOTS: tl.constexpr,
):
    """Rows first to first + ROWS in rounds over cleaned logits. EXPERTS: E up to a power of two."""
    rows = tl.arange(0, ROWS)
    slots = tl.arange(0, SLOTS)[None, :]
    present = (rows < tokens - first)[:, None]
    (given,) = load_tiles(
        gating_output + first * token_stride,
        tl.minimum(rows, (tokens - first - 1).to(tl.int32)),
        token_stride,
        expert_stride,
        E,
        EXPERTS,
        WIDE,
    )
    experts = tl.arange(0, EXPERTS)[None, :]
    given = tl.where(experts < E, given, -float("inf"))
    logits = clean_logits(given, SIGMOID)
    values, ids = rank_values(logits, experts, slots, K, E, EXPERTS)
    largest = tl.max(logits, 1)
    total = sum_powers((logits,), largest, E, EXPERTS)
    weights = weigh(values, slots < K, largest, total, SIGMOID, RENORMALIZE)
    answers = rows[:, None] * K + slots
    tl.store(topk_weights + first * K + answers, weights, mask=present & (slots < K))
    tl.store(topk_ids + first * K + answers, ids, mask=present & (slots < K))


@triton.jit
def answer_rows(
    again, values, ids, at, largest, total,
    gating_output, topk_weights, topk_ids, first, tokens, token_stride, expert_stride,
    E: tl.constexpr, K: tl.constexpr, SIGMOID: tl.constexpr, RENORMALIZE: tl.constexpr,
    WIDE: tl.constexpr, EXPERTS: tl.constexpr, ROUND_ROWS: tl.constexpr,
):  # fmt: skip
    """Write the logits chosen [rows, slots], each to the slot `at`, or choose all rows again."""
    ROWS: tl.constexpr = values.shape[0]
    SLOTS: tl.constexpr = values.shape[1]
    rows = tl.arange(0, ROWS)
    slots = tl.arange(0, SLOTS)[None, :]
    if again:
        for skipped in range(0, ROWS, ROUND_ROWS):
            if first + skipped < tokens:
                select_again(
                    gating_output, topk_weights, topk_ids, first + skipped, tokens,
                    token_stride, expert_stride, E, K, SIGMOID, RENORMALIZE, WIDE,
                    ROUND_ROWS, EXPERTS, SLOTS,
                )  # fmt: skip
    else:
        weights = weigh(values, slots < K, largest, total, SIGMOID, RENORMALIZE)
        answers = rows[:, None] * K + at
        written = (rows < tokens - first)[:, None] & (slots < K)
        tl.store(topk_weights + first * K + answers, weights, mask=written)
        tl.store(topk_ids + first * K + answers, ids, mask=written)


@triton.jit
def select_in_rounds(
    gating_output, topk_weights, topk_ids, tokens, token_stride, expert_stride,
    E: tl.constexpr, K: tl.constexpr, SIGMOID: tl.constexpr, RENORMALIZE: tl.constexpr,
    WIDE: tl.constexpr, ROWS: tl.constexpr, EXPERTS: tl.constexpr, SLOTS: tl.constexpr,
    ANNOUNCE: tl.constexpr,
):  # fmt: skip
    """ROWS tokens a program, for any k."""
    announce_next(ANNOUNCE)
    first = tl.program_id(0).to(tl.int64) * ROWS
    select_again(
        gating_output, topk_weights, topk_ids, first, tokens, token_stride, expert_stride,
        E, K, SIGMOID, RENORMALIZE, WIDE, ROWS, EXPERTS, SLOTS,
    )  # fmt: skip


@triton.jit
def select_by_lists(
    gating_output, topk_weights, topk_ids, tokens, token_stride, expert_stride,
    E: tl.constexpr, K: tl.constexpr, SIGMOID: tl.constexpr, RENORMALIZE: tl.constexpr,
    WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, SLOTS: tl.constexpr,
    KEYS: tl.constexpr, BITS: tl.constexpr, EXPERTS: tl.constexpr, ROUND_ROWS: tl.constexpr,
    ANNOUNCE: tl.constexpr,
):  # fmt: skip
    """ROWS tokens a program, the experts in tiles of COLUMNS; SLOTS: K up to a power of two.

    KEYS: short (of float32, with BITS for the expert), int or double.
    """
    announce_next(ANNOUNCE)
    first = tl.program_id(0).to(tl.int64) * ROWS
    rows = tl.arange(0, ROWS)
    slots = tl.arange(0, SLOTS)[None, :]
    there = tl.minimum(rows, (tokens - first - 1).to(tl.int32))
    DTYPE: tl.constexpr = gating_output.dtype.element_ty
    places = gating_output + first * token_stride
    at = slots + tl.zeros([ROWS, SLOTS], tl.int32)
    tiles = load_tiles(places, there, token_stride, expert_stride, E, COLUMNS, WIDE)
    best = reduce_lists(merge_tiles(encode_tiles(tiles, E, COLUMNS, KEYS, BITS), SLOTS), 1)
    if KEYS == "short":
        ids = decode_expert(gather_ranks(best, slots, K), BITS)
        ids = tl.where(slots < K, ids, 0)
        values = load_chosen(places, there, ids, token_stride, expert_stride, WIDE)
        again = misses_any(tiles, values, slots < K, E, COLUMNS)
        again |= disagrees(values, slots < K, SIGMOID)
        if find_disorder(best, K, BITS):
            at = tl.where(slots < K, rank_exactly(values, ids, slots, K), slots)
    else:
        values, ids = decode(gather_ranks(best, slots, K), DTYPE, KEYS == "double")
        again = disagrees(values, slots < K, SIGMOID)
    largest = tl.max(tl.where(slots < K, values, -float("inf")), 1)
    total = largest
    if not (SIGMOID or RENORMALIZE):
        total = sum_powers(tiles, largest, E, COLUMNS)
    answer_rows(
        again, values, ids, at, largest, total,
        gating_output, topk_weights, topk_ids, first, tokens, token_stride, expert_stride,
        E, K, SIGMOID, RENORMALIZE, WIDE, EXPERTS, ROUND_ROWS,
    )  # fmt: skip
