"""A sorting network on the keys of one program, where an exchange is a few instructions.

Batcher's bitonic network: stage s merges runs of 2^(s-1) keys by s exchanges.  Indices are taken
apart into their bits, so that two keys that meet differ in one dimension of a tensor [2] * LOG.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def is_one(LOG: tl.constexpr, bit: tl.constexpr):
    """A bit of the index, 0 or 1, in a shape that broadcasts with [2] * LOG."""
    return tl.reshape(tl.arange(0, 2), [1] * (LOG - 1 - bit) + [2] + [1] * bit)


@triton.jit
def take_difference(a, b):
    """a ^ b, as `tl.reduce` calls it."""
    return a ^ b


@triton.jit
def exchange(keys, LOG: tl.constexpr, bit: tl.constexpr, IN_LANE: tl.constexpr):
    """Bring each two keys whose indices differ in a bit in order, the smaller one first.

    IN_LANE: both are of one lane, where a minimum and a maximum are one instruction each.
    """
    other = keys ^ tl.reduce(keys, LOG - 1 - bit, take_difference, keep_dims=True)
    later = is_one(LOG, bit) != 0
    if IN_LANE:
        return tl.where(later, tl.maximum(keys, other), tl.minimum(keys, other))
    return tl.where((keys > other) != later, other, keys)


@triton.jit
def sort_keys(keys, LOG: tl.constexpr, IN_LANE: tl.constexpr):
    """Different int32 keys [2^LOG], LOG >= 2, in ascending order.

    Where a merge would go down, complements go up.  IN_LANE: the lowest bits of an index that tell
    the keys of one lane apart.
    """
    keys = tl.reshape(keys, [2] * LOG)
    for stage in tl.static_range(1, LOG + 1):
        # The complements of the stage before are taken back, and those of this one made.
        if stage == 1:
            turn = is_one(LOG, 1)
        elif stage == LOG:
            turn = is_one(LOG, LOG - 1)
        else:
            turn = is_one(LOG, stage - 1) ^ is_one(LOG, stage)
        keys = keys ^ (0 - turn)
        for step in tl.static_range(stage):
            keys = exchange(keys, LOG, stage - 1 - step, stage - 1 - step < IN_LANE)
    return tl.reshape(keys, [2**LOG])
