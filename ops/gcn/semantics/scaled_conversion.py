"""Conversions between narrow and wide floats by a scale: gfx950's V_CVT_SCALEF32_*, and V_CVT_SR_*.

The scale is the exponent field of an f32, a power of two from 2**-127 to 2**127, and a NaN where
that is 255.  Wide values are divided by it and rounded once, narrow ones multiplied.  Sources: the
pseudo code of the CDNA4 document for operands and random bits; AMD's emulation in HIP (ROCm/clr,
amd_hip_ocp_host.hpp, `from_float`, `from_float_sr`, `to_float`) for rounding, overflow and NaNs,
which the document's functions (f32_to_fp8_scale and so on) leave open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from rocmoe.ops.gcn.semantics.bits import step_random
from rocmoe.ops.gcn.semantics.citation import cdna3, cdna4
from rocmoe.ops.gcn.semantics.declaration import GFX950_ONLY
from rocmoe.ops.gcn.semantics.float_format import Array, join_halves, quietly, split_halves
from rocmoe.ops.gcn.semantics.operation import Operation, table
from rocmoe.ops.gcn.semantics.small_float import (
    BF8_OCP,
    FP4,
    FP8_OCP,
    SmallFloat,
    bf8_of,
    bf16_of_f32,
    decode,
    encode,
    encode_stochastic,
    f32_of_bf16,
    fp8_of,
)

NAN_SCALE = 255
MANTISSA_BITS: Mapping[str, int] = MappingProxyType({"f32": 23, "f16": 10, "bf16": 7})
_BIAS = 127
_BYTES = {"fp8": FP8_OCP, "bf8": BF8_OCP}
_LARGEST_F16 = np.float16(65504)


def scale_field(scale: Array) -> Array:
    """The exponent field of f32, int64: an E8M0 scale."""
    bits: Array = np.asarray(scale).view(np.uint32)
    return np.asarray((bits >> np.uint32(23)) & np.uint32(255), np.int64)


def widen(values: Array, kind: str) -> Array:
    """Values of a wide type (bf16 as its bits) to f64, exactly."""
    return (f32_of_bf16(values) if kind == "bf16" else values).astype(np.float64)


@quietly
def divide(values: Array, scale: Array, small: SmallFloat, saturate: bool = False) -> Array:
    """Codes (u8) of f64 values over a scale (f32), to nearest even."""
    field = scale_field(scale)
    quotient = np.ldexp(values, (_BIAS - field).astype(np.int32))
    return encode(_spoil(quotient, field), small, saturate)


@quietly
def divide_stochastically(
    values: Array, seed: Array, scale: Array, small: SmallFloat, kind: str, saturate: bool = False
) -> Array:
    """Codes (u8) of f64 values, which are of type `kind`, over a scale (f32), by a seed (u32)."""
    field = scale_field(scale)
    power = np.where(field == NAN_SCALE, 0, field - _BIAS)
    return encode_stochastic(
        _spoil(values, field), seed, small, MANTISSA_BITS[kind], power, saturate
    )


@quietly
def multiply(codes: Array, scale: Array, small: SmallFloat, kind: str, saturate: bool) -> Array:
    """Values of type `kind` (bf16 as its bits) of codes times a scale (f32), to nearest even.

    saturate: MODE.FP16_OVFL, where an f16 past the range becomes the largest finite one.
    """
    field = scale_field(scale)
    narrow = decode(codes, small).astype(np.float64)
    product = np.ldexp(narrow, (field - _BIAS).astype(np.int32))
    product = _spoil(product, field)
    if kind == "bf16":
        rounded: Array = bf16_of_f32(product.astype(np.float32))
        return _full_nans(rounded, product)
    if kind == "f32":
        return product.astype(np.float32)
    half = product.astype(np.float16)
    if saturate:
        half = np.where(
            np.isinf(half) & np.isfinite(product), np.copysign(_LARGEST_F16, half), half
        )
    return _full_nans(half.view(np.uint16), product).view(np.float16)


def _spoil(values: Array, field: Array) -> Array:
    """NaNs of the values' signs where the scale is one."""
    return np.where(field == NAN_SCALE, np.copysign(np.nan, values), values)


def _full_nans(bits: Array, value: Array) -> Array:
    """16-bit results with all bits below the sign set in place of NaNs."""
    nan = np.where(np.signbit(value), np.uint16(0xFFFF), np.uint16(0x7FFF))
    return np.where(np.isnan(value), nan, bits)


def _halves(words: Array, kind: str) -> tuple[Array, ...]:
    """The two f16 or bf16 of u32, as f64."""
    view = np.float16 if kind == "f16" else np.uint16
    return tuple(widen(half.view(view), kind) for half in split_halves(words))


def _join(codes: list[Array], small: SmallFloat) -> Array:
    """Two codes, the first in the low bits: u16 of bytes, u8 of 4 bits."""
    word = np.uint16 if small.bits == 8 else np.uint8
    return np.asarray(codes[0].astype(word) | (codes[1].astype(word) << word(small.bits)))


def _split(word: Array, small: SmallFloat) -> tuple[Array, Array]:
    mask = word.dtype.type(2 * small.sign_code - 1)
    return (word & mask).astype(np.uint8), (word >> word.dtype.type(small.bits)).astype(np.uint8)


def _packing(small: SmallFloat, kind: str, saturate: bool) -> Callable[..., Array]:
    if kind == "f32":
        return lambda low, high, scale: _join(
            [divide(x.astype(np.float64), scale, small, saturate) for x in (low, high)], small
        )
    return lambda words, scale: _join(
        [divide(x, scale, small, saturate) for x in _halves(words, kind)], small
    )


def _stochastic(small: SmallFloat, kind: str, saturate: bool) -> Callable[..., Array]:
    return lambda x, seed, scale: divide_stochastically(
        widen(x, kind), seed, scale, small, kind, saturate
    )


def _stochastic_pair(kind: str, saturate: bool) -> Callable[..., Array]:
    """fp4: the second value takes the random number behind the seed."""

    def compute(words: Array, seed: Array, scale: Array) -> Array:
        pair = (
            tuple(half.view(np.float32).astype(np.float64) for half in split_halves(words))
            if kind == "f32"
            else _halves(words, kind)
        )
        seeds = (seed, step_random(np.atleast_1d(seed)).reshape(seed.shape))
        return _join(
            [
                divide_stochastically(x, s, scale, FP4, kind, saturate)
                for x, s in zip(pair, seeds, strict=True)
            ],
            FP4,
        )

    return compute


def _unpacking(small: SmallFloat, kind: str, saturate: bool) -> Callable[..., Any]:
    def compute(word: Array, scale: Array) -> Any:
        low, high = (multiply(c, scale, small, kind, saturate) for c in _split(word, small))
        return (low, high) if kind == "f32" else join_halves(low, high)

    return compute


def _single(small: SmallFloat, kind: str, saturate: bool) -> Callable[..., Array]:
    return lambda code, scale: multiply(code, scale, small, kind, saturate)


def _declare(
    name: str, sources: tuple[str, ...], results: tuple[str, ...], compute: Callable[..., Any]
) -> Operation:
    full = f"v_cvt_scalef32_{name}"
    return Operation(full, sources, results, compute, cdna4(full.upper()), GFX950_ONLY)


def _of_small(name: str, small: SmallFloat, saturate: bool) -> Iterator[Operation]:
    """Conversions of one narrow type; what selects a byte or a half is already done."""
    packed = ("u16",) if small.bits == 8 else ("u8",)
    for kind in MANTISSA_BITS:
        pair = ("f32", "f32") if kind == "f32" else ("u32",)
        packing = _packing(small, kind, saturate)
        yield _declare(f"pk_{name}_{kind}", (*pair, "f32"), packed, packing)
        unpacking = _unpacking(small, kind, saturate)
        yield _declare(f"pk_{kind}_{name}", (*packed, "f32"), pair, unpacking)
        if small is FP4:
            words = "u64" if kind == "f32" else "u32"
            compute = _stochastic_pair(kind, saturate)
            yield _declare(f"sr_pk_{name}_{kind}", (words, "u32", "f32"), packed, compute)
            continue
        compute = _stochastic(small, kind, saturate)
        yield _declare(f"sr_{name}_{kind}", (kind, "u32", "f32"), ("u8",), compute)
        if kind != "bf16":
            single = _single(small, kind, saturate)
            yield _declare(f"{kind}_{name}", ("u8", "f32"), (kind,), single)


def _unscaled(arch: str, name: str, small: SmallFloat, saturate: bool) -> Operation:
    one = np.ones((1, 1), np.float32)

    def compute(x: Array, seed: Array) -> Array:
        scale = one.reshape((1,) * x.ndim) if x.ndim else one[0, 0]
        codes = divide_stochastically(x.astype(np.float64), seed, scale, small, "f32", saturate)
        return np.asarray(codes)

    full = f"v_cvt_sr_{name}_f32"
    return Operation(full, ("f32", "u32"), ("u8",), compute, cdna3(full.upper()), (arch,))


def list_scaled_conversions(arch: str, saturate: bool) -> Mapping[str, Operation]:
    """By mnemonic; saturate: whether MODE.FP16_OVFL is set."""
    if arch == "gfx90a":
        return MappingProxyType({})
    operations = [
        _unscaled(arch, "fp8", fp8_of(arch), saturate),
        _unscaled(arch, "bf8", bf8_of(arch), saturate),
    ]
    if arch == "gfx950":
        for name, small in {**_BYTES, "fp4": FP4}.items():
            operations += _of_small(name, small, saturate)
    return table(*operations)
