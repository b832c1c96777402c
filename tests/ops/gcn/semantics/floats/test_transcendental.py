from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest

from rocmoe.ops.gcn.semantics import transcendental
from rocmoe.ops.gcn.semantics.transcendental import OPERATIONS

NAN, INF, MINUS_INF = 0xFFC00000, 0x7F800000, 0xFF800000
ROWS = {
    "v_exp_f32": [
        ((0x3F800000,), (0x40000000,)),
        ((0x3F000000,), (0x3FB504F3,)),
        ((MINUS_INF,), (0,)),
        ((0x80000000,), (0x3F800000,)),
        ((0x43000000,), (INF,)),
        ((0xC2FE0000,), (0,)),
        ((0xC2FC0000,), (0x00800000,)),
        ((0x7F800001,), (0x7FC00001,)),
    ],
    "v_log_f32": [
        ((0x41000000,), (0x40400000,)),
        ((0,), (MINUS_INF,)),
        ((0x00000001,), (MINUS_INF,)),
        ((0x80000001,), (MINUS_INF,)),
        ((0xBF800000,), (NAN,)),
        ((INF,), (INF,)),
        ((0x40400000,), (0x3FCAE00D,)),
    ],
    "v_rcp_f32": [
        ((0x40400000,), (0x3EAAAAAB,)),
        ((0x80000000,), (MINUS_INF,)),
        ((0x00000001,), (INF,)),
        ((MINUS_INF,), (0x80000000,)),
        ((0x7F7FFFFF,), (0,)),
    ],
    "v_rcp_iflag_f32": [((0x40400000,), (0x3EAAAAAB,)), ((0,), (INF,))],
    "v_rsq_f32": [
        ((0x40800000,), (0x3F000000,)),
        ((0x40000000,), (0x3F3504F3,)),
        ((0x80000000,), (MINUS_INF,)),
        ((0xBF800000,), (NAN,)),
        ((INF,), (0,)),
    ],
    "v_sqrt_f32": [
        ((0x40000000,), (0x3FB504F3,)),
        ((0x80000000,), (0x80000000,)),
        ((0x00000001,), (0,)),
        ((MINUS_INF,), (NAN,)),
    ],
    "v_sin_f32": [
        ((0x3E800000,), (0x3F800000,)),
        ((0x3F000000,), (0,)),
        ((0x3DAAAAAB,), (0x3F000000,)),
        ((0xBE800000,), (0xBF800000,)),
        ((0x80000000,), (0x80000000,)),
        ((INF,), (NAN,)),
        ((0xFF7FFFFF,), (0,)),
        ((0x43808000,), (0,)),
    ],
    "v_cos_f32": [
        ((0,), (0x3F800000,)),
        ((0x3E800000,), (0,)),
        ((0x3F000000,), (0xBF800000,)),
        ((0x3E2AAAAB,), (0x3EFFFFFF,)),
        ((MINUS_INF,), (NAN,)),
        ((0xFF7FFFFF,), (0x3F800000,)),
        ((0x43808000,), (0x3F800000,)),
    ],
    "v_exp_f16": [((0x3C00,), (0x4000,)), ((0xCE00,), (0x0001,)), ((0x4C00,), (0x7C00,))],
    "v_log_f16": [((0x0001,), (0xCE00,)), ((0,), (0xFC00,)), ((0xBC00,), (0xFE00,))],
    "v_rcp_f16": [((0x4200,), (0x3555,)), ((0x0001,), (0x7C00,)), ((0x7BFF,), (0x0100,))],
    "v_rsq_f16": [((0x4400,), (0x3800,)), ((0x0001,), (0x6C00,)), ((0xBC00,), (0xFE00,))],
    "v_sqrt_f16": [((0x4000,), (0x3DA8,)), ((0x0001,), (0x0C00,)), ((0x7D00,), (0x7F00,))],
    "v_sin_f16": [((0x3400,), (0x3C00,)), ((0x7C00,), (0xFE00,))],
    "v_cos_f16": [((0x3800,), (0xBC00,)), ((0x0000,), (0x3C00,))],
    "v_rcp_f64": [((0x4008000000000000,), (0x3FD5555555555555,)), ((0,), (0x7FF0000000000000,))],
    "v_rsq_f64": [((0x4010000000000000,), (0x3FE0000000000000,))],
    "v_sqrt_f64": [((0x4000000000000000,), (0x3FF6A09E667F3BCD,)), ((1,), (0x1E60000000000000,))],
}


def test_rows(check_rows):
    check_rows(OPERATIONS, ROWS)


def positive_f16() -> np.ndarray:
    return np.arange(1, 0x7C00, 37, dtype=np.uint16).view(np.float16)


def nearest(values: np.ndarray, is_below) -> bool:
    """Whether each value is the nearest one: its neighbours' midpoints lie on either side."""
    below, above = (np.nextafter(values, np.float16(limit)) for limit in (0, np.inf))
    middles = [(Fraction(float(v)) + Fraction(float(n))) / 2 for v, n in zip(values, below)]  # noqa: B905
    uppers = [(Fraction(float(v)) + Fraction(float(n))) / 2 for v, n in zip(values, above)]  # noqa: B905
    return all(is_below(i, m) for i, m in enumerate(middles)) and not any(
        is_below(i, u) for i, u in enumerate(uppers)
    )


def test_f16_square_roots_are_correctly_rounded():
    x = positive_f16()
    exact = [Fraction(float(value)) for value in x]
    made = OPERATIONS["v_sqrt_f16"].compute(x)
    assert nearest(made, lambda i, m: m * m < exact[i])


def test_f16_reciprocal_square_roots_are_correctly_rounded():
    x = positive_f16()
    exact = [Fraction(float(value)) for value in x]
    made = OPERATIONS["v_rsq_f16"].compute(x)
    assert nearest(made, lambda i, m: m * m * exact[i] < 1)


def test_f64_reciprocal_square_root_is_within_its_bound():
    x = np.random.default_rng(0).uniform(0.5, 2, 200)
    made = OPERATIONS["v_rsq_f64"].compute(x)
    for value, root in zip(x.tolist(), made.tolist(), strict=True):
        scaled = Fraction(2**240) / Fraction(value)
        exact = Fraction(isqrt(scaled.numerator // scaled.denominator), 2**120)
        assert abs(Fraction(root) - exact) <= Fraction(11, 10) * Fraction(float(np.spacing(root)))


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_a_whole_revolution_changes_nothing(name):
    x = np.arange(-64, 64, dtype=np.float32) / 64
    compute = OPERATIONS[f"v_{name}_f32"].compute
    np.testing.assert_array_equal(np.abs(compute(x)), np.abs(compute(x + np.float32(17))))


def test_hardware_bounds_are_stated():
    bounds = transcendental.F32_ULP_BOUND, transcendental.F16_ULP_BOUND
    assert bounds == (1.0, 0.51)
    assert transcendental.F64_ULP_BOUND == 2.0**29
