"""The threshold of a row of probabilities: the smallest value that top-k and top-p keep.

A positive float's bits order as the float does, so a row is a set of int32 keys and the threshold
is searched among integers.  A pivot *holds* when fewer than k keys, and a mass below p, lie
strictly above it; the threshold is the smallest key that holds.  All searches keep it in
(low, high]: low does not hold, high does.
"""

from __future__ import annotations

import triton
import triton.language as tl

#: The key of infinity, above every probability's.
TOP = tl.constexpr(0x7F800000)
#: What k >= V becomes.
ALL = tl.constexpr(2**30)
#: What p <= 0 becomes: above no mass, below every other.
SMALLEST = tl.constexpr(2.0**-100)
#: Where keys are: in registers, in lists in memory, or in their row.
REGISTERS = tl.constexpr(0)
LISTS = tl.constexpr(1)
ROW = tl.constexpr(2)
#: Keys that a lane loads at once.
VECTOR = tl.constexpr(4)


@triton.jit
def load_keys(places, mask):
    """Keys of the float32 at `places`; zero where masked, and for what is no positive number."""
    values = tl.load(places, mask=mask, other=0.0)
    return tl.where(values > 0.0, values, 0.0).to(tl.int32, bitcast=True)


@triton.jit
def to_values(keys):
    """The float32 numbers of keys."""
    return keys.to(tl.float32, bitcast=True)


@triton.jit
def locate(columns, stride, WIDE: tl.constexpr):
    """Offsets of columns, in 64 bits where 32 are too few."""
    if WIDE:
        columns = columns.to(tl.int64)
    return columns * stride


@triton.jit
def load_rank(top_k, row, stride, V, PER_ROW: tl.constexpr):
    """k of a row, at least 1; far beyond any row where it keeps all."""
    k = top_k
    if PER_ROW:
        k = tl.load(top_k + row * stride).to(tl.int32)
    return tl.where(k >= V, ALL, tl.maximum(k, 1))


@triton.jit
def load_mass(top_p, row, stride, PER_ROW: tl.constexpr):
    """p of a row: infinite for p >= 1, which keeps all; tiny for p <= 0, which keeps the maxima."""
    p = top_p
    if PER_ROW:
        p = tl.load(top_p + row * stride)
    return tl.where(p >= 1.0, float("inf"), tl.maximum(p, SMALLEST))


@triton.jit
def merge_tallies(mass, count, above, below, other_mass, other_count, other_above, other_below):
    """Two tallies as one."""
    return (
        mass + other_mass,
        count + other_count,
        tl.minimum(above, other_above),
        tl.maximum(below, other_below),
    )


@triton.jit
def merge_masses(mass, above, below, other_mass, other_above, other_below):
    """Two tallies without counts as one."""
    return mass + other_mass, tl.minimum(above, other_above), tl.maximum(below, other_below)


@triton.jit
def reduce_tally(mass, count, above, below, BY_RANK: tl.constexpr):
    """One tally of many; its count is zero where it is not asked for."""
    total_count = 0
    if BY_RANK:
        total_mass, total_count, above, below = tl.reduce(
            (mass, count, above, below), None, merge_tallies
        )
    else:
        total_mass, above, below = tl.reduce((mass, above, below), None, merge_masses)
    return total_mass, total_count, above, below


@triton.jit
def tally_tiles(
    places,
    stride,
    extent,
    lengths,
    pivot,
    BY_RANK: tl.constexpr,
    OF_ROW: tl.constexpr,
    WIDE: tl.constexpr,
    LINES: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """`tally` of keys in memory: of a row, or of LINES lists.

    extent: columns of the row, or the length of the longest list.  stride: of the row's columns,
    or of the lists.  lengths: of the lists, int32 [LINES].
    """
    lines = tl.arange(0, LINES)[:, None]
    slots = tl.arange(0, CHUNK)[None, :]
    mass = tl.zeros([LINES, CHUNK], tl.float32)
    count = tl.zeros([LINES, CHUNK], tl.int32)
    above = tl.full([LINES, CHUNK], TOP, tl.int32)
    below = tl.zeros([LINES, CHUNK], tl.int32)
    step: tl.constexpr = LINES * CHUNK if OF_ROW else CHUNK
    for start in range(0, extent, step):
        if OF_ROW:
            at = start + lines * CHUNK + slots
            keys = load_keys(places + locate(at, stride, WIDE), at < extent)
        else:
            # A lane loads a vector or none of it: zeros follow a list's last key.
            mask = (start + slots) // VECTOR * VECTOR < lengths[:, None]
            keys = tl.load(places + lines * stride + start + slots, mask=mask, other=0)
        higher = keys > pivot
        mass += tl.where(higher, to_values(keys), 0.0)
        if BY_RANK:
            count += higher.to(tl.int32)
        above = tl.minimum(above, tl.where(higher, keys, TOP))
        below = tl.maximum(below, tl.where(higher, 0, keys))
    return reduce_tally(mass, count, above, below, BY_RANK)


@triton.jit
def tally(
    keys,
    places,
    stride,
    extent,
    lengths,
    pivot,
    BY_RANK: tl.constexpr,
    OF: tl.constexpr,
    WIDE: tl.constexpr,
    LINES: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Mass and number of the keys above a pivot, the next key above it, and the next not above.

    OF: REGISTERS for `keys`, LISTS or ROW for what `tally_tiles` reads.
    """
    if OF == REGISTERS:
        higher = keys > pivot
        mass, count, above, below = reduce_tally(
            tl.where(higher, to_values(keys), 0.0),
            higher.to(tl.int32),
            tl.where(higher, keys, TOP),
            tl.where(higher, 0, keys),
            BY_RANK,
        )
    else:
        mass, count, above, below = tally_tiles(
            places, stride, extent, lengths, pivot, BY_RANK, OF == ROW, WIDE, LINES, CHUNK
        )
    return mass, count, above, below


@triton.jit
def holds(mass, count, k, p, BY_RANK: tl.constexpr, BY_MASS: tl.constexpr):
    """Whether a pivot with so much above it is kept."""
    answer = True
    if BY_RANK:
        answer = answer & (count < k)
    if BY_MASS:
        answer = answer & (mass < p)
    return answer


@triton.jit
def interpolate(low_mass, low_count, high_mass, high_count, k, p, BY_RANK: tl.constexpr,
                BY_MASS: tl.constexpr):  # fmt: skip
    """Where between low (0) and high (1) the threshold should lie.

    Counts fall about exponentially with the key, masses linearly.
    """
    part = 0.0
    if BY_RANK:
        low_log = tl.log2(low_count.to(tl.float32))
        high_log = tl.log2(tl.maximum(high_count.to(tl.float32), 0.5))
        part = (low_log - tl.log2(k.to(tl.float32) - 0.5)) / (low_log - high_log)
    if BY_MASS:
        part = tl.maximum(part, (low_mass - p) / (low_mass - high_mass))
    return tl.minimum(tl.maximum(part, 0.0), 1.0)


@triton.jit
def search(
    keys,
    places,
    stride,
    extent,
    lengths,
    low,
    high,
    ceiling,
    base_mass,
    base_count,
    k,
    p,
    BY_RANK: tl.constexpr,
    BY_MASS: tl.constexpr,
    OF: tl.constexpr,
    WIDE: tl.constexpr,
    LINES: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """The threshold, the kept mass, and whether it lies in (low, high] as it should.

    Of keys as `tally` takes them, none above `ceiling`, with base_mass and base_count above them.
    Of a ROW it is found wherever it lies.
    """
    low_mass, low_count, above, below = tally(
        keys, places, stride, extent, lengths, low, BY_RANK, OF, WIDE, LINES, CHUNK
    )
    low_mass += base_mass
    low_count += base_count
    high_mass = base_mass
    high_count = base_count
    below = high
    if high < ceiling:
        more_mass, more_count, _over, below = tally(
            keys, places, stride, extent, lengths, high, BY_RANK, OF, WIDE, LINES, CHUNK
        )
        high_mass += more_mass
        high_count += more_count
    low_right = (low == 0) | (not holds(low_mass, low_count, k, p, BY_RANK, BY_MASS))
    high_right = holds(high_mass, high_count, k, p, BY_RANK, BY_MASS)
    right = low_right & high_right
    if OF == ROW:
        right = True
        if not high_right:
            low = high
            low_mass = high_mass
            low_count = high_count
            above = TOP
            high = TOP
            below = TOP
            high_mass = base_mass
            high_count = base_count
        elif not low_right:
            high = low
            below = low
            high_mass = low_mass
            high_count = low_count
            low = 0
            low_mass, low_count, above, _over = tally(
                keys, places, stride, extent, lengths, 0, BY_RANK, OF, WIDE, LINES, CHUNK
            )
    low = tl.where(above < TOP, tl.minimum(above, high) - 1, low)
    high = tl.maximum(tl.minimum(high, below), low + 1)
    step = 0
    while (high - low > 1) & right:
        part = interpolate(low_mass, low_count, high_mass, high_count, k, p, BY_RANK, BY_MASS)
        part = tl.where(step % 3 == 2, 0.5, part)
        pivot = low + (part * (high - low).to(tl.float32)).to(tl.int32)
        pivot = tl.minimum(tl.maximum(pivot, low + 1), high - 1)
        mass, count, above, below = tally(
            keys, places, stride, extent, lengths, pivot, BY_RANK, OF, WIDE, LINES, CHUNK
        )
        mass += base_mass
        count += base_count
        if holds(mass, count, k, p, BY_RANK, BY_MASS):
            high = tl.maximum(below, low + 1)
            high_mass = mass
            high_count = count
        else:
            low = tl.minimum(above, high) - 1
            low_mass = mass
            low_count = count
        step += 1
    return high, low_mass, right


@triton.jit
def find_threshold(
    keys,
    places,
    stride,
    extent,
    lengths,
    low,
    high,
    second_low,
    second_high,
    base_mass,
    base_count,
    between_mass,
    between_count,
    k,
    p,
    BY_RANK: tl.constexpr,
    BY_MASS: tl.constexpr,
    SEQUENTIAL: tl.constexpr,
    OF: tl.constexpr,
    WIDE: tl.constexpr,
    LINES: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """`search`; with SEQUENTIAL by rank first, and then by p of the mass that this keeps.

    The second search looks in (second_low, second_high].  The two brackets either touch, or what
    lies between them is `between`; `base` lies above both.
    """
    ceiling = second_high
    if OF == ROW:
        ceiling = TOP
    if SEQUENTIAL:
        threshold, kept, right = search(
            keys, places, stride, extent, lengths, low, high, ceiling, base_mass + between_mass,
            base_count + between_count, k, p, True, False, OF, WIDE, LINES, CHUNK,
        )  # fmt: skip
        if (p < 1.0) & right:
            floor = tl.where(second_low > high, second_low, threshold - 1)
            threshold, kept, right = search(
                keys, places, stride, extent, lengths, floor, second_high, ceiling, base_mass,
                base_count, k, p * kept, False, True, OF, WIDE, LINES, CHUNK,
            )  # fmt: skip
    else:
        threshold, kept, right = search(
            keys, places, stride, extent, lengths, low, high, ceiling, base_mass, base_count, k, p,
            BY_RANK, BY_MASS, OF, WIDE, LINES, CHUNK,
        )  # fmt: skip
    return threshold, kept, right


@triton.jit
def divide(keys, threshold, total):
    """The values of keys from the threshold up, over their sum; zeros elsewhere."""
    inverse = tl.where(total > 0.0, 1.0 / total, 0.0)
    return tl.where(keys >= threshold, to_values(keys) * inverse, 0.0)
