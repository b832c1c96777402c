"""Packed 16-bit arithmetic (v_pk_*), dot products, and narrowing to packed bytes.

Packed sources are 32-bit registers whose halves op_sel and op_sel_hi have already arranged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from rocmoe.ops.gcn.semantics.declaration import (
    GFX950_ONLY,
    Function,
    declare,
    declare_saturating,
)
from rocmoe.ops.gcn.semantics.operation import Operation, table
from rocmoe.ops.gcn.semantics.words import (
    DTYPES,
    Array,
    saturate,
    shift_left,
    shift_right,
    sign_extend,
)


def _half(word: Array, offset: int, kind: str) -> Array:
    return (word >> np.uint32(offset)).astype(np.uint16).view(DTYPES[kind])


def _packed(function: Function, kind: str) -> Function:
    def compute(*words: Array) -> Array:
        low, high = (
            function(*(_half(word, offset, kind) for word in words))
            .astype(np.uint16)
            .astype(np.uint32)
            for offset in (0, 16)
        )
        return low | (high << np.uint32(16))

    return compute


def _exact(function: Function, kind: str) -> Function:
    def compute(*halves: Array) -> Array:
        return saturate(function(*(half.astype(np.int64) for half in halves)), kind)

    return compute


RING: dict[str, tuple[int, Function]] = {
    "add": (2, lambda a, b: a + b),
    "sub": (2, lambda a, b: a - b),
    "mad": (3, lambda a, b, c: a * b + c),
}

OTHERS: tuple[tuple[str, str, Function], ...] = (
    ("v_pk_mul_lo_u16", "u16", lambda a, b: a * b),
    ("v_pk_lshlrev_b16", "u16", lambda n, a: shift_left(a, n)),
    ("v_pk_lshrrev_b16", "u16", lambda n, a: shift_right(a, n)),
    ("v_pk_ashrrev_i16", "i16", lambda n, a: shift_right(a, n)),
    ("v_pk_min_u16", "u16", np.minimum),
    ("v_pk_max_u16", "u16", np.maximum),
    ("v_pk_min_i16", "i16", np.minimum),
    ("v_pk_max_i16", "i16", np.maximum),
)


def _declare_ring(wrapping: Callable[[Function, str], Function]) -> Iterator[Operation]:
    for stem, (count, function) in RING.items():
        for kind in ("u16", "i16"):
            sources = " ".join(["u32"] * count)
            compute = _packed(wrapping(function, kind), kind)
            yield declare(f"v_pk_{stem}_{kind}", sources, "u32", compute, "VOP3P")


def _elements(word: Array, size: int, signed: bool) -> Iterator[Array]:
    for offset in range(0, 32, size):
        moved = word >> word.dtype.type(offset)
        low = moved & word.dtype.type((1 << size) - 1)
        yield sign_extend(low, size) if signed else low


def _dot(size: int, signed: bool) -> Function:
    def compute(a: Array, b: Array, c: Array) -> Array:
        # Modulo 2**32 the sign of the accumulator does not matter; int64 is left as it is.
        total = c.astype(a.dtype, copy=False)
        pairs = zip(_elements(a, size, signed), _elements(b, size, signed), strict=True)
        for left, right in pairs:
            total = total + left * right
        return total

    return compute


DOTS = tuple(
    (name, f"u32 u32 {kind}", kind, _dot(size, kind == "i32"), section)
    for name, size, kind, section in (
        ("v_dot2_i32_i16", 16, "i32", "VOP3P"),
        ("v_dot2_u32_u16", 16, "u32", "VOP3P"),
        ("v_dot4_i32_i8", 8, "i32", "VOP3P"),
        ("v_dot4_u32_u8", 8, "u32", "VOP3P"),
        ("v_dot8_i32_i4", 4, "i32", "VOP3P"),
        ("v_dot8_u32_u4", 4, "u32", "VOP3P"),
        ("v_dot2c_i32_i16", 16, "i32", "VOP2"),
        ("v_dot4c_i32_i8", 8, "i32", "VOP2"),
        ("v_dot8c_i32_i4", 4, "i32", "VOP2"),
    )
)


def _bytes(low: Array, high: Array, kind: str) -> Array:
    pair = [saturate(value, kind).astype(np.uint16) & np.uint16(0xFF) for value in (low, high)]
    return pair[0] | (pair[1] << np.uint16(8))


def _shift_pack(kind: str) -> Callable[[Array, Array, Array], Array]:
    def compute(low: Array, high: Array, count: Array) -> Array:
        return _bytes(shift_right(low, count), shift_right(high, count), kind)

    return compute


def _saturate_halves(word: Array) -> Array:
    return _bytes(_half(word, 0, "i16"), _half(word, 16, "i16"), "u8")


def _join(low: Array, high: Array) -> Array:
    return (high.astype(np.uint64) << np.uint64(32)) | low


OPERATIONS = table(
    *_declare_ring(lambda function, kind: function),
    *(
        declare(name, "u32 u32", "u32", _packed(function, kind), "VOP3P")
        for name, kind, function in OTHERS
    ),
    *(declare(*row) for row in DOTS),
    declare("v_pk_mov_b32", "u32 u32", "u64", _join, "VOP3P"),
    declare("v_sat_pk_u8_i16", "u32", "u16", _saturate_halves, "VOP1"),
    declare("v_ashr_pk_i8_i32", "i32 i32 u32", "u16", _shift_pack("i8"), "VOP3", GFX950_ONLY),
    declare("v_ashr_pk_u8_i32", "i32 i32 u32", "u16", _shift_pack("u8"), "VOP3", GFX950_ONLY),
)

SATURATING = table(
    *_declare_ring(_exact),
    *(declare_saturating(*row) for row in DOTS),
)
