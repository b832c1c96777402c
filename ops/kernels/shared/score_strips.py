"""Gating by scores computed in float32, strip by strip: see `strips` and `score_gating`."""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.groups import add_top_two
from rocmoe.ops.kernels.shared.keys import hide_absent
from rocmoe.ops.kernels.shared.lists import gather_ranks, merge_tiles, reduce_lists
from rocmoe.ops.kernels.shared.logit_gating import load_chosen, load_tiles
from rocmoe.ops.kernels.shared.scores import (
    compare_scores,
    finish_rows,
    measure_rows,
    score_logits,
)
from rocmoe.ops.kernels.shared.short_keys import find_disorder
from rocmoe.ops.kernels.shared.strips import (
    STRIP_WORDS,
    doubts_short,
    encode_strips,
    encode_values,
    find_index,
    max_strips,
)


@triton.jit
def max_two(values):
    """The two largest of every strip of a tile [rows, columns]: two tiles [rows, strips]."""
    shape: tl.constexpr = [values.shape[0], values.shape[1] // STRIP_WORDS, STRIP_WORDS]
    strips = tl.reshape(values, shape)
    return tl.reduce((strips, tl.full(shape, -float("inf"), tl.float32)), 2, add_top_two)


@triton.jit
def score_group(firsts, seconds, BY_SUM: tl.constexpr):
    """The score [rows] of a group, of the two largest of its strips, tiles [rows, strips]: the sum
    of the two best, or the best.
    """
    first, second = firsts[0], seconds[0]
    for n in tl.static_range(1, len(firsts)):
        first, second = add_top_two(first, second, firsts[n], seconds[n])
    if BY_SUM:
        first, second = tl.reduce((first, second), 1, add_top_two)
        score = first + second
    else:
        score = tl.max(first, 1)
    return score


@triton.jit
def rank_groups(scores):
    """How many groups are better than each, the lower of equals: tuples of [rows]."""
    ranks = ()
    for group in tl.static_range(len(scores)):
        rank = tl.zeros(scores[0].shape, tl.int32)
        for other in tl.static_range(len(scores)):
            if other < group:
                rank += (scores[other] >= scores[group]).to(tl.int32)
            elif other > group:
                rank += (scores[other] > scores[group]).to(tl.int32)
        ranks = ranks + (rank,)
    return ranks


@triton.jit
def hide_groups(keys, ranks, TOPK_GROUP: tl.constexpr):
    """The keys of tiles [rows, lanes], below every other in groups that are not kept."""
    hidden = ()
    for n in tl.static_range(len(keys)):
        kept = (ranks[n // (len(keys) // len(ranks))] < TOPK_GROUP)[:, None]
        hidden = hidden + (hide_absent(keys[n], kept),)
    return hidden


@triton.jit
def choose_scores(
    maxima, ranks, logits, correction_bias, rows, slots, token_stride, largest, total,
    ROUTED: tl.constexpr, RANKS: tl.constexpr, STRIPS: tl.constexpr, TOPK_GROUP: tl.constexpr,
    SCORING: tl.constexpr, KEYS: tl.constexpr, BITS: tl.constexpr, STRIP_BITS: tl.constexpr,
):  # fmt: skip
    """The ids [rows, slots] of the ROUTED best scores, of the maxima of their strips, and whether
    the bits that short keys leave out could choose otherwise.
    """
    keys = encode_strips(maxima, STRIPS, False, KEYS, STRIP_BITS)
    if TOPK_GROUP < len(ranks):
        keys = hide_groups(keys, ranks, TOPK_GROUP)
    strips = reduce_lists(merge_tiles(keys, RANKS), 1)
    columns = tl.arange(0, STRIP_WORDS)[None, :]
    opened = ()
    for rank in tl.static_range(ROUTED):
        at = find_index(strips[rank], False, KEYS, STRIP_BITS)[:, None] * STRIP_WORDS + columns
        logit = tl.load(logits + rows[:, None] * token_stride + at).to(tl.float32)
        value = compare_scores(logit, largest, total, correction_bias, at, SCORING)
        opened = opened + (encode_values(value, at, KEYS, BITS),)
    best = reduce_lists(merge_tiles(opened, RANKS), 1)
    unsettled = False
    if KEYS == "short":
        unsettled = doubts_short(keys, strips, ROUTED, STRIP_BITS)
        unsettled |= doubts_short(opened, best, ROUTED, BITS) | find_disorder(best, ROUTED, BITS)
    ids = find_index(gather_ranks(best, slots, ROUTED), False, KEYS, BITS)
    return tl.where(slots < ROUTED, ids, 0), unsettled


@triton.jit
def select_scores_by_strips(
    gating_output, correction_bias, topk_weights, topk_ids, tokens, token_stride, factor,
    E: tl.constexpr, K: tl.constexpr, ROUTED: tl.constexpr, SCORING: tl.constexpr,
    RENORMALIZE: tl.constexpr, GROUPS: tl.constexpr, TOPK_GROUP: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr, RANKS: tl.constexpr, SLOTS: tl.constexpr,
    KEYS: tl.constexpr, BITS: tl.constexpr, STRIP_BITS: tl.constexpr,
):  # fmt: skip
    """ROWS tokens a program, LANES strips of each at a time; experts lie side by side.

    A group is a whole number of tiles of LANES strips, if there are groups.  KEYS, BITS,
    STRIP_BITS: as in `encode_values`, for an expert and for a strip.
    """
    COLUMNS: tl.constexpr = LANES * STRIP_WORDS
    STRIPS: tl.constexpr = E // STRIP_WORDS
    first = tl.program_id(0).to(tl.int64) * ROWS
    rows = tl.arange(0, ROWS)
    slots = tl.arange(0, SLOTS)[None, :]
    columns = tl.zeros([ROWS, COLUMNS], tl.int32) + tl.arange(0, COLUMNS)[None, :]
    there = tl.minimum(rows, (tokens - first - 1).to(tl.int32))
    logits = gating_output + first * token_stride
    tiles = load_tiles(logits, there, token_stride, 1, E, COLUMNS, False)
    given = ()
    for n in tl.static_range(len(tiles)):
        tile = tiles[n].to(tl.float32)
        if (n + 1) * COLUMNS > E:
            # Strips past the end are hidden; no power of theirs may count.
            tile = tl.where(columns < E - n * COLUMNS, tile, -float("inf"))
        given = given + (tile,)
    largest, total = measure_rows(given, SCORING)
    ranks, maxima = (there,), ()
    scores, firsts, seconds = (), (), ()
    for n in tl.static_range(len(tiles)):
        at = columns + n * COLUMNS
        if (n + 1) * COLUMNS > E:
            at = tl.minimum(at, E - 1)
        value = compare_scores(given[n], largest, total, correction_bias, at, SCORING)
        if TOPK_GROUP < GROUPS:
            most, second = max_two(value)
            firsts, seconds = firsts + (most,), seconds + (second,)
            if len(firsts) == len(tiles) // GROUPS:
                scores = scores + (score_group(firsts, seconds, correction_bias is not None),)
                firsts, seconds = (), ()
        else:
            most = max_strips(value, STRIP_WORDS)
        maxima = maxima + (most,)
    if TOPK_GROUP < GROUPS:
        ranks = rank_groups(scores)
    ids, unsettled = choose_scores(
        maxima, ranks, logits, correction_bias, there, slots, token_stride, largest, total,
        ROUTED, RANKS, STRIPS, TOPK_GROUP, SCORING, KEYS, BITS, STRIP_BITS,
    )  # fmt: skip
    if unsettled:
        ids, _ = choose_scores(
            maxima, ranks, logits, correction_bias, there, slots, token_stride, largest, total,
            ROUTED, RANKS, STRIPS, TOPK_GROUP, SCORING, "int", BITS, STRIP_BITS,
        )  # fmt: skip
    chosen = load_chosen(logits, there, ids, token_stride, 1, False)
    weights = score_logits(chosen, largest, total, SCORING)
    weights, ids = finish_rows(weights, ids, slots, factor, E, ROUTED, RENORMALIZE)
    answers = rows[:, None] * K + slots
    written = (rows < tokens - first)[:, None] & (slots < K)
    tl.store(topk_weights + first * K + answers, weights, mask=written)
    tl.store(topk_ids + first * K + answers, ids, mask=written)
