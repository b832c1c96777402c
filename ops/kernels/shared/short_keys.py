"""Keys of float32 values in 32 bits: the low bits of the value give way to the expert.

On NVIDIA a compare-exchange of 64 bits takes six instructions and one of 32 bits two, so values are
first chosen without their low bits, and then checked against all bits: what was dropped can only
matter where the best value left out is within those bits of the worst one chosen.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.keys import LOWEST_LONG, encode_long, order_preserving


@triton.jit
def encode_truncated(values, experts, BITS: tl.constexpr):
    """int32 keys of float32 values; experts: below 2^BITS, the lowest of them the largest key."""
    order = order_preserving(values.to(tl.int32, bitcast=True))
    return (order & -(1 << BITS)) | ((1 << BITS) - 1 - experts)


@triton.jit
def decode_expert(keys, BITS: tl.constexpr):
    """The experts of keys; without a subtraction, for the reason that `find_expert` gives."""
    return ~keys & ((1 << BITS) - 1)


@triton.jit
def count_above(tiles, least):
    """How many values of each place in a tuple of tensors are above `least`."""
    count = (tiles[0] > least).to(tl.int32)
    for n in tl.static_range(1, len(tiles)):
        count += (tiles[n] > least).to(tl.int32)
    return count


@triton.jit
def find_disorder(best, K: tl.constexpr, BITS: tl.constexpr):
    """Whether any two of the first K keys of a list of [rows] differ in their experts alone."""
    doubt = best[0] != best[0]
    for rank in tl.static_range(1, K):
        doubt = doubt | ((best[rank - 1] ^ best[rank]) < (1 << BITS))
    return tl.max(doubt.to(tl.int32), 0) != 0


@triton.jit
def rank_exactly(values, ids, slots, K: tl.constexpr):
    """The rank of each of the first K slots [rows, slots] by all bits of its value."""
    keys = encode_long(values, ids, False)
    keys = tl.where(slots < K, keys, LOWEST_LONG)
    better = keys[:, None, :] > keys[:, :, None]
    return tl.sum(better.to(tl.int32), 2)
