"""The floats of 8, 6 and 4 bits, and bf16: encoding with one rounding, decoding by table.

fp8 is E4M3 and bf8 is E5M2.  gfx942 has the FNUZ variants (Noune et al., "8-bit Numerical Formats
for Deep Neural Networks", 2022: no infinity, no -0, and one NaN, 0x80); gfx950 has those of the OCP
8-bit Floating Point Specification (2023).  fp6 (E2M3), bf6 (E3M2) and fp4 (E2M1) are those of the
OCP Microscaling Formats Specification (2023), without infinities and NaNs: these become the largest
value.

Stochastic rounding is that of AMD's emulation in HIP (ROCm/clr, amd_hip_ocp_host.hpp,
`from_float_sr`): the top bits of the seed are added below the last place, and the sum is cut.  The
CDNA3 document (V_CVT_SR_FP8_F32) aligns them alike; that the sum wraps within the mantissa and is
rounded again, as its pseudo code has it, would turn 1.99 into 1 and is not followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from rocmoe.ops.gcn.semantics.float_format import Array, quietly


@dataclass(frozen=True)
class SmallFloat:
    """A float of up to 8 bits: codes grow with the magnitude, from 0 to `max_code`, below the sign.

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
    bits: int = 8

    @property
    def sign_code(self) -> int:
        return 1 << (self.bits - 1)


FP8_FNUZ = SmallFloat("fp8 fnuz", 3, -7, 0x7F, 0x80, 0x80, True)
BF8_FNUZ = SmallFloat("bf8 fnuz", 2, -15, 0x7F, 0x80, 0x80, True)
FP8_OCP = SmallFloat("fp8 ocp", 3, -6, 0x7E, 0x7F, 0x7F, False)
BF8_OCP = SmallFloat("bf8 ocp", 2, -14, 0x7B, 0x7C, 0x7E, False)
FP6 = SmallFloat("fp6", 3, 0, 0x1F, 0x1F, 0x1F, False, 6)
BF6 = SmallFloat("bf6", 2, -2, 0x1F, 0x1F, 0x1F, False, 6)
FP4 = SmallFloat("fp4", 1, 0, 7, 7, 7, False, 4)


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
    """f32 or f64 to a code (u8), to nearest even.

    saturate: MODE.FP16_OVFL, where what is past the range, infinities too, becomes the largest
    finite value (Triton, test_typeconvert_downcast_clamping; HIP, amd_hip_ocp_host.hpp, `inf`).
    """
    magnitude = np.where(np.isfinite(x), np.abs(x), 0).astype(np.float64)
    return _settle(_magnitude_code(magnitude, kind), x, kind, saturate)


@quietly
def encode_stochastic(
    x: Array, seed: Array, kind: SmallFloat, source_bits: int, scale: Array, saturate: bool = False
) -> Array:
    """x / 2**scale to a code (u8), rounded up where the seed (u32) carries into the last place.

    x: f32 or f64 with values of a format of `source_bits` mantissa bits; scale: integers.
    """
    fraction, power = np.frexp(np.where(np.isfinite(x), np.abs(x), 0).astype(np.float64))
    significand = np.ldexp(fraction, source_bits + 1).astype(np.int64)
    above = power.astype(np.int64) - 1 - scale - kind.min_exponent
    normal = significand + (np.maximum(above, 0) << source_bits)
    units = np.where(above < 0, significand >> np.clip(-above, 0, 63), normal)
    dropped = source_bits - kind.mantissa_bits
    code = (units + (seed.astype(np.int64) >> (32 - dropped))) >> dropped
    return _settle(np.where(x == 0, 0, code), x, kind, saturate)


def _settle(code: Array, x: Array, kind: SmallFloat, saturate: bool) -> Array:
    """The code of a finite magnitude with x's sign; overflow, infinities and NaNs as they are."""
    past = np.isinf(x) | (code > kind.max_code)
    code = np.where(past, kind.max_code if saturate else kind.overflow_code, code)
    sign = np.where(np.signbit(x), kind.sign_code, 0)
    signless = kind.unsigned_zero and (code == 0)
    code = np.where(signless, code, code | sign)
    nan = np.where(kind.unsigned_zero, kind.nan_code, kind.nan_code | sign)
    return np.where(np.isnan(x), nan, code).astype(np.uint8)


@cache
def decoding_table(kind: SmallFloat) -> Array:
    """The f32 value of each code."""
    codes = np.arange(2 * kind.sign_code)
    magnitude = codes & (kind.sign_code - 1)
    scale = np.maximum(magnitude >> kind.mantissa_bits, 1)
    implicit = np.where(magnitude >> kind.mantissa_bits, 1 << kind.mantissa_bits, 0)
    units = (magnitude & ((1 << kind.mantissa_bits) - 1)) + implicit
    exponent = scale - 1 + kind.min_exponent - kind.mantissa_bits
    value = np.ldexp(units.astype(np.float32), exponent.astype(np.int32))
    value = np.where(magnitude > kind.max_code, np.float32(np.nan), value)
    if kind is BF8_OCP:
        value = np.where(magnitude == kind.overflow_code, np.float32(np.inf), value)
    value = np.where(codes & kind.sign_code, -value, value)
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
