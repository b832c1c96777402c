"""32-bit vector arithmetic: sums with carries, products, minima, multiply-adds; and saturated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from rocmoe.ops.gcn.semantics.declaration import Function, declare, declare_saturating
from rocmoe.ops.gcn.semantics.operation import Operation, table
from rocmoe.ops.gcn.semantics.words import (
    Array,
    add_with_carry,
    shift_left,
    sign_extend,
    subtract_with_borrow,
)

Row = tuple[str, str, str, Function, str]


def median(a: Array, b: Array, c: Array) -> Array:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def minimum3(a: Array, b: Array, c: Array) -> Array:
    return np.minimum(np.minimum(a, b), c)


def maximum3(a: Array, b: Array, c: Array) -> Array:
    return np.maximum(np.maximum(a, b), c)


def _u24(word: Array) -> Array:
    return word & word.dtype.type(0xFFFFFF)


def _i24(word: Array) -> Array:
    return sign_extend(word, 24)


# These hold in any ring of integers: modulo 2**32 they wrap, in int64 they are exact.
RING: tuple[Row, ...] = (
    ("v_add_u32", "u32 u32", "u32", lambda a, b: a + b, "VOP2"),
    ("v_sub_u32", "u32 u32", "u32", lambda a, b: a - b, "VOP2"),
    ("v_subrev_u32", "u32 u32", "u32", lambda a, b: b - a, "VOP2"),
    ("v_add_i32", "i32 i32", "i32", lambda a, b: a + b, "VOP3"),
    ("v_sub_i32", "i32 i32", "i32", lambda a, b: a - b, "VOP3"),
    ("v_mad_u32_u24", "u32 u32 u32", "u32", lambda a, b, c: _u24(a) * _u24(b) + c, "VOP3"),
    ("v_mad_i32_i24", "i32 i32 i32", "i32", lambda a, b, c: _i24(a) * _i24(b) + c, "VOP3"),
    ("v_mad_u32_u16", "u16 u16 u32", "u32", lambda a, b, c: a.astype(c.dtype) * b + c, "VOP3"),
    ("v_mad_i32_i16", "i16 i16 i32", "i32", lambda a, b, c: a.astype(c.dtype) * b + c, "VOP3"),
)

OTHERS: tuple[Row, ...] = (
    ("v_mul_u32_u24", "u32 u32", "u32", lambda a, b: _u24(a) * _u24(b), "VOP2"),
    ("v_mul_i32_i24", "i32 i32", "i32", lambda a, b: _i24(a) * _i24(b), "VOP2"),
    ("v_mul_hi_u32_u24", "u32 u32", "u32", lambda a, b: _high(_u24(a), _u24(b), np.uint64), "VOP2"),
    ("v_mul_hi_i32_i24", "i32 i32", "i32", lambda a, b: _high(_i24(a), _i24(b), np.int64), "VOP2"),
    ("v_mul_lo_u32", "u32 u32", "u32", lambda a, b: a * b, "VOP3"),
    ("v_mul_hi_u32", "u32 u32", "u32", lambda a, b: _high(a, b, np.uint64), "VOP3"),
    ("v_mul_hi_i32", "i32 i32", "i32", lambda a, b: _high(a, b, np.int64), "VOP3"),
    ("v_add3_u32", "u32 u32 u32", "u32", lambda a, b, c: a + b + c, "VOP3"),
    ("v_xad_u32", "u32 u32 u32", "u32", lambda a, b, c: (a ^ b) + c, "VOP3"),
    ("v_lshl_add_u32", "u32 u32 u32", "u32", lambda a, n, c: shift_left(a, n) + c, "VOP3"),
    ("v_add_lshl_u32", "u32 u32 u32", "u32", lambda a, b, n: shift_left(a + b, n), "VOP3"),
    ("v_cndmask_b32", "u32 u32 bool", "u32", lambda a, b, pick: np.where(pick, b, a), "VOP2"),
)


def _high(a: Array, b: Array, wide: type[np.integer]) -> Array:
    return (a.astype(wide) * b) >> wide(32)


def _subtract_reversed(a: Array, b: Array, borrow: Array | None = None) -> tuple[Array, Array]:
    return subtract_with_borrow(b, a, borrow)


def _carry_out(function: Callable[..., Array]) -> Function:
    """In int64: the exact value, and whether u32 holds it."""

    def compute(*operands: Array) -> tuple[Array, Array]:
        exact = function(*operands)
        return exact, (exact < 0) | (exact > 0xFFFFFFFF)

    return compute


CARRIES: tuple[tuple[str, str, Function, Function], ...] = (
    ("v_add_co_u32", "u32 u32", add_with_carry, lambda a, b: a + b),
    ("v_addc_co_u32", "u32 u32 bool", add_with_carry, lambda a, b, c: a + b + c),
    ("v_sub_co_u32", "u32 u32", subtract_with_borrow, lambda a, b: a - b),
    ("v_subb_co_u32", "u32 u32 bool", subtract_with_borrow, lambda a, b, c: a - b - c),
    ("v_subrev_co_u32", "u32 u32", _subtract_reversed, lambda a, b: b - a),
    ("v_subbrev_co_u32", "u32 u32 bool", _subtract_reversed, lambda a, b, c: b - a - c),
)


def _declare_orders() -> Iterator[Operation]:
    for kind in ("u32", "i32"):
        two, three = f"{kind} {kind}", f"{kind} {kind} {kind}"
        yield declare(f"v_min_{kind}", two, kind, np.minimum, "VOP2")
        yield declare(f"v_max_{kind}", two, kind, np.maximum, "VOP2")
        yield declare(f"v_min3_{kind}", three, kind, minimum3, "VOP3")
        yield declare(f"v_max3_{kind}", three, kind, maximum3, "VOP3")
        yield declare(f"v_med3_{kind}", three, kind, median, "VOP3")


OPERATIONS = table(
    *(declare(*row) for row in (*RING, *OTHERS)),
    *(declare(name, sources, "u32 bool", wrap, "VOP2") for name, sources, wrap, _ in CARRIES),
    *_declare_orders(),
)

SATURATING = table(
    *(declare_saturating(*row) for row in RING),
    *(
        declare_saturating(name, sources, "u32 bool", _carry_out(exact), "VOP2")
        for name, sources, _, exact in CARRIES
    ),
)
