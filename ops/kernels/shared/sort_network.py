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
def exchange(keys, LOG: tl.constexpr, bit: tl.constexpr, IN_LANE: tl.constexpr, FAR: tl.constexpr):
    """Bring each two keys whose indices differ in a bit in order, the smaller one first.

    IN_LANE: both are of one lane, where a minimum and a maximum are one instruction each.  FAR: of
    two warps, where a reduction meets the same banks of shared memory many times.
    """
    if FAR:
        others = tl.arange(0, 2**LOG) ^ 2**bit
        other = tl.reshape(tl.gather(tl.reshape(keys, [2**LOG]), others, 0), [2] * LOG)
    else:
        other = keys ^ tl.reduce(keys, LOG - 1 - bit, take_difference, keep_dims=True)
    later = is_one(LOG, bit) != 0
    if IN_LANE:
        return tl.where(later, tl.maximum(keys, other), tl.minimum(keys, other))
    return tl.where((keys > other) != later, other, keys)


@triton.jit
def run_stage(
    keys, LOG: tl.constexpr, stage: tl.constexpr, IN_LANE: tl.constexpr, FAR: tl.constexpr
):
    """Merge runs of 2^(stage-1) keys [2] * LOG.  Where a merge would go down, complements go up.

    IN_LANE, FAR: a bit is set for each bit of an index over which `exchange` finds it so.
    """
    # The complements of the stage before are taken back, and those of this one made.
    if stage == 1:
        turn = is_one(LOG, 1)
    elif stage == LOG:
        turn = is_one(LOG, LOG - 1)
    else:
        turn = is_one(LOG, stage - 1) ^ is_one(LOG, stage)
    keys = keys ^ (0 - turn)
    for bit in tl.static_range(stage - 1, -1, -1):
        keys = exchange(keys, LOG, bit, IN_LANE >> bit & 1, FAR >> bit & 1)
    return keys


@triton.jit
def sort_keys(keys, LOG: tl.constexpr, LANE_BITS: tl.constexpr, WARP_BITS: tl.constexpr):
    """Different int32 keys [2^LOG], LOG >= 2, in ascending order, neighbours in neighbouring lanes.

    LANE_BITS: the lowest bits of an index, which tell the keys of one lane apart.  As soon as warps
    have to exchange, a lane hands its stretch out; from then on they are the highest bits, above
    WARP_BITS that tell the warps apart.
    """
    near: tl.constexpr = LOG - WARP_BITS
    in_lane: tl.constexpr = 2**LOG - 2 ** (LOG - LANE_BITS)
    far: tl.constexpr = 2 ** (LOG - LANE_BITS) - 2 ** (near - LANE_BITS)
    keys = tl.reshape(keys, [2] * LOG)
    for stage in tl.static_range(1, near + 1):
        keys = run_stage(keys, LOG, stage, 2**LANE_BITS - 1, 0)
    keys = tl.gather(tl.reshape(keys, [2**LOG]), tl.arange(0, 2**LOG), 0)
    keys = tl.reshape(keys, [2] * LOG)
    for stage in tl.static_range(near + 1, LOG + 1):
        keys = run_stage(keys, LOG, stage, in_lane, far)
    return tl.reshape(keys, [2**LOG])
