"""The bit patterns of binary16, binary32 and binary64: NaNs, quieting, exponents, halves of words.

NaN rules.  An operation given NaNs returns the first of them in source order, made quiet; one that
makes a NaN out of numbers returns the negative quiet NaN without payload, which is the value that
AMD's ISA documents print for 0/0, inf/inf, sqrt(-inf) and log(-inf).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Compute = TypeVar("Compute", bound=Callable[..., Any])


def quietly(compute: Compute) -> Compute:
    """`compute` without NumPy's floating-point warnings."""
    return np.errstate(all="ignore")(compute)


@dataclass(frozen=True)
class FloatFormat:
    """An IEEE 754 interchange format and the unsigned type that holds its bits."""

    name: str
    float_type: Any
    bits_type: Any
    exponent_bits: int
    mantissa_bits: int

    @property
    def sign_mask(self) -> int:
        return 1 << (self.exponent_bits + self.mantissa_bits)

    @property
    def exponent_mask(self) -> int:
        return (1 << self.exponent_bits) - 1

    @property
    def bias(self) -> int:
        return self.exponent_mask >> 1

    @property
    def quiet_bit(self) -> int:
        return 1 << (self.mantissa_bits - 1)

    @property
    def default_nan(self) -> Array:
        bits = self.sign_mask | self.exponent_mask << self.mantissa_bits | self.quiet_bit
        return np.array(bits, self.bits_type).view(self.float_type)

    @property
    def min_normal(self) -> Any:
        return np.finfo(self.float_type).tiny

    @property
    def below_one(self) -> Any:
        return np.nextafter(self.float_type(1), self.float_type(0))


F16 = FloatFormat("f16", np.float16, np.uint16, 5, 10)
F32 = FloatFormat("f32", np.float32, np.uint32, 8, 23)
F64 = FloatFormat("f64", np.float64, np.uint64, 11, 52)
_BY_SIZE = MappingProxyType({2: F16, 4: F32, 8: F64})


def format_of(values: Array) -> FloatFormat:
    return _BY_SIZE[values.dtype.itemsize]


def bits_of(values: Array) -> Array:
    bits: Array = np.asarray(values).view(format_of(values).bits_type)
    return bits


def biased_exponent(values: Array) -> Array:
    """The exponent field, int64: 0 for zeros and denormals, all ones for infinities and NaNs."""
    kind = format_of(values)
    field: Array = bits_of(values) >> kind.bits_type(kind.mantissa_bits)
    return np.asarray(field & kind.bits_type(kind.exponent_mask), np.int64)


def is_signalling(values: Array) -> Array:
    kind = format_of(values)
    return np.asarray(np.isnan(values) & ((bits_of(values) & kind.bits_type(kind.quiet_bit)) == 0))


def is_denormal(values: Array) -> Array:
    return np.asarray((biased_exponent(values) == 0) & (values != 0))


def quiet(values: Array) -> Array:
    """`values` with the quiet bit of every NaN set."""
    kind = format_of(values)
    quieted = (bits_of(values) | kind.bits_type(kind.quiet_bit)).view(kind.float_type)
    return np.where(np.isnan(values), quieted, values)


def flush_denormals(values: Array) -> Array:
    """Zeros of the same sign in place of denormals."""
    zeros = np.copysign(values.dtype.type(0), values)
    return np.where(is_denormal(values), zeros, values)


def settle_nans(result: Array, *sources: Array) -> Array:
    """`result` with each NaN replaced by the first NaN source, quiet, or the default NaN."""
    made = np.isnan(result)
    if not np.any(made):
        return result
    chosen: Array = format_of(result).default_nan
    for source in reversed(sources):
        chosen = np.where(np.isnan(source), quiet(source), chosen)
    return np.where(made, chosen, result)


@quietly
def narrow(values: Array, kind: FloatFormat) -> Array:
    """`values` of a wider format rounded to nearest even; a NaN keeps the top of its payload."""
    wide = format_of(values)
    rounded = values.astype(kind.float_type)
    nan = np.isnan(values)
    if not np.any(nan):
        return rounded
    bits = bits_of(values)
    drop = wide.mantissa_bits - kind.mantissa_bits
    payload = (bits >> wide.bits_type(drop)).astype(kind.bits_type)
    payload &= kind.bits_type((1 << kind.mantissa_bits) - 1)
    top = kind.exponent_mask << kind.mantissa_bits | kind.quiet_bit
    sign = np.where(bits & wide.bits_type(wide.sign_mask), kind.sign_mask, 0)
    quieted = (payload | (sign | top).astype(kind.bits_type)).view(kind.float_type)
    return np.where(nan, quieted, rounded)


@quietly
def widen(values: Array, kind: FloatFormat) -> Array:
    """`values` of a narrower format, exactly; a NaN keeps its payload in the top bits, quiet."""
    return quiet(values.astype(kind.float_type))


def split_halves(words: Array) -> tuple[Array, Array]:
    """Low and high half of u32 (as u16) or of u64 (as u32)."""
    half = np.uint16 if words.dtype.itemsize == 4 else np.uint32
    shift = words.dtype.type(words.dtype.itemsize * 4)
    return words.astype(half), (words >> shift).astype(half)


def join_halves(low: Array, high: Array) -> Array:
    """u32 of two 16-bit values or u64 of two 32-bit values, whatever their types."""
    word = np.uint32 if low.dtype.itemsize == 2 else np.uint64
    shift = word(low.dtype.itemsize * 8)
    half = np.uint16 if word is np.uint32 else np.uint32
    low_bits, high_bits = low.view(half), high.view(half)
    return np.asarray(low_bits.astype(word) | (high_bits.astype(word) << shift))
