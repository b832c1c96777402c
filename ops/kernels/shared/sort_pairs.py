"""Pieces of the sorting kernels: pairs read in tiles of 32, counted by expert and written in place.

A tile is 32 pairs that follow one another, so a set of pairs of a tile is one int32.  A pair is
(token, slot), told by its flat index token * K + slot; what has no expert here belongs nowhere.
"""

from __future__ import annotations

import triton
import triton.language as tl

#: Pairs of a tile: as many as an int32 has bits.
TILE = tl.constexpr(32)
#: Where slots stand in a packed id, above the token.
SLOT_SHIFT = tl.constexpr(24)


@triton.jit
def count_set_bits(words):
    """How many bits of each int32 are set, in the form that LLVM knows as one instruction."""
    words = words.to(tl.uint32, bitcast=True)
    words -= (words >> 1) & 0x55555555
    words = (words & 0x33333333) + ((words >> 2) & 0x33333333)
    words = (words + (words >> 4)) & 0x0F0F0F0F
    return ((words * 0x01010101) >> 24).to(tl.int32)


@triton.jit
def count_local_tokens(num_local_tokens, tokens):
    """How many rows hold tokens: num_local_tokens [1] where given, never more than there are."""
    local = tl.zeros([], tl.int32) + tokens  # 1 is a constant, and no tensor
    if num_local_tokens is not None:
        local = tl.minimum(tl.maximum(tl.load(num_local_tokens).to(tl.int32), 0), local)
    return local


@triton.jit
def locate_pairs(
    pairs, token_stride, slot_stride, K: tl.constexpr, ROWS: tl.constexpr, WIDE: tl.constexpr
):
    """Offsets of pairs in a tensor [T, K]. ROWS: rows may lie apart. WIDE: 64-bit offsets."""
    offsets = pairs
    if ROWS:
        tokens, slots = pairs // K, pairs % K
        if WIDE:
            tokens, slots = tokens.to(tl.int64), slots.to(tl.int64)
        offsets = tokens * token_stride + slots * slot_stride
    return offsets


@triton.jit
def keep_known(ids, pairs, visible, E: tl.constexpr):
    """Experts of the pairs below `visible` with an id of [0, E); and which pairs these are."""
    known = (pairs < visible) & (ids >= 0) & (ids < E)
    return ids.to(tl.int32), known


@triton.jit
def gather_bits(flags):
    """flags [tiles, 32], 0 or 1 -> int32 [tiles], the flag of pair i in bit i."""
    return tl.sum(flags << tl.arange(0, TILE)[None, :], 1)


@triton.jit
def spread_bit(ids, bit):
    """-1 where a bit of the id is clear, else 0: xor with the bits of others tells who agrees."""
    return ((ids >> bit) & 1) - 1


@triton.jit
def tally(ids, known, planes, stride, HALF: tl.constexpr):
    """How many known pairs of ids [pairs] each expert has: [2^HALF, 2^HALF], high bits first.

    The pairs that share the low bits, and those that share the high ones, are few sets; those of
    an expert are in one of each.  planes [1 + 2 * HALF, stride], where they are to be kept: the
    known pairs of each tile, then those whose id has each bit.
    """
    TILES: tl.constexpr = ids.shape[0] // TILE
    SETS: tl.constexpr = 2**HALF
    ids, known = tl.reshape(ids, [TILES, TILE]), tl.reshape(known, [TILES, TILE])
    # Low and high ones side by side: as wide as a tile for 256 experts, so no data has to move.
    column = tl.arange(0, 2 * SETS)[None, :]
    is_high, number = column >= SETS, column % SETS
    plane = gather_bits(known.to(tl.int32))
    same = tl.where(is_high, plane[:, None], -1)
    place = tl.arange(0, TILE)[None, :]
    kept = plane[:, None] + tl.zeros([TILES, TILE], tl.int32)
    for bit in tl.static_range(2 * HALF):
        plane = gather_bits((ids >> bit) & 1)
        agreeing = plane[:, None] ^ spread_bit(number, bit % HALF)
        same &= tl.where(is_high == (bit >= HALF), agreeing, -1)
        kept = tl.where(place == 1 + bit, plane[:, None], kept)
    if planes is not None:
        places = planes + place * stride + tl.arange(0, TILES)[:, None]
        tl.store(places, kept, mask=place <= 2 * HALF)
    low, high = tl.split(tl.permute(tl.reshape(same, [TILES, 2, SETS]), [0, 2, 1]))
    return tl.sum(count_set_bits(high[:, :, None] & low[:, None, :]), 0)


@triton.jit
def load_plane(planes, stride, plane: tl.constexpr, TILES: tl.constexpr):
    """One of the planes that `tally` kept, of TILES tiles: [TILES, 1]."""
    return tl.load(planes + plane * stride + tl.arange(0, TILES)[:, None])


@triton.jit
def load_planes(planes, stride, TILES: tl.constexpr, BITS: tl.constexpr):
    """A tuple of all planes, read now."""
    words = ()
    for plane in tl.static_range(1 + BITS):
        words = words + (load_plane(planes, stride, plane, TILES),)
    return words


@triton.jit
def rank_pairs(ids, planes, stride, words, BITS: tl.constexpr):
    """How many known pairs before each pair of ids [pairs] have its expert.

    words: of `load_planes`, or None to read each when it is needed, in fewer registers.  Planes
    made here and not read would bring a layout where lanes share pairs.
    """
    TILES: tl.constexpr = ids.shape[0] // TILE
    pairs = tl.arange(0, TILES * TILE)[None, :]
    ids = ids[None, :]
    ahead = pairs // TILE - tl.arange(0, TILES)[:, None]
    own = (1 << (pairs % TILE)) - 1
    same = tl.where(ahead > 0, -1, tl.where(ahead == 0, own, 0))
    for plane in tl.static_range(1 + BITS):
        if words is None:
            word = load_plane(planes, stride, plane, TILES)
        else:
            word = words[plane]
        if plane == 0:
            same &= word
        else:
            same &= word ^ spread_bit(ids, plane - 1)
    return tl.sum(count_set_bits(same), 0)


@triton.jit
def pad_up(counts, UNIT: tl.constexpr):
    """Counts up to a multiple of UNIT."""
    return (counts + (UNIT - 1)) // UNIT * UNIT


@triton.jit
def write_pairs(sorted_ids, sorted_weights, positions, pairs, weights, written, K: tl.constexpr):
    """Pairs at their positions: packed ids with weights where there are weights, else flat ones."""
    if sorted_weights is not None:
        tl.store(sorted_ids + positions, ((pairs % K) << SLOT_SHIFT) | (pairs // K), mask=written)
        tl.store(sorted_weights + positions, weights, mask=written)
    else:
        tl.store(sorted_ids + positions, pairs, mask=written)


@triton.jit
def write_padding(
    sorted_ids,
    sorted_weights,
    block_experts,
    begins,
    counts,
    names,
    padding,
    UNIT: tl.constexpr,
    UNITS: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    """What follows the pairs of some experts in their runs, and the names of all their blocks.

    begins, counts, names: [experts]. UNITS: UNIT up to a power of two. BLOCKS: named at a time.
    """
    padded = pad_up(counts, UNIT)
    places = counts[:, None] + tl.arange(0, UNITS)[None, :]
    positions, missing = begins[:, None] + places, places < padded[:, None]
    tl.store(sorted_ids + positions, tl.zeros_like(positions) + padding, mask=missing)
    if sorted_weights is not None:
        tl.store(sorted_weights + positions, tl.zeros_like(positions).to(tl.float32), mask=missing)
    firsts, blocks = begins // UNIT, padded // UNIT
    for done in range(0, tl.max(blocks, 0), BLOCKS):
        block = done + tl.arange(0, BLOCKS)[None, :]
        told = names[:, None] + tl.zeros_like(block)
        tl.store(block_experts + firsts[:, None] + block, told, mask=block < blocks[:, None])


@triton.jit
def find_padding(sorted_weights, local, tokens, K: tl.constexpr):
    """The id at padding: slot K of the first row without a token, or the first flat index."""
    padding = tokens * K
    if sorted_weights is not None:
        padding = ((local * 0 + K) << SLOT_SHIFT) | local  # from 128 on K sets the sign bit
    return padding


@triton.jit
def write_totals(totals, sorted_weights, total, local):
    """The padded total, and the local token count where ids are packed."""
    tl.store(totals, total)
    if sorted_weights is not None:
        tl.store(totals + 1, local)


@triton.jit
def zero_rows(moe_buf, program, local, WIDTH: tl.constexpr, ZEROS: tl.constexpr):
    """ZEROS elements of the local rows of moe_buf [T, WIDTH]; whole programs store 16 bytes."""
    begin = program.to(tl.int64) * ZEROS
    end = local.to(tl.int64) * WIDTH
    places = tl.arange(0, ZEROS)
    zeros = tl.zeros([ZEROS], moe_buf.dtype.element_ty)
    if begin + ZEROS <= end:
        tl.store(moe_buf + begin + places, zeros)
    else:
        tl.store(moe_buf + begin + places, zeros, mask=places < end - begin)
