"""Conversions that pack several results into one register, and the 8-bit floats.

The 8-bit floats differ between targets (FNUZ on gfx942, OCP on gfx950), so they have a table for
each: SMALL_FLOAT_OPERATIONS[arch], and SATURATING_FLOAT_OPERATIONS[arch] where MODE.FP16_OVFL is
set.  The stochastic and the scaled ones are in `scaled_conversion`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from rocmoe.ops.gcn.semantics.citation import cdna3, cdna4
from rocmoe.ops.gcn.semantics.conversion import f16_of_f32, normalized, saturate
from rocmoe.ops.gcn.semantics.float_format import Array, join_halves, quietly
from rocmoe.ops.gcn.semantics.operation import Operation, table
from rocmoe.ops.gcn.semantics.small_float import (
    SmallFloat,
    bf8_of,
    bf16_of_f32,
    decode,
    encode,
    fp8_of,
)

SMALL_FLOAT_ARCHS = ("gfx942", "gfx950")


@quietly
def f16_towards_zero(x: Array) -> Array:
    """f32 to f16 rounded towards zero: past the range it is the largest finite value."""
    nearest = f16_of_f32(x)
    away = np.abs(nearest.astype(np.float64)) > np.abs(x.astype(np.float64))
    bits = np.asarray(nearest).view(np.uint16)
    return np.where(away, bits - np.uint16(1), bits).view(np.float16)


def _pair(convert: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
    @quietly
    def compute(low: Array, high: Array) -> Array:
        return join_halves(np.asarray(convert(low)), np.asarray(convert(high)))

    return compute


def _normalized_to(integer: Any) -> Callable[[Array], Array]:
    def compute(x: Array) -> Array:
        return normalized(x, integer).view(np.uint16)

    return compute


def _saturated_to(integer: Any) -> Callable[[Array], Array]:
    def compute(x: Array) -> Array:
        return saturate(x.astype(np.float64), integer).view(np.uint16)

    return compute


@quietly
def u8_into_byte(x: Array, byte: Array, word: Array) -> Array:
    """`word` with byte number byte & 3 replaced by x (f32) as u8, truncated and saturated."""
    value = saturate(np.trunc(x.astype(np.float64)), np.uint8).astype(np.uint32)
    shift = (byte & np.uint32(3)) * np.uint32(8)
    return np.asarray((word & ~(np.uint32(255) << shift)) | (value << shift))


def encode_pair(low: Array, high: Array, kind: SmallFloat, saturating: bool = False) -> Array:
    """Two f32 to two 8-bit floats in a u16."""
    codes = [encode(x, kind, saturating).astype(np.uint16) for x in (low, high)]
    return np.asarray(codes[0] | (codes[1] << np.uint16(8)))


def decode_pair(codes: Array, kind: SmallFloat) -> tuple[Array, Array]:
    """The two 8-bit floats of a u16 as f32."""
    return decode(codes & np.uint16(255), kind), decode(codes >> np.uint16(8), kind)


def _packing(name: str, source: str, compute: Callable[..., Array]) -> Operation:
    return Operation(name, (source, source), ("u32",), compute, cdna3(name.upper()))


def _packing_gfx950(name: str, compute: Callable[..., Array]) -> Operation:
    return Operation(name, ("f32", "f32"), ("u32",), compute, cdna4(name.upper()), ("gfx950",))


def _byte(name: str) -> Operation:
    sources = ("f32", "u32", "u32")
    return Operation(name, sources, ("u32",), u8_into_byte, cdna3(name.upper()))


def _small_float_operations(
    arch: str, name: str, kind: SmallFloat, saturating: bool
) -> tuple[Operation, ...]:
    def encode_two(low: Array, high: Array) -> Array:
        return encode_pair(low, high, kind, saturating)

    def decode_two(codes: Array) -> tuple[Array, Array]:
        return decode_pair(codes, kind)

    def decode_one(codes: Array) -> Array:
        return decode(codes, kind)

    archs = (arch,)
    upper = name.upper()
    pack, unpack, single = f"CVT_PK_{upper}_F32", f"CVT_PK_F32_{upper}", f"CVT_F32_{upper}"
    return (
        Operation(f"v_{pack.lower()}", ("f32", "f32"), ("u16",), encode_two, _cite(pack), archs),
        Operation(f"v_{unpack.lower()}", ("u16",), ("f32",) * 2, decode_two, _cite(unpack), archs),
        Operation(f"v_{single.lower()}", ("u8",), ("f32",), decode_one, _cite(single), archs),
    )


def _cite(name: str) -> str:
    return cdna3(f"V_{name}", "the selected byte or half of the register")


def _by_arch(saturating: bool) -> Mapping[str, Mapping[str, Operation]]:
    return MappingProxyType(
        {
            arch: table(
                *_small_float_operations(arch, "fp8", fp8_of(arch), saturating),
                *_small_float_operations(arch, "bf8", bf8_of(arch), saturating),
            )
            for arch in SMALL_FLOAT_ARCHS
        }
    )


SMALL_FLOAT_OPERATIONS = _by_arch(False)
SATURATING_FLOAT_OPERATIONS = _by_arch(True)

OPERATIONS = table(
    _packing("v_cvt_pkrtz_f16_f32", "f32", _pair(f16_towards_zero)),
    _packing("v_cvt_pknorm_i16_f32", "f32", _pair(_normalized_to(np.int16))),
    _packing("v_cvt_pknorm_u16_f32", "f32", _pair(_normalized_to(np.uint16))),
    _packing("v_cvt_pknorm_i16_f16", "f16", _pair(_normalized_to(np.int16))),
    _packing("v_cvt_pknorm_u16_f16", "f16", _pair(_normalized_to(np.uint16))),
    _packing("v_cvt_pk_i16_i32", "i32", _pair(_saturated_to(np.int16))),
    _packing("v_cvt_pk_u16_u32", "u32", _pair(_saturated_to(np.uint16))),
    _byte("v_cvt_pk_u8_f32"),
    _byte("v_cvt_pkaccum_u8_f32"),
    _packing_gfx950("v_cvt_pk_f16_f32", _pair(f16_of_f32)),
    _packing_gfx950("v_cvt_pk_bf16_f32", _pair(bf16_of_f32)),
)
