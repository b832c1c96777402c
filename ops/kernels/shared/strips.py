"""Strips: a few neighbouring experts, so that most logits meet one maximum and nothing else.

The k largest of a row lie in the k strips of largest maximum: a strip that is not among them has k
others before it, each with a value as large, and of lower index where equal.  So the strips' maxima
are sorted and merged first, and then the values of the k strips chosen, which are read again.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.keys import (
    LAST_EXPERT,
    decode_long,
    encode_long,
    find_expert,
    hide_absent,
)
from rocmoe.ops.kernels.shared.short_keys import decode_expert, encode_truncated

#: 32-bit words of a strip of logits: 16 bytes, what a lane loads at once.
STRIP_WORDS = tl.constexpr(4)
#: Experts of a strip by the bits of a logit.
STRIP_EXPERTS = {bits: STRIP_WORDS.value * 32 // bits for bits in (16, 32)}


@triton.jit
def max_strips(tile, SIZE: tl.constexpr):
    """The largest of every SIZE neighbouring columns of a tile [rows, columns]."""
    return tl.max(tl.reshape(tile, [tile.shape[0], tile.shape[1] // SIZE, SIZE]), 2)


@triton.jit
def max_halves(words, EXACT: tl.constexpr):
    """float32 bits that hold the larger 16-bit logit of each word above, and anything below.

    As float32 a word orders as its high half does, and its low half does after a shift.  Without
    EXACT an infinity above other bits reads as NaN, and loses to the other half.
    """
    high = words
    if EXACT:
        high = words & -0x10000
    return tl.maximum(high.to(tl.float32, bitcast=True), (words << 16).to(tl.float32, bitcast=True))


@triton.jit
def encode_halves(maxima, indices):
    """int32 keys of what `max_halves` gives, the lowest index the largest of equals."""
    bits = maxima.to(tl.int32, bitcast=True)
    bits = bits ^ ((bits >> 31) & 0x7FFF0000)
    return (bits & -0x10000) | (LAST_EXPERT - indices)


@triton.jit
def encode_values(values, indices, KEYS: tl.constexpr, BITS: tl.constexpr):
    """Keys of float32 values: short, with BITS for the index, or 64 bits as int or double."""
    if KEYS == "short":
        keys = encode_truncated(values, indices, BITS)
    else:
        keys = encode_long(values, indices, KEYS == "double")
    return keys


@triton.jit
def encode_strips(
    maxima, STRIPS: tl.constexpr, HALVES: tl.constexpr, KEYS: tl.constexpr, BITS: tl.constexpr
):
    """The keys of strips, of a tuple of tiles [rows, lanes] of their maxima."""
    lanes = tl.arange(0, maxima[0].shape[1])[None, :]
    keys = ()
    for n in tl.static_range(len(maxima)):
        strips = lanes + n * maxima[0].shape[1]
        if HALVES:
            key = encode_halves(maxima[n], strips)
        else:
            key = encode_values(maxima[n], strips, KEYS, BITS)
        if (n + 1) * maxima[0].shape[1] > STRIPS:
            key = hide_absent(key, strips < STRIPS)
        keys = keys + (key,)
    return keys


@triton.jit
def find_index(keys, HALVES: tl.constexpr, KEYS: tl.constexpr, BITS: tl.constexpr):
    """The strips or experts that keys were made of."""
    if HALVES:
        index = find_expert(keys & 0xFFFF)
    elif KEYS == "short":
        index = decode_expert(keys, BITS)
    else:
        _, index = decode_long(keys, KEYS == "double")
    return index


@triton.jit
def doubts_short(keys, best, K: tl.constexpr, BITS: tl.constexpr):
    """Whether the bits left out could choose other keys [rows, lanes] than the K best [rows]."""
    least = (best[K - 1] & -(1 << BITS))[:, None]
    count = (keys[0] >= least).to(tl.int32)
    for n in tl.static_range(1, len(keys)):
        count += (keys[n] >= least).to(tl.int32)
    return tl.max((tl.sum(count, 1) != K).to(tl.int32), 0) != 0


@triton.jit
def unpack_words(tiles, HIGH: tl.constexpr, DTYPE: tl.constexpr):
    """The logits of DTYPE in one half of a tuple of words."""
    values = ()
    for n in tl.static_range(len(tiles)):
        word = tiles[n]
        if HIGH:
            word = word >> 16
        values = values + (word.to(tl.int16).to(DTYPE, bitcast=True),)
    return values
