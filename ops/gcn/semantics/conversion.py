"""Conversions between floats and integers, one value each.

Float to integer truncates, saturates at the ends of the integer type, and makes 0 of a NaN.  To a
float they round to nearest even.  Values read from a byte or half of a register by SDWA or op_sel
are selected before they come here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rocmoe.ops.gcn.semantics.citation import cdna3, cdna4
from rocmoe.ops.gcn.semantics.float_format import F16, F32, F64, Array, narrow, quietly, widen
from rocmoe.ops.gcn.semantics.operation import Operation, table
from rocmoe.ops.gcn.semantics.small_float import f32_of_bf16

Convert = Callable[[Array], Array]
_TYPES: dict[str, Any] = {
    "i16": np.int16,
    "u16": np.uint16,
    "i32": np.int32,
    "u32": np.uint32,
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
}


def saturate(x: Array, integer: Any) -> Array:
    """Whole numbers as float64 to `integer`, saturated; NaN to 0."""
    limits = np.iinfo(integer)
    bounded = np.clip(x, float(limits.min), float(limits.max))
    return np.where(np.isnan(x), 0.0, bounded).astype(integer)


def _to_integer(integer: str) -> Convert:
    @quietly
    def compute(x: Array) -> Array:
        return saturate(np.trunc(np.asarray(x, np.float64)), _TYPES[integer])

    return compute


def _to_float(kind: str) -> Convert:
    @quietly
    def compute(x: Array) -> Array:
        return np.asarray(x).astype(_TYPES[kind])

    return compute


@quietly
def _round_half_up(x: Array) -> Array:
    """floor(x + 0.5), the sum rounded to f32."""
    return saturate(np.floor(x + np.float32(0.5)).astype(np.float64), np.int32)


@quietly
def _round_down(x: Array) -> Array:
    return saturate(np.floor(x).astype(np.float64), np.int32)


@quietly
def _offset_from_i4(x: Array) -> Array:
    """The low four bits as a signed number of sixteenths."""
    low = (x & np.uint32(15)).astype(np.int32)
    return np.asarray(((low ^ 8) - 8) / np.float32(16), np.float32)


def _from_byte(index: int) -> Convert:
    def compute(x: Array) -> Array:
        return np.asarray((x >> np.uint32(8 * index)) & np.uint32(255), np.float32)

    return compute


@quietly
def f16_of_f32(x: Array) -> Array:
    return narrow(x, F16)


@quietly
def f32_of_f64(x: Array) -> Array:
    return narrow(x, F32)


@quietly
def f32_of_f16(x: Array) -> Array:
    return widen(x, F32)


@quietly
def f64_of_f32(x: Array) -> Array:
    return widen(x, F64)


@quietly
def normalized(x: Array, integer: Any) -> Array:
    """[-1, 1] to +-32767, or [0, 1] to 65535, clamped, to nearest even; NaN to 0."""
    largest = float(np.iinfo(integer).max)
    lowest = -1.0 if np.iinfo(integer).min else 0.0
    return saturate(np.rint(np.clip(x.astype(np.float64), lowest, 1.0) * largest), integer)


def _i16_normalized(x: Array) -> Array:
    return normalized(x, np.int16)


def _u16_normalized(x: Array) -> Array:
    return normalized(x, np.uint16)


def _convert(name: str, source: str, result: str, compute: Convert) -> Operation:
    return Operation(name, (source,), (result,), compute, cdna3(name.upper()))


def _between(result: str, source: str, compute: Convert) -> Operation:
    return _convert(f"v_cvt_{result}_{source}", source, result, compute)


_INTEGERS_OF = {"f32": ("i32", "u32"), "f64": ("i32", "u32"), "f16": ("i16", "u16")}

OPERATIONS = table(
    *(_between(i, f, _to_integer(i)) for f, kinds in _INTEGERS_OF.items() for i in kinds),
    *(_between(f, i, _to_float(f)) for f, kinds in _INTEGERS_OF.items() for i in kinds),
    _between("f16", "f32", f16_of_f32),
    _between("f32", "f16", f32_of_f16),
    _between("f32", "f64", f32_of_f64),
    _between("f64", "f32", f64_of_f32),
    *(_convert(f"v_cvt_f32_ubyte{i}", "u32", "f32", _from_byte(i)) for i in range(4)),
    _convert("v_cvt_rpi_i32_f32", "f32", "i32", _round_half_up),
    _convert("v_cvt_flr_i32_f32", "f32", "i32", _round_down),
    _convert("v_cvt_off_f32_i4", "u32", "f32", _offset_from_i4),
    _convert("v_cvt_norm_i16_f16", "f16", "i16", _i16_normalized),
    _convert("v_cvt_norm_u16_f16", "f16", "u16", _u16_normalized),
    Operation(
        "v_cvt_f32_bf16", ("bf16",), ("f32",), f32_of_bf16, cdna4("V_CVT_F32_BF16"), ("gfx950",)
    ),
)
