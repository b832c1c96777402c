"""Scaled conversions of 32 elements a lane, between six-bit floats and wide ones (gfx950).

Sources: as those of `scaled_conversion`.  The seed of each element but the first is the random
number behind that of the element before (V_PRNG_B32).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from rocmoe.ops.gcn.semantics.bits import step_random
from rocmoe.ops.gcn.semantics.citation import cdna4
from rocmoe.ops.gcn.semantics.code_packing import pack_codes, unpack_codes
from rocmoe.ops.gcn.semantics.float_format import Array
from rocmoe.ops.gcn.semantics.scaled_conversion import (
    MANTISSA_BITS,
    divide,
    divide_stochastically,
    multiply,
    widen,
)
from rocmoe.ops.gcn.semantics.small_float import BF6, FP6, SmallFloat

ELEMENTS = 32
_CODE_REGISTERS = 6
_DTYPES = {"f32": "<f4", "f16": "<f2", "bf16": "<u2"}


@dataclass(frozen=True)
class WideConversion:
    """sources, result: 32-bit registers of each operand; compute: of u32 [..., registers] (of one
    register u32 [...]) to u32 [..., result]."""

    name: str
    sources: tuple[int, ...]
    result: int
    compute: Callable[..., Array]

    @property
    def cite(self) -> str:
        return cdna4(self.name.upper())


def _registers(kind: str) -> int:
    return ELEMENTS if kind == "f32" else ELEMENTS // 2


def _values(registers: Array, kind: str) -> Array:
    """f64 [..., elements]."""
    return widen(np.ascontiguousarray(registers, "<u4").view(_DTYPES[kind]), kind)


def _scale(word: Array) -> Array:
    return np.ascontiguousarray(word)[..., None].view(np.float32)


def _interleaving(small: SmallFloat) -> Callable[..., Array]:
    def compute(even: Array, odd: Array, scale: Array) -> Array:
        pairs = np.stack([_values(even, "f32"), _values(odd, "f32")], axis=-1)
        values = pairs.reshape(*pairs.shape[:-2], -1)
        return pack_codes(divide(values, _scale(scale), small), small.bits)

    return compute


def _narrowing(small: SmallFloat, kind: str) -> Callable[..., Array]:
    return lambda source, scale: pack_codes(
        divide(_values(source, kind), _scale(scale), small), small.bits
    )


def _stochastic(small: SmallFloat, kind: str) -> Callable[..., Array]:
    def compute(source: Array, seed: Array, scale: Array) -> Array:
        seeds = [seed]
        for _ in range(ELEMENTS - 1):
            seeds.append(step_random(seeds[-1]))
        random = np.stack(seeds, axis=-1)
        values, factor = _values(source, kind), _scale(scale)
        codes = divide_stochastically(values, random, factor, small, kind)
        return pack_codes(codes, small.bits)

    return compute


def _widening(small: SmallFloat, kind: str, saturate: bool) -> Callable[..., Array]:
    def compute(source: Array, scale: Array) -> Array:
        codes = unpack_codes(source, small.bits)
        values = multiply(codes, _scale(scale), small, kind, saturate)
        return np.ascontiguousarray(values).view("<u4")

    return compute


def list_wide_conversions(saturate: bool) -> Mapping[str, WideConversion]:
    """By mnemonic; saturate: whether MODE.FP16_OVFL is set."""
    made: list[WideConversion] = []
    for name, small in (("fp6", FP6), ("bf6", BF6)):
        six, half = _CODE_REGISTERS, ELEMENTS // 2
        made.append(_declare(f"2xpk16_{name}_f32", (half, half, 1), six, _interleaving(small)))
        for kind in MANTISSA_BITS:
            wide, stochastic = _registers(kind), _stochastic(small, kind)
            if kind != "f32":
                made.append(
                    _declare(f"pk32_{name}_{kind}", (wide, 1), six, _narrowing(small, kind))
                )
            made.append(_declare(f"sr_pk32_{name}_{kind}", (wide, 1, 1), six, stochastic))
            widening = _widening(small, kind, saturate)
            made.append(_declare(f"pk32_{kind}_{name}", (six, 1), wide, widening))
    return MappingProxyType({conversion.name: conversion for conversion in made})


def _declare(
    name: str, sources: tuple[int, ...], result: int, compute: Callable[..., Array]
) -> WideConversion:
    return WideConversion(f"v_cvt_scalef32_{name}", sources, result, compute)
