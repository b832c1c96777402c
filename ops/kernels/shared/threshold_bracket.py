"""Where a row's threshold must lie, from a sample of the row.

The sample says, with confidence, which keys are below the threshold and which are not; what it
says is verified on the whole row, so it costs time when it is wrong and never the answer.  Masses
are judged from below: the tail of a sample is representative, while a few large probabilities
that hold nearly everything may all be missing.  That rows sum to one makes up for them.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.threshold import TOP, load_keys, locate, to_values

#: Above the key of every probability.
ABOVE_ONE = tl.constexpr(0x3F800001)
#: Standard deviations of a sampled count, and of a sampled sum, that a bracket covers on a side.
COUNT_DEVIATIONS = tl.constexpr(4.0)
SUM_DEVIATIONS = tl.constexpr(3.5)
#: Sampled keys that it covers beyond these, for sums of a few are not normally distributed.
EXTRA = tl.constexpr(3.0)
#: A bracket's ends are found to this part of its width.
FRACTION = tl.constexpr(4)
#: A sample is spread over the row in runs of this many, which a lane loads at once.
SAMPLE_RUN = tl.constexpr(4)


@triton.jit
def load_sample(places, stride, V, WIDE: tl.constexpr, SAMPLE: tl.constexpr):
    """Keys of SAMPLE columns spread over the V > SAMPLE of a row; int32 [runs, SAMPLE_RUN]."""
    runs: tl.constexpr = SAMPLE // SAMPLE_RUN
    start = (tl.arange(0, runs).to(tl.int64) * V // runs // SAMPLE_RUN * SAMPLE_RUN).to(tl.int32)
    at = start[:, None] + tl.arange(0, SAMPLE_RUN)[None, :]
    return load_keys(places + locate(at, stride, WIDE), at < V)


@triton.jit
def place_rank(keys, share, k):
    """The sampled keys to expect among the k largest, and how many more or fewer there may be."""
    rank = share * k.to(tl.float32)
    variance = tl.maximum(rank * (1.0 - rank / (keys.shape[0] * SAMPLE_RUN)), 0.0)
    return rank, COUNT_DEVIATIONS * tl.sqrt(variance) + EXTRA


@triton.jit
def bound_sum(keys, pivot):
    """The least and the most that a sample of this size should add up to, up to a pivot.

    No summand is above the pivot, so the sum of their squares is at most the pivot's times theirs.
    """
    total = tl.sum(tl.where(keys > pivot, 0.0, to_values(keys)), None)
    value = to_values(pivot)
    spread = SUM_DEVIATIONS * tl.sqrt(total * value)
    return total - spread, total + spread + (SUM_DEVIATIONS + EXTRA) * value


@triton.jit
def judge(keys, pivot, share, rank, spread, p_low, p_high, BY_RANK: tl.constexpr,
          BY_MASS: tl.constexpr):  # fmt: skip
    """Whether by a sample a pivot surely is below the threshold, and whether it surely is not."""
    surely_low = False
    surely_high = True
    if BY_RANK:
        count = tl.sum((keys > pivot).to(tl.int32), None).to(tl.float32)
        surely_low = count >= rank + spread
        surely_high = count <= rank - spread
    if BY_MASS:
        least, most = bound_sum(keys, pivot)
        surely_low = surely_low | (most <= share * (1.0 - p_high))
        surely_high = surely_high & (least >= share * (1.0 - p_low))
    return surely_low, surely_high


@triton.jit
def bracket(keys, share, k, p_low, p_high, BY_RANK: tl.constexpr, BY_MASS: tl.constexpr):
    """low, high: the threshold should be in (low, high].

    share: of the row that the sample is.  p_low, p_high: the mass to keep, or bounds of it.
    It reaches to zero, or to one, where the sample ends first.
    """
    bottom = tl.maximum(tl.min(tl.where(keys > 0, keys, TOP), None) - 1, 0)
    peak = tl.minimum(tl.max(keys, None), ABOVE_ONE)
    bottom = tl.minimum(bottom, peak)
    rank, spread = place_rank(keys, share, k)
    low = bottom
    not_low = peak
    not_high = bottom
    if BY_RANK:
        # No pivot leaves fewer than none above it.
        not_high = tl.where(rank < spread, peak, bottom)
    high = peak
    while tl.maximum(not_low - low, high - not_high) > tl.maximum((high - low) // FRACTION, 1):
        pivot = (not_high + high) // 2
        if not_low - low >= high - not_high:
            pivot = (low + not_low) // 2
        surely_low, surely_high = judge(
            keys, pivot, share, rank, spread, p_low, p_high, BY_RANK, BY_MASS
        )
        low = tl.where(surely_low, tl.maximum(low, pivot), low)
        not_low = tl.where(surely_low, not_low, tl.minimum(not_low, pivot))
        high = tl.where(surely_high, tl.minimum(high, pivot), high)
        not_high = tl.where(surely_high, not_high, tl.maximum(not_high, pivot))
    if low == bottom:
        surely_low, surely_high = judge(
            keys, low, share, rank, spread, p_low, p_high, BY_RANK, BY_MASS
        )
        low = tl.where(surely_low, low, 0)
    if (high == peak) & (not_high < peak):
        surely_low, surely_high = judge(
            keys, high, share, rank, spread, p_low, p_high, BY_RANK, BY_MASS
        )
        not_high = tl.where(surely_high, not_high, peak)
    high = tl.where(not_high == peak, ABOVE_ONE, high)
    return low, tl.maximum(low, high)


@triton.jit
def bracket_both(
    keys,
    share,
    k,
    p,
    few,
    SEQUENTIAL: tl.constexpr,
    BY_RANK: tl.constexpr,
    BY_MASS: tl.constexpr,
):
    """Brackets (low, high] and, at or above it, (second_low, second_high] of the two searches.

    The second is empty where there is one search; it touches the first where they would overlap.
    All is one bracket up to the top where no more than few sampled keys are expected in it.
    """
    if SEQUENTIAL:
        low, high = bracket(keys, share, k, p, p, True, False)
        rank, spread = place_rank(keys, share, k)
        if rank + spread <= few:
            high = ABOVE_ONE
            second_low = ABOVE_ONE
            second_high = ABOVE_ONE
        else:
            least, most = bound_sum(keys, low)
            kept_most = 1.0 - least / share
            least, most = bound_sum(keys, high)
            kept_least = tl.maximum(1.0 - most / share, 0.0)
            second_low, second_high = bracket(
                keys, share, k, p * kept_least, p * kept_most, False, True
            )
            second_low = tl.maximum(second_low, high)
            second_high = tl.maximum(second_high, second_low)
    else:
        low, high = bracket(keys, share, k, p, p, BY_RANK, BY_MASS)
        second_low = high
        second_high = high
    return low, high, second_low, second_high
