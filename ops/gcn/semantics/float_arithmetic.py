"""Arithmetic that is the same for f16, f32 and f64, and the VOP3 output modifiers.

Denormals are kept.  v_mul_legacy_f32 alone differs from IEEE 754: zero times anything is +0.
"""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.semantics.float_format import (
    Array,
    format_of,
    is_denormal,
    quiet,
    quietly,
    settle_nans,
)

MAX_LDEXP = 1 << 14
OUTPUT_SCALES = {0: 1.0, 1: 2.0, 2: 4.0, 3: 0.5}


@quietly
def add(a: Array, b: Array) -> Array:
    return settle_nans(np.asarray(a + b), a, b)


@quietly
def subtract(a: Array, b: Array) -> Array:
    return settle_nans(np.asarray(a - b), a, b)


@quietly
def subtract_reversed(a: Array, b: Array) -> Array:
    return settle_nans(np.asarray(b - a), a, b)


@quietly
def multiply(a: Array, b: Array) -> Array:
    return settle_nans(np.asarray(a * b), a, b)


@quietly
def multiply_legacy(a: Array, b: Array) -> Array:
    """0 * x = +0 even for infinities and NaNs (the DX9 rule)."""
    return np.where((a == 0) | (b == 0), np.float32(0), multiply(a, b))


@quietly
def floor(x: Array) -> Array:
    return quiet(np.asarray(np.floor(x)))


@quietly
def ceil(x: Array) -> Array:
    return quiet(np.asarray(np.ceil(x)))


@quietly
def trunc(x: Array) -> Array:
    return quiet(np.asarray(np.trunc(x)))


@quietly
def round_to_even(x: Array) -> Array:
    return quiet(np.asarray(np.rint(x)))


@quietly
def fract(x: Array) -> Array:
    """x - floor(x), below one: the hardware takes the minimum with the largest value below 1.

    Source of the minimum: LLVM, llvm/lib/Analysis/ConstantFolding.cpp, Intrinsic::amdgcn_fract.
    """
    rest = np.asarray(x - np.floor(x))
    return settle_nans(np.minimum(rest, format_of(rest).below_one), x)


@quietly
def ldexp(x: Array, exponent: Array) -> Array:
    steps = np.clip(np.asarray(exponent).astype(np.int32), -MAX_LDEXP, MAX_LDEXP)
    return quiet(np.asarray(np.ldexp(x, steps)))


@quietly
def frexp_mantissa(x: Array) -> Array:
    """The significand in [0.5, 1) with the sign of x; zeros and infinities are themselves."""
    return quiet(np.where(np.isfinite(x), np.frexp(x)[0], x))


@quietly
def frexp_exponent(x: Array) -> Array:
    """e of x = m * 2**e with 0.5 <= m < 1, int32; 0 for zeros, infinities and NaNs."""
    return np.where(np.isfinite(x), np.frexp(x)[1], 0).astype(np.int32)


@quietly
def frexp_exponent_i16(x: Array) -> Array:
    return frexp_exponent(x).astype(np.int16)


@quietly
def apply_output_modifier(x: Array, omod: int) -> Array:
    """OMOD of VOP3: 0 nothing, 1 times 2, 2 times 4, 3 divided by 2.

    The hardware ignores OMOD where denormals of the type are kept; that is for the caller to know.
    """
    if omod == 0:
        return x
    scaled = np.asarray(x * x.dtype.type(OUTPUT_SCALES[omod]))
    return settle_nans(np.where(is_denormal(scaled), scaled * x.dtype.type(0), scaled), x)


@quietly
def clamp_output(x: Array, dx10_clamp: bool = True) -> Array:
    """CLAMP of a float result: to [0, 1]; a NaN becomes 0 if MODE.DX10_CLAMP is set."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    clamped = np.where(x > 0, np.minimum(x, one), zero)
    return clamped if dx10_clamp else np.where(np.isnan(x), quiet(x), clamped)
