"""64-bit vector arithmetic: shifts, shift-add, and 32 x 32 + 64 multiply-adds."""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.semantics.declaration import GFX942_ON, declare
from rocmoe.ops.gcn.semantics.operation import table
from rocmoe.ops.gcn.semantics.words import Array, add_with_carry, shift_left, shift_right


def _multiply_add_unsigned(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    return add_with_carry(a.astype(np.uint64) * b, c)


def _multiply_add_signed(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """The flag is bit 64 of the exact sum, which is its sign."""
    product = a.astype(np.int64) * b
    total = product + c
    overflowed = ((product ^ total) & (c ^ total)) < 0
    return total, (total < 0) ^ overflowed


def _saturate_unsigned(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    total, carry = _multiply_add_unsigned(a, b, c)
    return np.where(carry, np.uint64(0xFFFFFFFFFFFFFFFF), total), carry


def _saturate_signed(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    total, negative = _multiply_add_signed(a, b, c)
    bounds = np.iinfo(np.int64)
    bound = np.where(negative, np.int64(bounds.min), np.int64(bounds.max))
    return np.where((total < 0) != negative, bound, total), negative


def _shift_left_add(a: Array, count: Array, c: Array) -> Array:
    return shift_left(a, count & np.uint32(7)) + c


MULTIPLY_ADD_TYPES = {
    "v_mad_u64_u32": ("u32 u32 u64", "u64 bool"),
    "v_mad_i64_i32": ("i32 i32 i64", "i64 bool"),
}

OPERATIONS = table(
    declare("v_mov_b64", "u64", "u64", np.copy, "VOP1", GFX942_ON),
    declare("v_lshlrev_b64", "u32 u64", "u64", lambda n, a: shift_left(a, n), "VOP3"),
    declare("v_lshrrev_b64", "u32 u64", "u64", lambda n, a: shift_right(a, n), "VOP3"),
    declare("v_ashrrev_i64", "u32 i64", "i64", lambda n, a: shift_right(a, n), "VOP3"),
    declare("v_lshl_add_u64", "u64 u32 u64", "u64", _shift_left_add, "VOP3", GFX942_ON),
    declare("v_mad_u64_u32", *MULTIPLY_ADD_TYPES["v_mad_u64_u32"], _multiply_add_unsigned, "VOP3"),
    declare("v_mad_i64_i32", *MULTIPLY_ADD_TYPES["v_mad_i64_i32"], _multiply_add_signed, "VOP3"),
)

SATURATING = table(
    declare("v_mad_u64_u32", *MULTIPLY_ADD_TYPES["v_mad_u64_u32"], _saturate_unsigned, "VOP3"),
    declare("v_mad_i64_i32", *MULTIPLY_ADD_TYPES["v_mad_i64_i32"], _saturate_signed, "VOP3"),
)
