"""Minimum, maximum and median, in IEEE mode or not, and the NaN-propagating forms of gfx950.

v_min / v_max: a NaN loses to a number; in IEEE mode (the default of compute kernels,
`.amdhsa_ieee_mode 1`) a signalling NaN wins, quiet.  -0 is less than +0.
"""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.semantics.citation import cdna3, cdna4
from rocmoe.ops.gcn.semantics.float_format import Array, is_signalling, quiet, quietly
from rocmoe.ops.gcn.semantics.operation import Operation, table


def _less(a: Array, b: Array) -> Array:
    return np.asarray((a < b) | ((a == b) & np.signbit(a) & ~np.signbit(b)))


def _with_nan_rules(a: Array, b: Array, chosen: Array, ieee: bool) -> Array:
    a_nan, b_nan = np.isnan(a), np.isnan(b)
    if not (np.any(a_nan) or np.any(b_nan)):
        return chosen
    chosen = np.where(a_nan, b, np.where(b_nan, a, chosen))
    if ieee:
        signalling = np.where(is_signalling(a), quiet(a), quiet(b))
        chosen = np.where(is_signalling(a) | is_signalling(b), signalling, chosen)
    return chosen


@quietly
def minimum_number(a: Array, b: Array, ieee: bool = True) -> Array:
    """v_min: the lesser number."""
    return _with_nan_rules(a, b, np.where(_less(b, a), b, a), ieee)


@quietly
def maximum_number(a: Array, b: Array, ieee: bool = True) -> Array:
    """v_max: the greater number."""
    return _with_nan_rules(a, b, np.where(_less(a, b), b, a), ieee)


def min3(a: Array, b: Array, c: Array, ieee: bool = True) -> Array:
    return minimum_number(minimum_number(a, b, ieee), c, ieee)


def max3(a: Array, b: Array, c: Array, ieee: bool = True) -> Array:
    return maximum_number(maximum_number(a, b, ieee), c, ieee)


@quietly
def med3(a: Array, b: Array, c: Array, ieee: bool = True) -> Array:
    """The larger of the two that are left without the first maximum; min3 if any is a NaN."""
    greatest = max3(a, b, c, ieee)
    without_a, without_b = maximum_number(b, c, ieee), maximum_number(a, c, ieee)
    rest = np.where(greatest == b, without_b, maximum_number(a, b, ieee))
    median = np.where(greatest == a, without_a, rest)
    nan = np.isnan(a) | np.isnan(b) | np.isnan(c)
    return np.where(nan, min3(a, b, c, ieee), median) if np.any(nan) else median


def _propagate(a: Array, b: Array, number: Array) -> Array:
    nan = np.where(is_signalling(a), a, np.where(is_signalling(b), b, np.where(np.isnan(a), a, b)))
    return np.where(np.isnan(a) | np.isnan(b), quiet(nan), number)


@quietly
def minimum(a: Array, b: Array) -> Array:
    """IEEE 754-2019 minimum: a NaN wins, a signalling one before a quiet one."""
    return _propagate(a, b, np.where(_less(b, a), b, a))


@quietly
def maximum(a: Array, b: Array) -> Array:
    """IEEE 754-2019 maximum: a NaN wins, a signalling one before a quiet one."""
    return _propagate(a, b, np.where(_less(a, b), b, a))


def minimum3(a: Array, b: Array, c: Array) -> Array:
    return minimum(minimum(a, b), c)


def maximum3(a: Array, b: Array, c: Array) -> Array:
    return maximum(maximum(a, b), c)


def _two() -> list[Operation]:
    named = {"min": minimum_number, "max": maximum_number}
    return [
        Operation(f"v_{n}_{k}", (k, k), (k,), compute, cdna3(f"V_{n}_{k}".upper()))
        for n, compute in named.items()
        for k in ("f16", "f32", "f64")
    ]


def _three() -> list[Operation]:
    return [
        Operation(f"v_{n}_{k}", (k,) * 3, (k,), compute, cdna3(f"V_{n}_{k}".upper()))
        for n, compute in {"min3": min3, "max3": max3, "med3": med3}.items()
        for k in ("f16", "f32")
    ]


OPERATIONS = table(
    *_two(),
    *_three(),
    *(
        Operation(f"v_{n}_f32", ("f32",) * 3, ("f32",), f, cdna4(f"V_{n}_F32".upper()), ("gfx950",))
        for n, f in {"minimum3": minimum3, "maximum3": maximum3}.items()
    ),
)
