"""topk_softmax in portable Triton: k rounds of a maximum over keys that order as the logits do."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from rocmoe.ops.core.launch import launch

#: Logits below 2^-25 count as zero: it moves no probability by more than one rounding.
TINY = tl.constexpr(2.0**-25)
#: Probabilities below exp(-100) are zero in float32, so such logits count as minus infinity.
UNDERFLOW = tl.constexpr(100.0)
LOG2_E = tl.constexpr(1.4426950408889634)
#: Below the key of every logit.
TAKEN = tl.constexpr(-(2**31))
#: Up to this many rounds are unrolled.
UNROLLED = tl.constexpr(16)

LOGITS_A_PROGRAM = 1024
MOST_ROWS = 64


@triton.jit
def order_preserving(bits):
    """int32 bits of a float to an int32 that compares as the float does, and back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def clean_logits(given):
    """float32 logits without what cannot be ordered, or has no order in float32; and the maxima."""
    logits = given.to(tl.float32)
    largest = tl.max(logits, 1)
    # NaN fails the comparison too, and so sorts last.
    logits = tl.where(logits >= largest[:, None] - UNDERFLOW, logits, -float("inf"))
    return tl.where(tl.abs(logits) < TINY, 0.0, logits), largest


@triton.jit
def encode(logits, experts, DTYPE: tl.constexpr):
    """Keys: the logit, above the index where it has 16 bits, since then both fit."""
    if DTYPE.primitive_bitwidth == 16:
        if DTYPE == tl.float16:
            bits = logits.to(tl.float16).to(tl.int16, bitcast=True).to(tl.int32) << 16
        else:
            bits = logits.to(tl.int32, bitcast=True)
        return (order_preserving(bits) & -0x10000) | (0xFFFF - experts)
    return order_preserving(logits.to(tl.int32, bitcast=True))


@triton.jit
def decode(keys, DTYPE: tl.constexpr):
    """The float32 logits that keys were made from."""
    bits = order_preserving(keys)
    if DTYPE == tl.float16:
        return (bits >> 16).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
    if DTYPE == tl.bfloat16:
        bits &= -0x10000
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def take_best(keys, experts, DTYPE: tl.constexpr, EXPERTS: tl.constexpr):
    """The largest key of each row, the lowest expert that has it, and the keys without it."""
    best = tl.max(keys, 1)
    if DTYPE.primitive_bitwidth == 16:
        expert = 0xFFFF - (best & 0xFFFF)
        return best, expert, tl.where(keys == best[:, None], TAKEN, keys)
    expert = tl.min(tl.where(keys == best[:, None], experts, EXPERTS), 1)
    return best, expert, tl.where(experts == expert[:, None], TAKEN, keys)


@triton.jit
def take_top(keys, experts, slots, K: tl.constexpr, DTYPE: tl.constexpr, EXPERTS: tl.constexpr):
    """Keys and ids of the K best experts, in descending order."""
    chosen = tl.full([keys.shape[0], slots.shape[1]], TAKEN, tl.int32)
    ids = tl.zeros([keys.shape[0], slots.shape[1]], tl.int32)
    if K <= UNROLLED:
        for slot in tl.static_range(K):
            best, expert, keys = take_best(keys, experts, DTYPE, EXPERTS)
            chosen = tl.where(slots == slot, best[:, None], chosen)
            ids = tl.where(slots == slot, expert[:, None], ids)
    else:
        for slot in range(K):
            best, expert, keys = take_best(keys, experts, DTYPE, EXPERTS)
            chosen = tl.where(slots == slot, best[:, None], chosen)
            ids = tl.where(slots == slot, expert[:, None], ids)
    return chosen, ids


@triton.jit
def select_experts(
    gating_output,
    topk_weights,
    topk_ids,
    tokens,
    token_stride,
    expert_stride,
    E: tl.constexpr,
    K: tl.constexpr,
    RENORMALIZE: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    EXPERTS: tl.constexpr,
    SLOTS: tl.constexpr,
):
    """ROWS tokens a program. EXPERTS, SLOTS: E and K up to a power of two. WIDE: 64-bit offsets."""
    first = tl.program_id(0).to(tl.int64) * ROWS
    rows = tl.arange(0, ROWS)[:, None]
    experts = tl.arange(0, EXPERTS)[None, :]
    slots = tl.arange(0, SLOTS)[None, :]
    present = rows < tokens - first
    at_row, at_expert = rows, experts
    if WIDE:
        at_row, at_expert = rows.to(tl.int64), experts.to(tl.int64)
    places = gating_output + first * token_stride
    places += at_row * token_stride + at_expert * expert_stride
    given = tl.load(places, mask=present & (experts < E), other=-float("inf"))
    logits, largest = clean_logits(given)
    keys = tl.where(experts < E, encode(logits, experts, given.dtype), TAKEN)
    chosen, ids = take_top(keys, experts, slots, K, given.dtype, EXPERTS)
    scores = tl.where(slots < K, decode(chosen, given.dtype), -float("inf"))
    powers = tl.exp2((scores - largest[:, None]) * LOG2_E)
    if RENORMALIZE:
        total = tl.sum(powers, 1)
    else:
        total = tl.sum(tl.exp2((logits - largest[:, None]) * LOG2_E), 1)
    answers = rows * K + slots
    written = present & (slots < K)
    tl.store(topk_weights + first * K + answers, powers * (1.0 / total)[:, None], mask=written)
    tl.store(topk_ids + first * K + answers, ids, mask=written)


def topk_softmax(gating_output: Any, topk: int, renormalize: bool) -> tuple[Any, Any]:
    """topk_weights f32 [T, k] and topk_ids i32 [T, k] of gating_output [T, E] in any layout.

    Descending, lowest index among equals. NaN sorts last; ids are always in range and unique.
    Semantics: vLLM `topk_softmax` (csrc/moe/topk_softmax_kernels.cu).
    """
    import torch

    tokens, num_experts = gating_output.shape
    token_stride, expert_stride = gating_output.stride()
    device = gating_output.device
    topk_weights = torch.empty((tokens, topk), dtype=torch.float32, device=device)
    topk_ids = torch.empty((tokens, topk), dtype=torch.int32, device=device)
    width = triton.next_power_of_2(num_experts)
    rows = min(MOST_ROWS, max(1, LOGITS_A_PROGRAM // width))
    launch(
        select_experts,
        (triton.cdiv(tokens, rows),),
        gating_output=gating_output,
        topk_weights=topk_weights,
        topk_ids=topk_ids,
        tokens=tokens,
        token_stride=token_stride,
        expert_stride=expert_stride,
        E=num_experts,
        K=topk,
        RENORMALIZE=bool(renormalize),
        WIDE=rows * token_stride + width * expert_stride >= 2**31,
        ROWS=rows,
        EXPERTS=width,
        SLOTS=triton.next_power_of_2(topk),
        num_warps=1,
    )
    return topk_weights, topk_ids
