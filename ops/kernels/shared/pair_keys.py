"""Choosing among pairs of neighbouring 16-bit logits first, and then within the chosen pairs.

The k largest logits lie in the k pairs of largest maximum: a pair that is not among them has k
others before it, each with a logit as large, and of lower index where equal.  A pair is one 32-bit
word, so what is encoded, sorted and merged halves; no more than k / 2 of the k can be the smaller
of their pair.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.keys import LAST_EXPERT, encode_short, hide_absent
from rocmoe.ops.kernels.shared.lists import larger, merge_lists, merge_tiles, smaller


@triton.jit
def encode_pairs(tiles, PAIRS: tl.constexpr, COLUMNS: tl.constexpr):
    """int32 keys of words [rows, COLUMNS]: the larger logit of each, over the pair's index."""
    columns = tl.arange(0, COLUMNS)[None, :]
    keys = ()
    for n in tl.static_range(len(tiles)):
        # As float32 a word orders as its high half does, and its low half does after a shift; an
        # infinity reads as NaN and so loses to the other half, which only rows of +inf notice.
        high = tiles[n].to(tl.float32, bitcast=True)
        low = (tiles[n] << 16).to(tl.float32, bitcast=True)
        bits = tl.maximum(high, low).to(tl.int32, bitcast=True)
        bits = bits ^ ((bits >> 31) & 0x7FFF0000)
        key = (bits & -0x10000) | (LAST_EXPERT - columns - n * COLUMNS)
        if (n + 1) * COLUMNS > PAIRS:
            key = hide_absent(key, columns < PAIRS - n * COLUMNS)
        keys = keys + (key,)
    return keys


@triton.jit
def open_pairs(pairs, words, rows, word_stride, WIDE: tl.constexpr):
    """The sorted list of keys of single logits, of the list of chosen pairs, each of [rows]."""
    at_row = rows
    if WIDE:
        at_row = at_row.to(tl.int64)
    firsts, seconds = (), ()
    for rank in tl.static_range(len(pairs)):
        pair = LAST_EXPERT - (pairs[rank] & 0xFFFF)
        word = tl.load(words + at_row * word_stride + pair)
        low = encode_short(word.to(tl.int16), 2 * pair)
        high = encode_short((word >> 16).to(tl.int16), 2 * pair + 1)
        firsts = firsts + (larger(low, high),)
        # Below it stand the firsts of this rank and of those before.
        if rank + 1 < len(pairs):
            seconds = seconds + (smaller(low, high),)
    return merge_lists(firsts, merge_tiles(seconds, len(pairs) // 2))


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
