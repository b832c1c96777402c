"""v_div_scale, v_div_fmas and v_div_fixup: the steps of a correctly rounded division.

The sequence that compilers emit for n / d is: scale d and n, refine a reciprocal by fma, take the
last fma with v_div_fmas, and let v_div_fixup put the special cases in.

Three points where the pseudo-code of the documents cannot be meant to the letter:
v_div_fmas must undo what v_div_scale did, 2**64 (f64: 2**128), upwards where the estimate of the
quotient (the third source) is at least 2 and downwards otherwise, and before the rounding; and the
"denormal" reciprocal of v_div_scale_f32 is one that is denormal in f32; and where the reciprocal
and the quotient both are, the denominator is so large that it must be scaled down, not up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from rocmoe.ops.gcn.semantics.citation import cdna3
from rocmoe.ops.gcn.semantics.float_format import (
    F32,
    F64,
    Array,
    FloatFormat,
    biased_exponent,
    format_of,
    is_denormal,
    quiet,
    quietly,
)
from rocmoe.ops.gcn.semantics.fused import fma_f32, fma_f64
from rocmoe.ops.gcn.semantics.operation import Operation, table

SCALE_EXPONENT = {F32.name: 64, F64.name: 128}
_FAR_APART = {F32.name: 96, F64.name: 768}
_TINY_NUMERATOR = {F32.name: 23, F64.name: 53}
_UNDERFLOW = {F32.name: -150, F64.name: -1075}


def _below_normal(numerator: Array, denominator: Array, kind: FloatFormat) -> Array:
    """|n / d| < the least normal number, n and d finite and not zero."""
    mantissa_n, exponent_n = np.frexp(np.abs(numerator.astype(np.float64)))
    mantissa_d, exponent_d = np.frexp(np.abs(denominator.astype(np.float64)))
    exponent = exponent_n.astype(np.int64) - exponent_d - (mantissa_n < mantissa_d)
    return cast(Array, exponent < 1 - kind.bias)


def _scaling(denominator: Array, numerator: Array, kind: FloatFormat) -> tuple[Array, ...]:
    """By what power of two d and n are scaled, and whether v_div_fmas must undo it."""
    step = SCALE_EXPONENT[kind.name]
    exponent_n, exponent_d = biased_exponent(numerator), biased_exponent(denominator)
    one = np.ones_like(denominator)
    huge = exponent_n - exponent_d >= _FAR_APART[kind.name]
    tiny_d = is_denormal(denominator)
    tiny_reciprocal = _below_normal(one, denominator, kind)
    tiny_quotient = _below_normal(numerator, denominator, kind)
    tiny_n = exponent_n <= _TINY_NUMERATOR[kind.name]
    cases = [huge, tiny_d, tiny_reciprocal & tiny_quotient, tiny_reciprocal, tiny_quotient, tiny_n]
    of_d = np.select(cases, [step, step, -step, -step, 0, step], 0)
    of_n = np.select(cases, [0, step, 0, -step, step, step], 0)
    return of_d, of_n, np.select(cases, [True, False, True, False, True, False], False)


@quietly
def div_scale(value: Array, denominator: Array, numerator: Array) -> tuple[Array, Array]:
    """`value` (the denominator or the numerator), scaled, and the lane's bit of VCC."""
    value, denominator, numerator = np.broadcast_arrays(value, denominator, numerator)
    kind = format_of(value)
    zero = (denominator == 0) | (numerator == 0)
    finite = np.isfinite(denominator) & np.isfinite(numerator)
    usual = finite & ~zero
    safe_d = np.where(usual, denominator, kind.float_type(1))
    safe_n = np.where(usual, numerator, kind.float_type(1))
    of_d, of_n, undo = _scaling(safe_d, safe_n, kind)
    steps = np.where(value == denominator, of_d, of_n)
    scaled = np.ldexp(value, np.where(usual, steps, 0).astype(np.int32))
    return quiet(np.where(zero, kind.default_nan, scaled)), undo & usual


def _undo_scale(third: Array, undo: Array) -> Array:
    kind = format_of(third)
    step = SCALE_EXPONENT[kind.name]
    up = biased_exponent(third) > kind.bias
    return np.where(undo, np.where(up, 2.0**step, 2.0**-step), 1.0)


@quietly
def div_fmas_f32(a: Array, b: Array, c: Array, undo: Array) -> Array:
    """a * b + c with the scale of v_div_scale taken off where the lane's bit of VCC is set."""
    return fma_f32(a, b, c, _undo_scale(c, undo))


@quietly
def div_fmas_f64(a: Array, b: Array, c: Array, undo: Array) -> Array:
    """a * b + c with the scale of v_div_scale taken off where the lane's bit of VCC is set."""
    return fma_f64(a, b, c, _undo_scale(c, undo))


@quietly
def div_fixup(quotient: Array, denominator: Array, numerator: Array) -> Array:
    """`quotient` of finite numbers with the sign of n / d, or what a special n / d is.

    A NaN for a quotient means that the steps before overflowed, so it is infinite (f32 and f64).
    """
    quotient, denominator, numerator = np.broadcast_arrays(quotient, denominator, numerator)
    kind = format_of(quotient)
    d_inf, n_inf = np.isinf(denominator), np.isinf(numerator)
    d_zero, n_zero = denominator == 0, numerator == 0
    sign = np.where(np.signbit(denominator) ^ np.signbit(numerator), -1, 1).astype(kind.float_type)
    infinity, zero = sign * kind.float_type(np.inf), sign * kind.float_type(0)
    gap = biased_exponent(numerator) - biased_exponent(denominator)
    underflow = gap < _UNDERFLOW.get(kind.name, -(1 << 20))
    cases = [
        (np.isnan(numerator), quiet(numerator)),
        (np.isnan(denominator), quiet(denominator)),
        ((d_zero & n_zero) | (d_inf & n_inf), kind.default_nan),
        (d_zero | n_inf, infinity),
        (d_inf | n_zero | underflow, zero),
        (np.isnan(quotient) & (kind.name in _UNDERFLOW), infinity),
    ]
    usual = quiet(np.copysign(quotient, sign))
    return np.select(
        [c for c, _ in cases], [np.broadcast_to(v, usual.shape) for _, v in cases], usual
    )


def _scale(kind: str) -> Operation:
    cite = cdna3(f"V_DIV_SCALE_{kind.upper()}")
    return Operation(f"v_div_scale_{kind}", (kind,) * 3, (kind, "bool"), div_scale, cite)


def _fixup(name: str, kind: str) -> Operation:
    return Operation(name, (kind,) * 3, (kind,), div_fixup, cdna3(name.upper()))


def _fmas(kind: str, compute: Callable[..., Array]) -> Operation:
    cite = cdna3(f"V_DIV_FMAS_{kind.upper()}", "but the scale that undoes V_DIV_SCALE")
    sources = (kind, kind, kind, "bool")
    return Operation(f"v_div_fmas_{kind}", sources, (kind,), compute, cite)


OPERATIONS = table(
    _scale("f32"),
    _scale("f64"),
    _fmas("f32", div_fmas_f32),
    _fmas("f64", div_fmas_f64),
    _fixup("v_div_fixup_f32", "f32"),
    _fixup("v_div_fixup_f64", "f64"),
    _fixup("v_div_fixup_f16", "f16"),
    _fixup("v_div_fixup_legacy_f16", "f16"),
)
