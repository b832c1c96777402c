"""Integer words as NumPy arrays: their types, bit fields, carries, and saturation.

Arguments are arrays of at least one dimension, since NumPy's scalars warn on overflow.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

# NumPy's stubs give Any for arithmetic on arrays of an unknown type, so no more can be said.
Array: TypeAlias = Any

DTYPES: dict[str, np.dtype[Any]] = {
    "bool": np.dtype(np.bool_),
    "u8": np.dtype(np.uint8),
    "i8": np.dtype(np.int8),
    "u16": np.dtype(np.uint16),
    "i16": np.dtype(np.int16),
    "u32": np.dtype(np.uint32),
    "i32": np.dtype(np.int32),
    "u64": np.dtype(np.uint64),
    "i64": np.dtype(np.int64),
}


def width(word: Array) -> int:
    """The bits of one element."""
    return int(word.dtype.itemsize) * 8


def saturate(value: Array, kind: str) -> Array:
    """Exact int64 values, at the nearest value that type `kind` (of up to 32 bits) has."""
    bounds = np.iinfo(DTYPES[kind])
    return np.clip(value, int(bounds.min), int(bounds.max))


def shift_count(count: Array, word: Array) -> Array:
    """Only the low bits of a count reach the shifter: 4, 5 or 6 of them by the word's width."""
    return count.astype(word.dtype) & word.dtype.type(width(word) - 1)


def shift_left(word: Array, count: Array) -> Array:
    return word << shift_count(count, word)


def shift_right(word: Array, count: Array) -> Array:
    """Logical for an unsigned word, arithmetic for a signed one."""
    return word >> shift_count(count, word)


def field_mask(size: Array, like: Array) -> Array:
    """The lowest `size` bits set, all of them from a full width on."""
    one = like.dtype.type(1)
    full = size >= width(like)
    ones = (one << shift_count(size, like)) - one
    return np.where(full, ~like.dtype.type(0), ones)


def extract_field(word: Array, offset: Array, size: Array) -> Array:
    """`size` bits from bit `offset`, zero- or sign-extended as the word's type says.

    Bits past the top are zeros or copies of the sign; a size of 0 gives 0.
    """
    shifted = shift_right(word, offset)
    if word.dtype.kind == "u":
        return shifted & field_mask(size, word)
    gap = shift_count(width(word) - np.minimum(size, width(word)), word)
    return np.where(size == 0, word.dtype.type(0), (shifted << gap) >> gap)


def sign_extend(value: Array, bits: int) -> Array:
    """The low `bits` as a two's complement number, in the array's own (wider) type."""
    sign = value.dtype.type(1 << (bits - 1))
    return ((value & value.dtype.type((1 << bits) - 1)) ^ sign) - sign


def count_leading_zeros(word: Array) -> Array:
    """Of u32 or u64, as int32: the full width for 0."""
    if word.dtype.itemsize == 8:
        high, low = (word >> np.uint64(32)).astype(np.uint32), word.astype(np.uint32)
        return np.where(high != 0, count_leading_zeros(high), 32 + count_leading_zeros(low))
    return np.int32(32) - np.frexp(word.astype(np.float64))[1]


def find_first_one(word: Array) -> Array:
    """The number of the lowest set bit of u32 or u64, as int32: -1 where there is none."""
    lowest = word & (~word + word.dtype.type(1))
    return np.frexp(lowest.astype(np.float64))[1] - np.int32(1)


def find_last_one(word: Array) -> Array:
    """The distance of the highest set bit from the top, as int32: -1 where there is none."""
    return np.where(word == 0, np.int32(-1), count_leading_zeros(word))


def count_ones(word: Array) -> Array:
    """Set bits of each u32 or u64, in its own type."""
    bits, kind = width(word), word.dtype.type
    pairs, nibbles, octets, ones = (
        kind(int(byte * (bits // 8), 16)) for byte in ("55", "33", "0f", "01")
    )
    count = word - ((word >> kind(1)) & pairs)
    count = (count & nibbles) + ((count >> kind(2)) & nibbles)
    count = (count + (count >> kind(4))) & octets
    return (count * ones) >> kind(bits - 8)


def reverse_bits(word: Array) -> Array:
    kind, bits = word.dtype.type, width(word)
    turned = word.byteswap()
    for step, pattern in ((4, "0f"), (2, "33"), (1, "55")):
        keep = kind(int(pattern * (bits // 8), 16))
        turned = ((turned >> kind(step)) & keep) | ((turned & keep) << kind(step))
    return turned


def add_with_carry(left: Array, right: Array, carry: Array | None = None) -> tuple[Array, Array]:
    """Unsigned sum and carry out."""
    total = left + right
    out = total < left
    if carry is None:
        return total, out
    final = total + carry
    return final, out | (final < total)


def subtract_with_borrow(
    left: Array, right: Array, borrow: Array | None = None
) -> tuple[Array, Array]:
    """Unsigned difference and borrow out."""
    difference = left - right
    out = left < right
    if borrow is None:
        return difference, out
    return difference - borrow, out | (difference < borrow)
