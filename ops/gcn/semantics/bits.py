"""32-bit vector moves, logic, shifts, bit fields, bit counts, alignment and byte permutation."""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.semantics.declaration import GFX950_ONLY, declare
from rocmoe.ops.gcn.semantics.integer import Row
from rocmoe.ops.gcn.semantics.operation import table
from rocmoe.ops.gcn.semantics.words import (
    Array,
    count_ones,
    extract_field,
    field_mask,
    find_first_one,
    find_last_one,
    reverse_bits,
    shift_left,
    shift_right,
)

SIZE_MASK = np.uint32(31)


def _extract(word: Array, offset: Array, size: Array) -> Array:
    return extract_field(word, offset, size & SIZE_MASK)


def _field_of_ones(size: Array, offset: Array) -> Array:
    return shift_left(field_mask(size & SIZE_MASK, size), offset)


def _find_last_change(word: Array) -> Array:
    return find_last_one((word ^ (word >> np.int32(31))).view(np.uint32))


def _swap(old: Array, source: Array) -> tuple[Array, Array]:
    return np.copy(source), np.copy(old)


def _pair(high: Array, low: Array) -> Array:
    return (high.astype(np.uint64) << np.uint64(32)) | low


def _align_bits(high: Array, low: Array, count: Array) -> Array:
    return _pair(high, low) >> (count & SIZE_MASK).astype(np.uint64)


def _align_bytes(high: Array, low: Array, count: Array) -> Array:
    return _align_bits(high, low, (count & np.uint32(3)) * np.uint32(8))


def _select_byte(high: Array, low: Array, selector: int) -> Array:
    """0-7: a byte of {high, low}; 8-11: the sign of byte 1, 3, 5, 7 in every bit; 12: zeros;
    from 13: ones."""
    kind = np.uint32
    if selector < 8:
        word = high if selector & 4 else low
        return (word >> kind(8 * (selector & 3))) & kind(0xFF)
    if selector < 12:
        word = high if selector & 2 else low
        return ((word >> kind(31 if selector & 1 else 15)) & kind(1)) * kind(0xFF)
    return kind(0 if selector == 12 else 0xFF)


def _permute_bytes(high: Array, low: Array, selectors: Array) -> Array:
    """Few selectors differ in real code, so each that occurs is applied to all lanes at once."""
    result = np.zeros(np.broadcast(high, low, selectors).shape, np.uint32)
    for position in (0, 8, 16, 24):
        chosen = np.minimum((selectors >> np.uint32(position)) & np.uint32(0xFF), np.uint32(13))
        for selector in np.flatnonzero(np.bincount(chosen.ravel())):
            byte = _select_byte(high, low, int(selector)) << np.uint32(position)
            result |= byte if chosen.size == 1 else np.where(chosen == selector, byte, np.uint32(0))
    return result


def _apply_truth_table(a: Array, b: Array, c: Array, truth: Array) -> Array:
    """Bit 4a + 2b + c of the table, for each bit of the three sources."""
    kind = a.dtype.type
    result = np.zeros(np.broadcast(a, b, c, truth).shape, a.dtype)
    for row in range(8):
        minterm = (a if row & 4 else ~a) & (b if row & 2 else ~b) & (c if row & 1 else ~c)
        result |= np.where((truth & np.uint8(1 << row)) != 0, minterm, kind(0))
    return result


def _count_lower_lanes(mask: Array, addend: Array, lane: Array, half: int) -> Array:
    below = np.clip(lane.astype(np.int64) - 32 * half, 0, 32)
    return count_ones(mask & field_mask(below, mask)) + addend


def step_random(word: Array) -> Array:
    feedback = np.where((word >> np.uint32(31)) != 0, np.uint32(197), np.uint32(0))
    return (word << np.uint32(1)) ^ feedback


ONE: tuple[Row, ...] = (
    ("v_mov_b32", "u32", "u32", np.copy, "VOP1"),
    ("v_accvgpr_mov_b32", "u32", "u32", np.copy, "VOP1"),
    ("v_accvgpr_read_b32", "u32", "u32", np.copy, "VOP3P"),
    ("v_accvgpr_write_b32", "u32", "u32", np.copy, "VOP3P"),
    ("v_not_b32", "u32", "u32", lambda a: ~a, "VOP1"),
    ("v_bfrev_b32", "u32", "u32", reverse_bits, "VOP1"),
    ("v_ffbh_u32", "u32", "i32", find_last_one, "VOP1"),
    ("v_ffbh_i32", "i32", "i32", _find_last_change, "VOP1"),
    ("v_ffbl_b32", "u32", "i32", find_first_one, "VOP1"),
    # Both registers are written: the first result is the named destination's.
    ("v_swap_b32", "u32 u32", "u32 u32", _swap, "VOP1"),
)

TWO: tuple[Row, ...] = (
    ("v_and_b32", "u32 u32", "u32", lambda a, b: a & b, "VOP2"),
    ("v_or_b32", "u32 u32", "u32", lambda a, b: a | b, "VOP2"),
    ("v_xor_b32", "u32 u32", "u32", lambda a, b: a ^ b, "VOP2"),
    ("v_xnor_b32", "u32 u32", "u32", lambda a, b: ~(a ^ b), "VOP2"),
    ("v_lshlrev_b32", "u32 u32", "u32", lambda n, a: shift_left(a, n), "VOP2"),
    ("v_lshrrev_b32", "u32 u32", "u32", lambda n, a: shift_right(a, n), "VOP2"),
    ("v_ashrrev_i32", "u32 i32", "i32", lambda n, a: shift_right(a, n), "VOP2"),
    ("v_bfm_b32", "u32 u32", "u32", _field_of_ones, "VOP3"),
    ("v_bcnt_u32_b32", "u32 u32", "u32", lambda a, b: count_ones(a) + b, "VOP3"),
)

THREE: tuple[Row, ...] = (
    ("v_lshl_or_b32", "u32 u32 u32", "u32", lambda a, n, c: shift_left(a, n) | c, "VOP3"),
    ("v_and_or_b32", "u32 u32 u32", "u32", lambda a, b, c: (a & b) | c, "VOP3"),
    ("v_or3_b32", "u32 u32 u32", "u32", lambda a, b, c: a | b | c, "VOP3"),
    ("v_bfi_b32", "u32 u32 u32", "u32", lambda a, b, c: (a & b) | (~a & c), "VOP3"),
    ("v_bfe_u32", "u32 u32 u32", "u32", _extract, "VOP3"),
    ("v_bfe_i32", "i32 u32 u32", "i32", _extract, "VOP3"),
    ("v_alignbit_b32", "u32 u32 u32", "u32", _align_bits, "VOP3"),
    ("v_alignbyte_b32", "u32 u32 u32", "u32", _align_bytes, "VOP3"),
    ("v_perm_b32", "u32 u32 u32", "u32", _permute_bytes, "VOP3"),
)

# The last source is the number of the lane, which stands in no operand.
LANE_COUNTS: tuple[Row, ...] = (
    (
        "v_mbcnt_lo_u32_b32",
        "u32 u32 u32",
        "u32",
        lambda a, b, lane: _count_lower_lanes(a, b, lane, 0),
        "VOP3",
    ),
    (
        "v_mbcnt_hi_u32_b32",
        "u32 u32 u32",
        "u32",
        lambda a, b, lane: _count_lower_lanes(a, b, lane, 1),
        "VOP3",
    ),
)

OPERATIONS = table(
    *(declare(*row) for row in (*ONE, *TWO, *THREE, *LANE_COUNTS)),
    declare("v_prng_b32", "u32", "u32", step_random, "VOP1", GFX950_ONLY),
    # The last source is the instruction's `bitop3:` value.
    declare("v_bitop3_b32", "u32 u32 u32 u8", "u32", _apply_truth_table, "VOP3", GFX950_ONLY),
    declare("v_bitop3_b16", "u16 u16 u16 u8", "u16", _apply_truth_table, "VOP3", GFX950_ONLY),
)
