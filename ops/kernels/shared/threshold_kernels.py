"""Kernels that keep a row's probabilities from a threshold up, and divide them by their sum.

A short row is searched in registers by one program.  A long one is cut into parts, a program each:
`sift_rows` brackets the threshold by a sample, sums what lies above the bracket and lists what
lies in it; `settle_rows` searches the list, a program a row, and where the list does not hold the
answer (a misleading sample, or many ties) the row itself; `write_rows` divides.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.overlap import announce_next, await_ahead
from rocmoe.ops.kernels.shared.threshold import (
    LISTS,
    REGISTERS,
    ROW,
    VECTOR,
    divide,
    find_threshold,
    holds,
    load_keys,
    load_mass,
    load_rank,
    locate,
    to_values,
)
from rocmoe.ops.kernels.shared.threshold_bracket import bracket_both, load_sample

#: What `sift_rows` tells of a part, int32 [rows, FIELDS, PARTS]: mass (float32) and number of the
#: keys above both brackets; mass and number of those between them; and the two brackets.
FIELDS = tl.constexpr(8)
#: Columns that go to one part before the next one's.
RUN = tl.constexpr(128)


@triton.jit(do_not_specialize=["top_k"])
def renormalise_rows(
    probs,
    top_k,
    top_p,
    renorm_probs,
    V,
    row_stride,
    column_stride,
    top_k_stride,
    top_p_stride,
    BY_RANK: tl.constexpr,
    BY_MASS: tl.constexpr,
    SEQUENTIAL: tl.constexpr,
    RANK_PER_ROW: tl.constexpr,
    MASS_PER_ROW: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A program a row of V <= BLOCK columns."""
    row = tl.program_id(0).to(tl.int64)
    k = load_rank(top_k, row, top_k_stride, V, RANK_PER_ROW)
    p = load_mass(top_p, row, top_p_stride, MASS_PER_ROW)
    columns = tl.arange(0, BLOCK)
    places = probs + row * row_stride
    keys = load_keys(places + locate(columns, column_stride, WIDE), columns < V)
    peak = tl.max(keys, 0)
    threshold, total, _right = find_threshold(
        keys, places, column_stride, V, 0, 0, peak, 0, peak, 0.0, 0, 0.0, 0, k, p,
        BY_RANK, BY_MASS, SEQUENTIAL, REGISTERS, WIDE, 1, BLOCK,
    )  # fmt: skip
    tl.store(renorm_probs + row * V + columns, divide(keys, threshold, total), mask=columns < V)


@triton.jit
def spread_columns(at, part, PARTS: tl.constexpr):
    """Columns of a part: runs in turn with the other parts', for a row may be sorted."""
    return at // RUN * (PARTS * RUN) + part * RUN + at % RUN


@triton.jit
def fold(numbers, DEPTH: tl.constexpr, WAVES: tl.constexpr, LANES: tl.constexpr):
    """A tile's numbers added up in each lane: [WAVES, LANES]."""
    return tl.sum(tl.reshape(numbers, [DEPTH, WAVES, LANES]), 0)


@triton.jit
def sift(
    places, lists, V, column_stride, part, k, p, few,
    BY_RANK: tl.constexpr, BY_MASS: tl.constexpr, SEQUENTIAL: tl.constexpr, WIDE: tl.constexpr,
    SAMPLE: tl.constexpr, PARTS: tl.constexpr, WAVES: tl.constexpr, LANES: tl.constexpr,
    DEPTH: tl.constexpr, ROOM: tl.constexpr,
):  # fmt: skip
    """List the keys of a part of a row that lie in the brackets, and sum those that lie above.

    lists: int32 [WAVES, ROOM], one a wave, so that waves need not wait for each other; of ROOM
    keys, as far as they fit.  Returns mass and number of the keys above both brackets, and of those
    between them, each lane's [WAVES, LANES]; the lists' lengths [WAVES]; and the two brackets.
    """
    size: tl.constexpr = DEPTH * WAVES * LANES
    at = tl.arange(0, size)
    # The compiler must not see that columns are contiguous: then a lane would hold neighbours in
    # the loads, but not in the stores, and keys would move between lanes.
    columns = spread_columns(at, part, PARTS) ^ (V >> 31)
    # The first tile comes while the bracket is searched.
    upcoming = load_keys(places + locate(columns, column_stride, WIDE), columns < V)
    sample = load_sample(places, column_stride, V, WIDE, SAMPLE)
    low, high, second_low, second_high = bracket_both(
        sample, SAMPLE / V.to(tl.float32), k, p, few, SEQUENTIAL, BY_RANK, BY_MASS
    )
    wave_start = at // LANES % WAVES * ROOM
    count = tl.zeros([WAVES, LANES], tl.int32)
    mass = tl.zeros([WAVES, LANES], tl.float32)
    between_count = tl.zeros([WAVES, LANES], tl.int32)
    between_mass = tl.zeros([WAVES, LANES], tl.float32)
    length = tl.zeros([WAVES], tl.int32)
    for start in range(0, V, PARTS * size):
        keys = upcoming
        here = start + PARTS * size + columns
        upcoming = load_keys(places + locate(here, column_stride, WIDE), here < V)
        above = keys > second_high
        inside = (keys > low) & (keys <= second_high)
        if SEQUENTIAL:
            between = (keys > high) & (keys <= second_low)
            inside = inside & (not between)
            between_count += fold(between.to(tl.int32), DEPTH, WAVES, LANES)
            between_mass += fold(tl.where(between, to_values(keys), 0.0), DEPTH, WAVES, LANES)
        if BY_RANK:
            count += fold(above.to(tl.int32), DEPTH, WAVES, LANES)
        mass += fold(tl.where(above, to_values(keys), 0.0), DEPTH, WAVES, LANES)
        flags = tl.reshape(inside.to(tl.int32), [DEPTH, WAVES, LANES])
        found = tl.sum(flags, 0)
        first = length[:, None] + tl.cumsum(found, 1) - found
        slots = tl.reshape(first[None, :, :] + tl.cumsum(flags, 0) - flags, [size])
        tl.store(lists + wave_start + slots, keys, mask=inside & (slots < ROOM))
        length += tl.sum(found, 1)
    padding = length[:, None] + tl.arange(0, VECTOR)[None, :]
    ends = lists + tl.arange(0, WAVES)[:, None] * ROOM
    tl.store(ends + padding, tl.zeros([WAVES, VECTOR], tl.int32), mask=padding < ROOM)
    sums = mass, count, between_mass, between_count
    return sums, length, low, high, second_low, second_high


@triton.jit(do_not_specialize=["top_k", "few"])
def sift_rows(
    probs,
    top_k,
    top_p,
    listed,
    lengths,
    told,
    V,
    row_stride,
    column_stride,
    top_k_stride,
    top_p_stride,
    few,
    BY_RANK: tl.constexpr,
    BY_MASS: tl.constexpr,
    SEQUENTIAL: tl.constexpr,
    RANK_PER_ROW: tl.constexpr,
    MASS_PER_ROW: tl.constexpr,
    WIDE: tl.constexpr,
    SAMPLE: tl.constexpr,
    PARTS: tl.constexpr,
    WAVES: tl.constexpr,
    LANES: tl.constexpr,
    DEPTH: tl.constexpr,
    ROOM: tl.constexpr,
    ANNOUNCE: tl.constexpr,
):
    """`sift` the parts of rows, a program each.

    listed: int32 [rows, PARTS, WAVES, ROOM]; lengths: int32 [rows, PARTS, WAVES].
    """
    announce_next(ANNOUNCE)
    row = (tl.program_id(0) // PARTS).to(tl.int64)
    part = tl.program_id(0) % PARTS
    k = load_rank(top_k, row, top_k_stride, V, RANK_PER_ROW)
    p = load_mass(top_p, row, top_p_stride, MASS_PER_ROW)
    sums, length, low, high, second_low, second_high = sift(
        probs + row * row_stride, listed + (row * PARTS + part) * WAVES * ROOM, V, column_stride,
        part, k, p, few, BY_RANK, BY_MASS, SEQUENTIAL, WIDE, SAMPLE, PARTS, WAVES, LANES, DEPTH,
        ROOM,
    )  # fmt: skip
    mass, count, between_mass, between_count = sums
    waves = tl.arange(0, WAVES)
    tl.store(lengths + (row * PARTS + part) * WAVES + waves, length)
    told += row * (FIELDS * PARTS) + part
    tl.store(told, tl.sum(mass, None).to(tl.int32, bitcast=True))
    if BY_RANK:
        tl.store(told + PARTS, tl.sum(count, None))
    if SEQUENTIAL:
        tl.store(told + 2 * PARTS, tl.sum(between_mass, None).to(tl.int32, bitcast=True))
        tl.store(told + 3 * PARTS, tl.sum(between_count, None))
    tl.store(told + 4 * PARTS, low)
    tl.store(told + 5 * PARTS, high)
    tl.store(told + 6 * PARTS, second_low)
    tl.store(told + 7 * PARTS, second_high)


@triton.jit
def add_parts(places, PARTS: tl.constexpr, WANTED: tl.constexpr, COUNTED: tl.constexpr):
    """Sums over a row's parts of the float32 mass at `places`, and of the count told after it."""
    parts = tl.arange(0, PARTS)
    mass = 0.0
    count = 0
    if WANTED:
        mass = tl.sum(to_values(tl.load(places + parts)), 0)
    if WANTED and COUNTED:
        count = tl.sum(tl.load(places + PARTS + parts), 0)
    return mass, count


@triton.jit
def settle(
    places, V, column_stride, lists, length, low, high, second_low, second_high, mass, count,
    between_mass, between_count, k, p, BY_RANK: tl.constexpr, BY_MASS: tl.constexpr,
    SEQUENTIAL: tl.constexpr, WIDE: tl.constexpr, LISTS_A_ROW: tl.constexpr, ROOM: tl.constexpr,
    CHUNK: tl.constexpr,
):  # fmt: skip
    """A row's threshold and the mass that it keeps, of its lists, or of the row if they mislead.

    lists: int32 [LISTS_A_ROW, ROOM]; length: theirs, [LISTS_A_ROW].
    """
    longest = tl.max(length, 0)
    threshold = high
    total = 0.0
    right = False
    if longest <= ROOM:
        threshold, total, right = find_threshold(
            0, lists, ROOM, longest, length, low, high, second_low, second_high, mass, count,
            between_mass, between_count, k, p, BY_RANK, BY_MASS, SEQUENTIAL, LISTS, WIDE,
            LISTS_A_ROW, CHUNK,
        )  # fmt: skip
    elif (low + 1 == second_high) & (not SEQUENTIAL):
        # All keys in the bracket are equal, however many.
        number = tl.sum(length, 0)
        total = mass + number.to(tl.float32) * to_values(high)
        right = holds(mass, count, k, p, BY_RANK, BY_MASS)
        right = right & (not holds(total, count + number, k, p, BY_RANK, BY_MASS))
    if not right:
        threshold, total, right = find_threshold(
            0, places, column_stride, V, length, low, high, low, second_high, 0.0, 0, 0.0, 0, k, p,
            BY_RANK, BY_MASS, SEQUENTIAL, ROW, WIDE, LISTS_A_ROW, CHUNK,
        )  # fmt: skip
    return threshold, total


@triton.jit(do_not_specialize=["top_k"])
def settle_rows(
    probs,
    top_k,
    top_p,
    listed,
    lengths,
    told,
    settled,
    V,
    row_stride,
    column_stride,
    top_k_stride,
    top_p_stride,
    BY_RANK: tl.constexpr,
    BY_MASS: tl.constexpr,
    SEQUENTIAL: tl.constexpr,
    RANK_PER_ROW: tl.constexpr,
    MASS_PER_ROW: tl.constexpr,
    WIDE: tl.constexpr,
    PARTS: tl.constexpr,
    LISTS_A_ROW: tl.constexpr,
    ROOM: tl.constexpr,
    CHUNK: tl.constexpr,
    OVERLAP: tl.constexpr,
    ANNOUNCE: tl.constexpr,
):
    """Find a row's threshold among the keys listed.

    settled: the threshold's key and the kept mass (float32), int32 [rows, 2].
    """
    announce_next(ANNOUNCE)
    row = tl.program_id(0).to(tl.int64)
    k = load_rank(top_k, row, top_k_stride, V, RANK_PER_ROW)
    p = load_mass(top_p, row, top_p_stride, MASS_PER_ROW)
    await_ahead(OVERLAP)
    told += row * FIELDS * PARTS
    length = tl.load(lengths + row * LISTS_A_ROW + tl.arange(0, LISTS_A_ROW))
    mass, count = add_parts(told, PARTS, True, BY_RANK)
    between_mass, between_count = add_parts(told + 2 * PARTS, PARTS, SEQUENTIAL, True)
    low = tl.load(told + 4 * PARTS)
    high = tl.load(told + 5 * PARTS)
    second_low = tl.load(told + 6 * PARTS)
    second_high = tl.load(told + 7 * PARTS)
    threshold, total = settle(
        probs + row * row_stride, V, column_stride, listed + row * LISTS_A_ROW * ROOM, length, low,
        high, second_low, second_high, mass, count, between_mass, between_count, k, p, BY_RANK,
        BY_MASS, SEQUENTIAL, WIDE, LISTS_A_ROW, ROOM, CHUNK,
    )  # fmt: skip
    tl.store(settled + row * 2, threshold)
    tl.store(settled + row * 2 + 1, total.to(tl.int32, bitcast=True))


@triton.jit
def write_rows(
    probs,
    settled,
    renorm_probs,
    V,
    row_stride,
    column_stride,
    blocks,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """A program a block of a row."""
    row = (tl.program_id(0) // blocks).to(tl.int64)
    at = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    keys = load_keys(probs + row * row_stride + locate(at, column_stride, WIDE), at < V)
    await_ahead(OVERLAP)
    threshold = tl.load(settled + row * 2)
    total = to_values(tl.load(settled + row * 2 + 1))
    tl.store(renorm_probs + row * V + at, divide(keys, threshold, total), mask=at < V)
