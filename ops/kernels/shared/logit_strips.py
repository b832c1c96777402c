"""Gating by the order of the logits, strip by strip: see `strips` and `logit_gating`."""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.keys import decode_long, decode_short, encode_short
from rocmoe.ops.kernels.shared.lists import gather_ranks, merge_tiles, reduce_lists
from rocmoe.ops.kernels.shared.logit_gating import (
    answer_rows,
    disagrees,
    load_chosen,
    load_tiles,
    sum_powers,
)
from rocmoe.ops.kernels.shared.overlap import announce_next
from rocmoe.ops.kernels.shared.short_keys import decode_expert, find_disorder
from rocmoe.ops.kernels.shared.strips import (
    STRIP_WORDS,
    doubts_short,
    encode_strips,
    encode_values,
    find_index,
    max_halves,
    max_strips,
    unpack_words,
)


@triton.jit
def choose_logits(
    maxima, words, rows, word_stride, K: tl.constexpr, SLOTS: tl.constexpr, STRIPS: tl.constexpr,
    HALVES: tl.constexpr, KEYS: tl.constexpr, BITS: tl.constexpr, STRIP_BITS: tl.constexpr,
):  # fmt: skip
    """The list of the keys of the K best logits, of the maxima of their strips, and whether the
    bits that short keys leave out could choose otherwise.
    """
    keys = encode_strips(maxima, STRIPS, HALVES, KEYS, STRIP_BITS)
    strips = reduce_lists(merge_tiles(keys, SLOTS), 1)
    columns = tl.arange(0, STRIP_WORDS)[None, :]
    opened = ()
    for rank in tl.static_range(K):
        at = find_index(strips[rank], HALVES, KEYS, STRIP_BITS)[:, None] * STRIP_WORDS + columns
        word = tl.load(words + rows[:, None] * word_stride + at)
        if HALVES:
            opened = opened + (encode_short(word.to(tl.int16), 2 * at),)
            opened = opened + (encode_short((word >> 16).to(tl.int16), 2 * at + 1),)
        else:
            opened = opened + (encode_values(word, at, KEYS, BITS),)
    best = reduce_lists(merge_tiles(opened, SLOTS), 1)
    unsettled = False
    if KEYS == "short":
        unsettled = doubts_short(keys, strips, K, STRIP_BITS) | doubts_short(opened, best, K, BITS)
        unsettled |= find_disorder(best, K, BITS)
    return best, unsettled


@triton.jit
def select_by_strips(
    gating_output, topk_weights, topk_ids, tokens, token_stride, word_stride,
    E: tl.constexpr, K: tl.constexpr, SIGMOID: tl.constexpr, RENORMALIZE: tl.constexpr,
    ROWS: tl.constexpr, LANES: tl.constexpr, SLOTS: tl.constexpr, KEYS: tl.constexpr,
    BITS: tl.constexpr, STRIP_BITS: tl.constexpr, EXPERTS: tl.constexpr, ROUND_ROWS: tl.constexpr,
    ANNOUNCE: tl.constexpr,
):  # fmt: skip
    """ROWS tokens a program, LANES strips of each at a time; experts lie side by side.

    KEYS, BITS, STRIP_BITS: of float32 logits as in `encode_values`, for an expert and for a strip;
    logits of 16 bits are read two to a word, rows word_stride words apart.
    """
    announce_next(ANNOUNCE)
    HALVES: tl.constexpr = gating_output.dtype.element_ty.primitive_bitwidth == 16
    DTYPE: tl.constexpr = gating_output.dtype.element_ty
    WORDS: tl.constexpr = E // 2 if HALVES else E
    COLUMNS: tl.constexpr = LANES * STRIP_WORDS
    first = tl.program_id(0).to(tl.int64) * ROWS
    rows = tl.arange(0, ROWS)
    slots = tl.arange(0, SLOTS)[None, :]
    there = tl.minimum(rows, (tokens - first - 1).to(tl.int32))
    words = gating_output
    if HALVES:
        words = gating_output.to(tl.pointer_type(tl.int32), bitcast=True)
    words += first * word_stride
    tiles = load_tiles(words, there, word_stride, 1, WORDS, COLUMNS, False)
    maxima = ()
    for n in tl.static_range(len(tiles)):
        most = tiles[n]
        if HALVES:
            # A sigmoid of infinity is a score like others; a softmax of it is none.
            most = max_halves(most, SIGMOID)
        maxima = maxima + (max_strips(most, STRIP_WORDS),)
    best, unsettled = choose_logits(
        maxima, words, there, word_stride, K, SLOTS, WORDS // STRIP_WORDS, HALVES, KEYS, BITS,
        STRIP_BITS,
    )  # fmt: skip
    if HALVES:
        values, ids = decode_short(gather_ranks(best, slots, K), DTYPE)
    elif KEYS == "short":
        if unsettled:
            best_long, _ = choose_logits(
                maxima, words, there, word_stride, K, SLOTS, WORDS // STRIP_WORDS, HALVES, "int",
                BITS, STRIP_BITS,
            )  # fmt: skip
            values, ids = decode_long(gather_ranks(best_long, slots, K), False)
        else:
            ids = decode_expert(gather_ranks(best, slots, K), BITS)
            ids = tl.where(slots < K, ids, 0)
            values = load_chosen(words, there, ids, word_stride, 1, False)
    else:
        values, ids = decode_long(gather_ranks(best, slots, K), KEYS == "double")
    largest = tl.max(tl.where(slots < K, values, -float("inf")), 1)
    total = largest
    if not (SIGMOID or RENORMALIZE):
        if HALVES:
            total = sum_powers(unpack_words(tiles, False, DTYPE), largest, WORDS, COLUMNS)
            total += sum_powers(unpack_words(tiles, True, DTYPE), largest, WORDS, COLUMNS)
        else:
            total = sum_powers(tiles, largest, E, COLUMNS)
    answer_rows(
        disagrees(values, slots < K, SIGMOID), values, ids, slots, largest, total,
        gating_output, topk_weights, topk_ids, first, tokens, token_stride, 1,
        E, K, SIGMOID, RENORMALIZE, False, EXPERTS, ROUND_ROWS,
    )  # fmt: skip
