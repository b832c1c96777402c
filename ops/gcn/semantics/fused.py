"""Multiply-add with one rounding (v_fma, v_fmac, v_fma_mix), unfused v_mad, and dot products.

A binary32 product is exact in binary64; the sum is rounded to odd there, so that the rounding to
binary32 is the only one that shows (Boldo and Melquiond, "Emulation of FMA and correctly rounded
sums: proved algorithms using rounding to odd", IEEE Trans. Computers 57(4), 2008).  The algorithm
of that paper gives binary64; where its exponents could leave the range, exact fractions do.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import cast

import numpy as np

from rocmoe.ops.gcn.semantics.citation import cdna2, cdna3, cdna4
from rocmoe.ops.gcn.semantics.float_arithmetic import multiply, multiply_legacy
from rocmoe.ops.gcn.semantics.float_format import (
    F16,
    F32,
    Array,
    FloatFormat,
    biased_exponent,
    flush_denormals,
    narrow,
    quietly,
    settle_nans,
    split_halves,
    widen,
)
from rocmoe.ops.gcn.semantics.operation import ARCHS, Operation, table

Compute3 = Callable[[Array, Array, Array], Array]
_SPLITTER = np.float64(2**27 + 1)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def _two_product(a: Array, b: Array) -> tuple[Array, Array]:
    product = a * b
    parts = [(value * _SPLITTER) - (value * _SPLITTER - value) for value in (a, b)]
    (a_high, b_high), (a_low, b_low) = parts, (a - parts[0], b - parts[1])
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def add_to_odd(a: Array, b: Array) -> Array:
    """a + b in float64, rounded to odd: an inexact sum has its last bit set."""
    total, error = _two_sum(a, b)
    bits = np.asarray(total).view(np.int64)
    adjust = np.isfinite(error) & (error != 0) & ((bits & 1) == 0)
    step = np.where((error > 0) == (total > 0), 1, -1)
    return cast(Array, np.where(adjust, bits + step, bits).view(np.float64))


def _fma_in_float64(kind: FloatFormat, a: Array, b: Array, c: Array, scale: Array | float) -> Array:
    product = a.astype(np.float64) * b.astype(np.float64)
    total = add_to_odd(product, np.asarray(c.astype(np.float64)))
    return settle_nans((total * scale).astype(kind.float_type), a, b, c)


@quietly
def fma_f16(a: Array, b: Array, c: Array) -> Array:
    return _fma_in_float64(F16, a, b, c, 1.0)


@quietly
def fma_f32(a: Array, b: Array, c: Array, scale: Array | float = 1.0) -> Array:
    """a * b + c, times `scale` (a power of two, float64), rounded once."""
    return _fma_in_float64(F32, a, b, c, scale)


def _fma_by_fractions(a: float, b: float, c: float, scale: float) -> float:
    exact = (Fraction(a) * Fraction(b) + Fraction(c)) * Fraction(scale)
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return float("inf") if exact > 0 else float("-inf")


def _far_from_limits(a: Array, b: Array, c: Array, scale: Array) -> Array:
    exponent_a, exponent_b = biased_exponent(a) - 1023, biased_exponent(b) - 1023
    total = exponent_a + exponent_b
    small = (np.abs(exponent_a) < 990) & (np.abs(exponent_b) < 990) & (np.abs(total) < 890)
    return cast(Array, small & (biased_exponent(c) < 1023 + 990) & (scale == 1))


@quietly
def fma_f64(a: Array, b: Array, c: Array, scale: Array | float = 1.0) -> Array:
    """a * b + c, times `scale` (a power of two, float64), rounded once."""
    a, b, c, scales = np.broadcast_arrays(a, b, c, np.float64(scale))
    high, low = _two_product(a, b)
    carry_high, carry_low = _two_sum(c, low)
    sum_high, sum_low = _two_sum(high, carry_high)
    result = np.asarray(sum_high + add_to_odd(carry_low, sum_low))
    simple = ~np.isfinite(a) | ~np.isfinite(b) | ~np.isfinite(c) | ((a == 0) | (b == 0))
    result = np.where(simple, (a * b + c) * scales, result)
    hard = ~simple & ~_far_from_limits(a, b, c, scales)
    for index in np.argwhere(hard):
        i = tuple(index)
        result[i] = _fma_by_fractions(float(a[i]), float(b[i]), float(c[i]), float(scales[i]))
    return settle_nans(result, a, b, c)


@quietly
def mad_f16(a: Array, b: Array, c: Array) -> Array:
    """a * b rounded, then + c rounded."""
    product = settle_nans(np.asarray(a * b), a, b)
    return settle_nans(np.asarray(product + c), product, c)


def _mad_f32(multiplied: Callable[[Array, Array], Array]) -> Compute3:
    @quietly
    def compute(a: Array, b: Array, c: Array) -> Array:
        """a * b rounded, then + c rounded; denormals count as zeros, between and after too."""
        a, b, c = (flush_denormals(value) for value in (a, b, c))
        product = flush_denormals(multiplied(a, b))
        return settle_nans(flush_denormals(np.asarray(product + c)), product, c)

    return compute


mad_f32 = _mad_f32(multiply)
mad_legacy_f32 = _mad_f32(multiply_legacy)


def fma_mix_source(words: Array, op_sel: bool, op_sel_hi: bool) -> Array:
    """A source of v_fma_mix as f32: the word (op_sel_hi 0), or its low or high half, an f16."""
    if not op_sel_hi:
        return cast(Array, words.view(np.float32))
    low, high = split_halves(words)
    return widen(np.asarray(high if op_sel else low).view(np.float16), F32)


def fma_mix_to_f16(a: Array, b: Array, c: Array) -> Array:
    """The f32 fma, rounded a second time to f16, as the ISA document writes it."""
    return narrow(fma_f32(a, b, c), F16)


def _bf16_halves(words: Array) -> tuple[Array, Array]:
    high = words & np.uint32(0xFFFF0000)
    return (words << np.uint32(16)).view(np.float32), high.view(np.float32)


def _f16_halves(words: Array) -> tuple[Array, Array]:
    low, high = (half.view(np.float16) for half in split_halves(np.asarray(words)))
    return widen(low, F32), widen(high, F32)


@quietly
def dot2_f32_f16(a: Array, b: Array, c: Array) -> Array:
    """c + a.low * b.low, rounded to f32, then + a.high * b.high: the order of the ISA document."""
    (a_low, a_high), (b_low, b_high) = _f16_halves(a), _f16_halves(b)
    return fma_f32(a_high, b_high, fma_f32(a_low, b_low, c))


@quietly
def dot2_f32_bf16(a: Array, b: Array, c: Array) -> Array:
    """a.low * b.low + a.high * b.high, rounded to f32, then + c: the order of the ISA document."""
    (a_low, a_high), (b_low, b_high) = (_bf16_halves(np.asarray(words)) for words in (a, b))
    product = fma_f32(a_low, b_low, np.asarray(np.float32(-0.0)))
    total = fma_f32(a_high, b_high, product)
    return settle_nans(np.asarray(total + c), total, c)


@quietly
def dot2c_f32_bf16(a: Array, b: Array, c: Array) -> Array:
    """c + a.low * b.low, rounded to f32, then + a.high * b.high."""
    (a_low, a_high), (b_low, b_high) = (_bf16_halves(np.asarray(words)) for words in (a, b))
    return fma_f32(a_high, b_high, fma_f32(a_low, b_low, c))


_NEWER = ("gfx942", "gfx950")
_GFX90A_ONLY = ("gfx90a",)
_ADDEND_IS_D = "the third source is D"
_WITH_CONSTANT = "the sources in the order S0, K, S1"


def _three(
    name: str, kind: str, compute: Compute3, note: str = "", archs: tuple[str, ...] = ARCHS
) -> Operation:
    return Operation(name, (kind,) * 3, (kind,), compute, cdna3(name.upper(), note), archs)


def _mad(name: str, compute: Compute3 = mad_f32, note: str = "") -> Operation:
    """Of f32, which later architectures have no more."""
    return Operation(name, ("f32",) * 3, ("f32",), compute, cdna2(name.upper(), note), _GFX90A_ONLY)


def _mix(name: str, result: str, compute: Compute3) -> Operation:
    document = cdna3(name.upper().replace("FMA", "MAD"), "the sources after fma_mix_source; fused")
    return Operation(name, ("f32",) * 3, (result,), compute, document)


def _dot2(name: str, compute: Compute3, cite: str, archs: tuple[str, ...] = ARCHS) -> Operation:
    return Operation(name, ("u32", "u32", "f32"), ("f32",), compute, cite, archs)


OPERATIONS = table(
    _three("v_fma_f16", "f16", fma_f16),
    _three("v_fma_f32", "f32", fma_f32),
    _three("v_fma_f64", "f64", fma_f64),
    _three("v_fma_legacy_f16", "f16", fma_f16),
    _three("v_mad_f16", "f16", mad_f16),
    _three("v_mad_legacy_f16", "f16", mad_f16),
    _three("v_mac_f16", "f16", mad_f16, _ADDEND_IS_D),
    _three("v_madak_f16", "f16", mad_f16),
    _three("v_madmk_f16", "f16", mad_f16, _WITH_CONSTANT),
    _mad("v_mad_f32"),
    _mad("v_mad_legacy_f32", mad_legacy_f32),
    _mad("v_mac_f32", note=_ADDEND_IS_D),
    _mad("v_madak_f32"),
    _mad("v_madmk_f32", note=_WITH_CONSTANT),
    _three("v_fmac_f32", "f32", fma_f32, _ADDEND_IS_D),
    _three("v_fmac_f64", "f64", fma_f64, _ADDEND_IS_D),
    _three("v_fmaak_f32", "f32", fma_f32, archs=_NEWER),
    _three("v_fmamk_f32", "f32", fma_f32, _WITH_CONSTANT, _NEWER),
    _mix("v_fma_mix_f32", "f32", fma_f32),
    _mix("v_fma_mixlo_f16", "f16", fma_mix_to_f16),
    _mix("v_fma_mixhi_f16", "f16", fma_mix_to_f16),
    _dot2("v_dot2_f32_f16", dot2_f32_f16, cdna3("V_DOT2_F32_F16")),
    _dot2("v_dot2c_f32_f16", dot2_f32_f16, cdna3("V_DOT2C_F32_F16", _ADDEND_IS_D)),
    _dot2("v_dot2_f32_bf16", dot2_f32_bf16, cdna4("V_DOT2_F32_BF16"), ("gfx950",)),
    _dot2("v_dot2c_f32_bf16", dot2c_f32_bf16, cdna4("V_DOT2C_F32_BF16"), ("gfx950",)),
)
