"""Drawing the token after the accepted drafts, in Triton: a row at once, or in slices.

A draw compares prefixes with coin * sum, and sum is the last of these very prefixes, so that one
exceeds it for every coin below one.  A token without mass is never drawn, however sums round.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from rocmoe.ops.core.sizes import grow_to_power_of_2
from rocmoe.references.judging.replay import SMALLEST_THRESHOLD


@triton.jit
def load_mass(row, tokens, token_stride, vocabulary, WIDE: tl.constexpr):
    """Probabilities of tokens [M], 0 past the vocabulary."""
    places = tokens
    if WIDE:
        places = tokens.to(tl.int64)
    return tl.load(row + places * token_stride, mask=tokens < vocabulary, other=0.0)


@triton.jit
def pick(values, numbers, number):
    """The element of values [M] whose number it is, 0 where none has it."""
    return tl.sum(tl.where(numbers == number, values, 0), 0)


@triton.jit
def find_crossing(mass, prefix, numbers, target, M: tl.constexpr):
    """The first number whose prefix exceeds target; the last with mass if none; -1 without any."""
    # One reduction for both: those that exceed it rank above M, the first of them highest.
    rank = tl.where(prefix > target, 2 * M - numbers, numbers + 1)
    best = tl.max(tl.where(mass > 0, rank, 0), 0)
    return tl.where(best > M, 2 * M - best, best - 1)


@triton.jit
def draw_from_row(mass, coin, M: tl.constexpr):
    """The token drawn from mass [M], -1 where there is none."""
    numbers = tl.arange(0, M)
    prefix = tl.cumsum(mass, 0)
    target = coin * pick(prefix, numbers, M - 1)
    return find_crossing(mass, prefix, numbers, target, M)


@triton.jit
def choose_slice(partials, slices, coin, SLICES: tl.constexpr):
    """Of the slices whose sums lie at partials: which to draw from, the sum before it, the target.

    The slice is -1 where no slice has mass.  SLICES: their number up to a power of two.
    """
    numbers = tl.arange(0, SLICES)
    sums = tl.load(partials + numbers, mask=numbers < slices, other=0.0)
    prefix = tl.cumsum(sums, 0)
    target = coin * pick(prefix, numbers, slices - 1)
    chosen = find_crossing(sums, prefix, numbers, target, SLICES)
    return chosen, pick(prefix, numbers, chosen - 1), target


@triton.jit
def draw_from_slice(mass, before, target, SLICE: tl.constexpr):
    """The place in mass [SLICE] of the token drawn, -1 where there is none."""
    prefix = before + tl.cumsum(mass, 0)
    return find_crossing(mass, prefix, tl.arange(0, SLICE), target, SLICE)


def describe_probs(target_probs: Any) -> dict[str, Any]:
    """What kernels are given of target_probs f32 [B, N, V]."""
    row_stride, node_stride, token_stride = target_probs.stride()
    vocabulary = target_probs.shape[2]
    return {
        "target_probs": target_probs,
        "probs_row_stride": row_stride,
        "node_stride": node_stride,
        "token_stride": token_stride,
        "vocabulary": vocabulary,
        "WIDE": grow_to_power_of_2(vocabulary) * token_stride >= 2**31,
    }


def describe_coins(
    uniform_samples: Any, threshold_single: float, threshold_acc: float
) -> dict[str, Any]:
    """What kernels are given to decide over drafts with; uniform_samples f32 [B, N]."""
    row_stride, coin_stride = uniform_samples.stride()
    return {
        "uniform_samples": uniform_samples,
        "coins_row_stride": row_stride,
        "coin_stride": coin_stride,
        "threshold_single": float(threshold_single),
        "reciprocal": 1.0 / max(threshold_acc, SMALLEST_THRESHOLD),
    }
