"""The k largest in k rounds of a maximum: slower than lists, for any k and with any ties.

What a float64 oracle cannot tell apart counts as equal here, so that the lowest index wins: zeros
of either sign, logits too small or too far below the largest to matter, saturated sigmoids.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.keys import LOWEST_SHORT, order_preserving

#: Logits below 2^-25 count as zero: it moves no probability by more than one rounding.
TINY = tl.constexpr(2.0**-25)
#: exp(-100) is below the smallest normal float32, so such logits count as minus infinity.
UNDERFLOW = tl.constexpr(100.0)
#: sigmoid(x) is 1 in float32 from 17 on, and further apart in float64 only below 37.
SATURATED = tl.constexpr(32.0)


@triton.jit
def clean_logits(given, SIGMOID: tl.constexpr):
    """float32 logits [rows, experts] without what cannot be ordered or matters to no score."""
    logits = given.to(tl.float32)
    # NaN fails the comparisons too, and so sorts last.
    if SIGMOID:
        logits = tl.where(logits >= -UNDERFLOW, tl.minimum(logits, SATURATED), -float("inf"))
    else:
        largest = tl.max(logits, 1)
        logits = tl.where(logits >= largest[:, None] - UNDERFLOW, logits, -float("inf"))
    return tl.where(tl.abs(logits) < TINY, 0.0, logits)


@triton.jit
def take_best(keys, experts, EXPERTS: tl.constexpr):
    """The largest key of each row, the lowest expert that has it, and the keys without it."""
    best = tl.max(keys, 1)
    expert = tl.min(tl.where(keys == best[:, None], experts, EXPERTS), 1)
    return best, expert, tl.where(experts == expert[:, None], LOWEST_SHORT, keys)


@triton.jit
def take_top(keys, experts, slots, K: tl.constexpr, EXPERTS: tl.constexpr):
    """Keys and ids [rows, slots] of the K best experts, in descending order."""
    chosen = tl.full([keys.shape[0], slots.shape[1]], LOWEST_SHORT, tl.int32)
    ids = tl.zeros([keys.shape[0], slots.shape[1]], tl.int32)
    # Not unrolled: it would double the code of kernels that rarely come here.
    for slot in range(K):
        best, expert, keys = take_best(keys, experts, EXPERTS)
        chosen = tl.where(slots == slot, best[:, None], chosen)
        ids = tl.where(slots == slot, expert[:, None], ids)
    return chosen, ids


@triton.jit
def rank_values(values, experts, slots, K: tl.constexpr, E: tl.constexpr, EXPERTS: tl.constexpr):
    """The K largest float32 values of each row and their experts [rows, slots].

    values [rows, EXPERTS]: without NaN; those from E on do not count.
    """
    keys = order_preserving(values.to(tl.int32, bitcast=True))
    keys = tl.where(experts < E, keys, LOWEST_SHORT)
    chosen, ids = take_top(keys, experts, slots, K, EXPERTS)
    return order_preserving(chosen).to(tl.float32, bitcast=True), ids
