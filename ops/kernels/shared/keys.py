"""Keys: integers that order as floats do, with the expert below them, so that no two are equal.

A larger key is a larger float or, of equal floats, the lower expert.  Every NaN has a place in the
order, so rows that hold one still name each expert once.
"""

from __future__ import annotations

import triton
import triton.language as tl

#: Experts are counted down from here, so that the lowest index has the largest key.
LAST_EXPERT = tl.constexpr(1023)
#: Below every key.
LOWEST_SHORT = tl.constexpr(-(2**31))
LOWEST_LONG = tl.constexpr(-(2**63))
LOWEST_DOUBLE = tl.constexpr(-(2.0**43))


@triton.jit
def order_preserving(bits):
    """int32 bits of a float to an int32 that compares as the float does, and back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def find_expert(rest):
    """The expert of the low bits of a key: LAST_EXPERT - rest.

    By exclusive or: LLVM folds a constant that is added into the offset of a buffer load, and what
    is left before it is negative, which the hardware takes for far out of range and reads as zero.
    """
    return rest ^ LAST_EXPERT


@triton.jit
def encode_short(values, experts):
    """int32 keys of bf16 or fp16 values."""
    bits = values.to(tl.int16, bitcast=True).to(tl.int32) << 16
    return (bits ^ ((bits >> 31) & 0x7FFF0000)) | (LAST_EXPERT - experts)


@triton.jit
def decode_short(keys, DTYPE: tl.constexpr):
    """The values that `encode_short` was given, as float32, and their experts."""
    bits = order_preserving(keys)
    if DTYPE == tl.float16:
        values = (bits >> 16).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
    else:
        values = (bits & -0x10000).to(tl.float32, bitcast=True)
    return values, find_expert(keys & 0xFFFF)


@triton.jit
def encode_long(values, experts, DOUBLE: tl.constexpr):
    """64-bit keys of float32 values.

    DOUBLE: as float64, which holds these 42 bits exactly; CDNA has a maximum and a minimum of
    float64 in one instruction each (MI300 ISA, V_MAX_F64), and of int64 in three.
    """
    order = order_preserving(values.to(tl.int32, bitcast=True))
    if DOUBLE:
        keys = order.to(tl.float64) * 1024.0 + (LAST_EXPERT - experts).to(tl.float64)
    else:
        keys = (order.to(tl.int64) << 32) | (LAST_EXPERT - experts).to(tl.int64)
    return keys


@triton.jit
def decode_long(keys, DOUBLE: tl.constexpr):
    """The values that `encode_long` was given, and their experts."""
    if DOUBLE:
        order = tl.floor(keys * (1.0 / 1024.0))
        rest = (keys - order * 1024.0).to(tl.int32)
        bits = order.to(tl.int32)
    else:
        rest = keys.to(tl.int32)
        bits = (keys >> 32).to(tl.int32)
    return order_preserving(bits).to(tl.float32, bitcast=True), find_expert(rest)


@triton.jit
def encode(values, experts, DOUBLE: tl.constexpr):
    """Keys of values of any float dtype: int32 for 16 bits, else 64 bits."""
    if values.dtype.primitive_bitwidth == 16:
        keys = encode_short(values, experts)
    else:
        keys = encode_long(values, experts, DOUBLE)
    return keys


@triton.jit
def decode(keys, DTYPE: tl.constexpr, DOUBLE: tl.constexpr):
    """The values of DTYPE that `encode` was given, as float32, and their experts."""
    if DTYPE.primitive_bitwidth == 16:
        values, experts = decode_short(keys, DTYPE)
    else:
        values, experts = decode_long(keys, DOUBLE)
    return values, experts


@triton.jit
def hide_absent(keys, present):
    """Keys below every other where there is no expert."""
    if keys.dtype == tl.int32:
        hidden = tl.where(present, keys, LOWEST_SHORT)
    elif keys.dtype == tl.int64:
        hidden = tl.where(present, keys, LOWEST_LONG)
    else:
        hidden = tl.where(present, keys, LOWEST_DOUBLE)
    return hidden
