"""Gating by scores that are computed in float32: with a bias, or with groups of experts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import triton
import triton.language as tl

from rocmoe.ops.core.launch import launch
from rocmoe.ops.core.sizes import divide_up, grow_to_power_of_2
from rocmoe.ops.core.variants import Variant
from rocmoe.ops.kernels.shared.groups import keep_groups, key_tiles, load_groups, score_groups
from rocmoe.ops.kernels.shared.keys import (
    LAST_EXPERT,
    LOWEST_SHORT,
    decode_long,
    order_preserving,
)
from rocmoe.ops.kernels.shared.lists import gather_ranks, hide_list, merge_tiles, reduce_lists
from rocmoe.ops.kernels.shared.logit_gating import load_chosen
from rocmoe.ops.kernels.shared.rounds import take_top
from rocmoe.ops.kernels.shared.score_strips import select_scores_by_strips
from rocmoe.ops.kernels.shared.scores import (
    compare_scores,
    finish_rows,
    measure_rows,
    score_logits,
    value_tiles,
)
from rocmoe.ops.kernels.shared.short_keys import (
    count_above,
    decode_expert,
    find_disorder,
    rank_exactly,
)
from rocmoe.ops.kernels.shared.strips import STRIP_WORDS


@triton.jit
def choose_in_rounds(
    values, kept, slots, ROUTED: tl.constexpr, GROUPS: tl.constexpr, SIZE: tl.constexpr,
    TOPK_GROUP: tl.constexpr,
):  # fmt: skip
    """The ids [rows, slots] of the ROUTED best of the groups kept, of one tile of values."""
    ROWS: tl.constexpr = values.shape[0]
    WIDTH: tl.constexpr = values.shape[1] * values.shape[2]
    groups = tl.arange(0, values.shape[1])[None, :, None]
    columns = tl.arange(0, values.shape[2])[None, None, :]
    experts = tl.broadcast_to(groups * SIZE + columns, values.shape)
    values = tl.where(values == values, values, -float("inf"))
    keys = order_preserving(values.to(tl.int32, bitcast=True))
    keys = tl.where((groups < GROUPS) & (columns < SIZE), keys, LOWEST_SHORT)
    if TOPK_GROUP < GROUPS:
        keys = tl.where(kept[:, :, None], keys, LOWEST_SHORT)
    keys, experts = tl.reshape(keys, [ROWS, WIDTH]), tl.reshape(experts, [ROWS, WIDTH])
    _, ids = take_top(keys, experts, slots, ROUTED, 2 * LAST_EXPERT)
    return ids


@triton.jit
def choose(
    values, kept, slots, ROUTED: tl.constexpr,
    GROUPS: tl.constexpr, SIZE: tl.constexpr, TOPK_GROUP: tl.constexpr, RANKS: tl.constexpr,
    KEYS: tl.constexpr, BITS: tl.constexpr,
):  # fmt: skip
    """The ids [rows, slots] of the ROUTED best of the groups kept, and whether bits are left out
    that could order them otherwise.
    """
    best = reduce_lists(merge_tiles(key_tiles(values, GROUPS, SIZE, KEYS, BITS), RANKS), 2)
    if TOPK_GROUP < GROUPS:
        best = hide_list(best, kept)
    best = reduce_lists(best, 1)
    chosen = gather_ranks(best, slots, ROUTED)
    if KEYS == "short":
        ids = decode_expert(chosen, BITS)
        unsettled = find_disorder(best, ROUTED, BITS)
    else:
        _, ids = decode_long(chosen, KEYS == "double")
        unsettled = False
    return tl.where(slots < ROUTED, ids, 0), unsettled


@triton.jit
def select_by_scores(
    gating_output, correction_bias, topk_weights, topk_ids, tokens, token_stride, expert_stride,
    factor,
    E: tl.constexpr, K: tl.constexpr, ROUTED: tl.constexpr, SCORING: tl.constexpr,
    RENORMALIZE: tl.constexpr, GROUPS: tl.constexpr, TOPK_GROUP: tl.constexpr,
    WIDE: tl.constexpr, ROWS: tl.constexpr, PADDED: tl.constexpr,
    COLUMNS: tl.constexpr, RANKS: tl.constexpr, SLOTS: tl.constexpr, KEYS: tl.constexpr,
    BITS: tl.constexpr,
):  # fmt: skip
    """ROWS tokens a program, each group in tiles of COLUMNS.

    PADDED: GROUPS up to a power of two; RANKS, SLOTS: ROUTED and K likewise, RANKS 2 at least.
    KEYS: int or double, 64 bits; short, which takes BITS of the values for the expert and chooses
    again where they matter; or rounds, of one tile a group.
    """
    SIZE: tl.constexpr = E // GROUPS
    first = tl.program_id(0).to(tl.int64) * ROWS
    rows = tl.arange(0, ROWS)
    slots = tl.arange(0, SLOTS)[None, :]
    logits = gating_output + first * token_stride
    there = tl.minimum(rows, (tokens - first - 1).to(tl.int32))
    tiles = load_groups(
        logits, there, token_stride, expert_stride, GROUPS, SIZE, PADDED, COLUMNS, WIDE
    )
    largest, total = measure_rows(tiles, SCORING)
    values = value_tiles(
        tiles, largest[:, :, None], total[:, :, None], correction_bias, GROUPS, SIZE, SCORING
    )
    kept = there
    if TOPK_GROUP < GROUPS:
        kept = keep_groups(score_groups(values, GROUPS, correction_bias is not None), TOPK_GROUP)
    if KEYS == "rounds":
        ids = choose_in_rounds(values[0], kept, slots, ROUTED, GROUPS, SIZE, TOPK_GROUP)
    else:
        ids, unsettled = choose(
            values, kept, slots, ROUTED, GROUPS, SIZE, TOPK_GROUP, RANKS, KEYS, BITS
        )
    chosen = load_chosen(logits, there, ids, token_stride, expert_stride, WIDE)
    at = slots + tl.zeros_like(ids)
    if KEYS == "short":
        value = compare_scores(chosen, largest, total, correction_bias, ids, SCORING)
        counted = slots < ROUTED
        least = tl.min(tl.where(counted, value, float("inf")), 1)
        above = tl.sum((counted & (value > least[:, None])).to(tl.int32), 1)
        all_above = count_above(values, least[:, None, None])
        if TOPK_GROUP < GROUPS:
            all_above = tl.where(kept[:, :, None], all_above, 0)
        missed = tl.sum(tl.sum(all_above, 2), 1) != above
        if tl.max(missed.to(tl.int32), 0) != 0:
            ids, _ = choose(
                values, kept, slots, ROUTED, GROUPS, SIZE, TOPK_GROUP, RANKS, "int", BITS
            )
            chosen = load_chosen(logits, there, ids, token_stride, expert_stride, WIDE)
        elif unsettled:
            at = tl.where(counted, rank_exactly(value, ids, slots, ROUTED), slots)
    scores = score_logits(chosen, largest, total, SCORING)
    weights, ids = finish_rows(scores, ids, slots, factor, E, ROUTED, RENORMALIZE)
    answers = rows[:, None] * K + at
    written = (rows < tokens - first)[:, None] & (slots < K)
    tl.store(topk_weights + first * K + answers, weights, mask=written)
    tl.store(topk_ids + first * K + answers, ids, mask=written)


def select_scores(
    gating_output: Any,
    correction_bias: Any,
    topk: int,
    renormalize: bool,
    *,
    scoring: str,
    variant: Variant,
    groups: int = 1,
    topk_group: int = 1,
    factor: float = 1.0,
    shared: int = 0,
) -> tuple[Any, Any]:
    """Launch the variant: topk_weights f32 [T, k] and topk_ids i32 [T, k] of logits [T, E]."""
    import torch

    tokens, num_experts = gating_output.shape
    device = gating_output.device
    topk_weights = torch.empty((tokens, topk), dtype=torch.float32, device=device)
    topk_ids = torch.empty((tokens, topk), dtype=torch.int32, device=device)
    if correction_bias is not None:
        correction_bias = correction_bias.contiguous()
    kernel, constants = plan_scores(
        num_experts,
        *gating_output.stride(),
        topk,
        bool(renormalize),
        scoring,
        groups,
        topk_group,
        float(factor),
        shared,
        variant,
    )
    launch(
        kernel,
        (divide_up(tokens, variant["rows"]),),
        num_warps=variant["warps"],
        gating_output=gating_output,
        correction_bias=correction_bias,
        topk_weights=topk_weights,
        topk_ids=topk_ids,
        tokens=tokens,
        **constants,
    )
    return topk_weights, topk_ids


@cache
def plan_scores(
    num_experts: int,
    token_stride: int,
    expert_stride: int,
    topk: int,
    renormalize: bool,
    scoring: str,
    groups: int,
    topk_group: int,
    factor: float,
    shared: int,
    variant: Variant,
) -> tuple[Any, Mapping[str, Any]]:
    """The kernel, and its arguments that do not change from call to call."""
    size, routed = num_experts // groups, topk - shared
    constants: dict[str, Any] = {
        "token_stride": token_stride,
        "factor": factor,
        "E": num_experts,
        "K": topk,
        "ROUTED": routed,
        "SCORING": scoring,
        "RENORMALIZE": renormalize,
        "GROUPS": groups,
        "TOPK_GROUP": topk_group,
        "ROWS": variant["rows"],
        "RANKS": max(2, grow_to_power_of_2(routed)),
        "SLOTS": grow_to_power_of_2(topk),
        "KEYS": variant["keys"],
        "BITS": (num_experts - 1).bit_length(),
    }
    if variant.name == "strips":
        strip_bits = (num_experts // STRIP_WORDS.value - 1).bit_length()
        constants |= {"LANES": variant["lanes"], "STRIP_BITS": strip_bits}
        return select_scores_by_strips, constants
    padded = grow_to_power_of_2(groups)
    columns = min(variant["columns"], grow_to_power_of_2(size))
    reach = variant["rows"] * token_stride + padded * max(size, columns) * 2 * expert_stride
    constants |= {
        "expert_stride": expert_stride,
        "WIDE": reach >= 2**31,
        "PADDED": padded,
        "COLUMNS": columns,
    }
    return select_by_scores, constants
