"""Sums of absolute differences of bytes and words (v_sad, v_msad, v_qsad), and v_lerp_u8."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rocmoe.ops.gcn.semantics.declaration import declare, declare_saturating
from rocmoe.ops.gcn.semantics.operation import Operation, table
from rocmoe.ops.gcn.semantics.words import DTYPES, Array, saturate

Narrow = Callable[[Array, str], Array]


def _field(word: Array, offset: int, size: int) -> Array:
    kind = word.dtype.type
    return (word >> kind(offset)) & kind((1 << size) - 1)


def _difference(a: Array, b: Array) -> Array:
    return np.maximum(a, b) - np.minimum(a, b)


def _sum_fields(a: Array, b: Array, size: int) -> Array:
    total = np.zeros(1, a.dtype)
    for offset in range(0, 32, size):
        total = total + _difference(_field(a, offset, size), _field(b, offset, size))
    return total


def _sum_masked(a: Array, b: Array) -> Array:
    """Bytes that are 0 in the second source do not count."""
    total = np.zeros(1, a.dtype)
    for offset in range(0, 32, 8):
        x, y = _field(a, offset, 8), _field(b, offset, 8)
        total = total + np.where(y == 0, a.dtype.type(0), _difference(x, y))
    return total


def _sum_bytes(a: Array, b: Array) -> Array:
    return _sum_fields(a, b, 8)


def _sum_bytes_high(a: Array, b: Array, c: Array) -> Array:
    return (_sum_bytes(a, b) << a.dtype.type(16)) + c


SINGLE = (
    ("v_sad_u8", "u32 u32 u32", "u32", lambda a, b, c: _sum_bytes(a, b) + c, "VOP3"),
    ("v_sad_hi_u8", "u32 u32 u32", "u32", _sum_bytes_high, "VOP3"),
    ("v_sad_u16", "u32 u32 u32", "u32", lambda a, b, c: _sum_fields(a, b, 16) + c, "VOP3"),
    ("v_sad_u32", "u32 u32 u32", "u32", lambda a, b, c: _difference(a, b) + c, "VOP3"),
    ("v_msad_u8", "u32 u32 u32", "u32", lambda a, b, c: _sum_masked(a, b) + c, "VOP3"),
)


def _window(bytes8: Array, position: int) -> Array:
    """Four bytes of eight, from byte `position`."""
    return _field(bytes8, 8 * position, 32)


def _wrap(value: Array, kind: str) -> Array:
    return value.astype(DTYPES[kind]).astype(np.int64)


def _four_packed(total: Callable[[Array, Array], Array], narrow: Narrow) -> Callable[..., Array]:
    def compute(bytes8: Array, reference: Array, addends: Array) -> Array:
        packed = np.zeros(1, np.uint64)
        wide = reference.astype(np.uint64)
        for position in range(4):
            added = total(_window(bytes8, position), wide) + _field(addends, 16 * position, 16)
            result = narrow(added.astype(np.int64), "u16").astype(np.uint64)
            packed = packed | (result << np.uint64(16 * position))
        return packed

    return compute


def _four_words(narrow: Narrow) -> Callable[..., tuple[Array, ...]]:
    def compute(bytes8: Array, reference: Array, *addends: Array) -> tuple[Array, ...]:
        wide = reference.astype(np.uint64)
        return tuple(
            narrow((_sum_masked(_window(bytes8, position), wide) + addend).astype(np.int64), "u32")
            for position, addend in enumerate(addends)
        )

    return compute


def _declare_quads(narrow: Narrow) -> tuple[Operation, ...]:
    """The 128-bit addend and result of v_mqsad_u32_u8 are four registers each."""
    packed, words = "u64 u32 u64", "u64 u32 u32 u32 u32 u32"
    return (
        declare("v_qsad_pk_u16_u8", packed, "u64", _four_packed(_sum_bytes, narrow), "VOP3"),
        declare("v_mqsad_pk_u16_u8", packed, "u64", _four_packed(_sum_masked, narrow), "VOP3"),
        declare("v_mqsad_u32_u8", words, "u32 u32 u32 u32", _four_words(narrow), "VOP3"),
    )


def _interpolate(a: Array, b: Array, rounding: Array) -> Array:
    result = np.zeros(1, np.uint32)
    for offset in range(0, 32, 8):
        total = _field(a, offset, 8) + _field(b, offset, 8) + _field(rounding, offset, 1)
        result = result | ((total >> np.uint32(1)) << np.uint32(offset))
    return result


OPERATIONS = table(
    *(declare(*row) for row in SINGLE),
    *_declare_quads(_wrap),
    declare("v_lerp_u8", "u32 u32 u32", "u32", _interpolate, "VOP3"),
)

SATURATING = table(*(declare_saturating(*row) for row in SINGLE), *_declare_quads(saturate))
