"""The 8-bit floats and bf16: encoding with round to nearest even, decoding by table.

fp8 is E4M3 and bf8 is E5M2.  gfx942 has the FNUZ variants (Noune et al., "8-bit Numerical Formats
for Deep Neural Networks", 2022: no infinity, no -0, and one NaN, 0x80); gfx950 has those of the OCP
8-bit Floating Point Specification (2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from rocmoe.ops.gcn.semantics.float_format import Array, quietly


@dataclass(frozen=True)
class SmallFloat:
    """An 8-bit float: codes grow with the magnitude, from 0 up to `max_code`, below the sign bit.

    overflow_code: what a magnitude that rounds past `max_code` becomes without saturation (the sign
    is added unless `unsigned_zero`); nan_code: what a NaN becomes.
    """

    name: str
    mantissa_bits: int
    min_exponent: int
    max_code: int
    overflow_code: int
    nan_code: int
    unsigned_zero: bool


FP8_FNUZ = SmallFloat("fp8 fnuz", 3, -7, 0x7F, 0x80, 0x80, True)
BF8_FNUZ = SmallFloat("bf8 fnuz", 2, -15, 0x7F, 0x80, 0x80, True)
FP8_OCP = SmallFloat("fp8 ocp", 3, -6, 0x7E, 0x7F, 0x7F, False)
BF8_OCP = SmallFloat("bf8 ocp", 2, -14, 0x7B, 0x7C, 0x7E, False)


def fp8_of(arch: str) -> SmallFloat:
    return FP8_OCP if arch == "gfx950" else FP8_FNUZ


def bf8_of(arch: str) -> SmallFloat:
    return BF8_OCP if arch == "gfx950" else BF8_FNUZ


def _magnitude_code(magnitude: Array, kind: SmallFloat) -> Array:
    """The code of a finite magnitude, rounded to nearest even, unbounded above."""
    exponent = np.maximum(np.frexp(magnitude)[1].astype(np.int64) - 1, kind.min_exponent)
    exponent = np.where(magnitude == 0, kind.min_exponent, exponent)
    units = np.rint(np.ldexp(magnitude, (kind.mantissa_bits - exponent).astype(np.int32)))
    return ((exponent - kind.min_exponent) << kind.mantissa_bits) + units.astype(np.int64)


@quietly
def encode(x: Array, kind: SmallFloat, saturate: bool = False) -> Array:
    """f32 to 8 bits (u8), to nearest even.

    saturate: MODE.FP16_OVFL, where finite values past the range become the largest finite one.
    """
    finite = np.isfinite(x)
    magnitude = np.where(finite, np.abs(x), 0).astype(np.float64)
    code = _magnitude_code(magnitude, kind)
    past = ~finite | (code > kind.max_code)
    limited = np.where(saturate & finite, kind.max_code, kind.overflow_code)
    code = np.where(past, limited, code)
    sign = np.where(np.signbit(x), 0x80, 0)
    signless = kind.unsigned_zero and (code == 0)
    code = np.where(signless, code, code | sign)
    nan = np.where(kind.unsigned_zero, kind.nan_code, kind.nan_code | sign)
    return np.where(np.isnan(x), nan, code).astype(np.uint8)


@cache
def decoding_table(kind: SmallFloat) -> Array:
    """The f32 value of each of the 256 codes."""
    codes = np.arange(256)
    magnitude = codes & 0x7F
    scale = np.maximum(magnitude >> kind.mantissa_bits, 1)
    implicit = np.where(magnitude >> kind.mantissa_bits, 1 << kind.mantissa_bits, 0)
    units = (magnitude & ((1 << kind.mantissa_bits) - 1)) + implicit
    exponent = scale - 1 + kind.min_exponent - kind.mantissa_bits
    value = np.ldexp(units.astype(np.float32), exponent.astype(np.int32))
    value = np.where(magnitude > kind.max_code, np.float32(np.nan), value)
    if kind is BF8_OCP:
        value = np.where(magnitude == kind.overflow_code, np.float32(np.inf), value)
    value = np.where(codes & 0x80, -value, value)
    if kind.unsigned_zero:
        value = np.where(codes == kind.nan_code, np.float32(np.nan), value)
    value.setflags(write=False)
    table: Array = value
    return table


def decode(codes: Array, kind: SmallFloat) -> Array:
    """u8 to f32, exactly."""
    return np.asarray(decoding_table(kind)[codes])


@quietly
def bf16_of_f32(x: Array) -> Array:
    """f32 to bf16 (u16), to nearest even; a NaN keeps the top of its payload, quiet."""
    bits: Array = np.asarray(x).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = (bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)
    nan = (bits >> np.uint32(16)) | np.uint32(0x40)
    return np.asarray(np.where(np.isnan(x), nan, rounded), np.uint16)


def f32_of_bf16(codes: Array) -> Array:
    return np.asarray((codes.astype(np.uint32) << np.uint32(16)).view(np.float32))
