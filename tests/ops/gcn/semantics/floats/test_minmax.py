from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.gcn.semantics import minmax

ONE, TWO, THREE = 0x3F800000, 0x40000000, 0x40400000
MINUS_ZERO, QUIET, SIGNALLING, QUIETED = 0x80000000, 0x7FC00001, 0x7F800002, 0x7FC00002

ROWS = {
    "v_min_f32": [
        ((ONE, TWO), (ONE,)),
        ((0, MINUS_ZERO), (MINUS_ZERO,)),
        ((MINUS_ZERO, 0), (MINUS_ZERO,)),
        ((QUIET, ONE), (ONE,)),
        ((ONE, QUIET), (ONE,)),
        ((QUIET, 0x7FC00009), (0x7FC00009,)),
        ((SIGNALLING, ONE), (QUIETED,)),
        ((ONE, SIGNALLING), (QUIETED,)),
        ((QUIET, SIGNALLING), (QUIETED,)),
        ((0xFF800000, QUIET), (0xFF800000,)),
    ],
    "v_max_f32": [
        ((ONE, TWO), (TWO,)),
        ((0, MINUS_ZERO), (0,)),
        ((MINUS_ZERO, 0), (0,)),
        ((QUIET, 0xFF800000), (0xFF800000,)),
        ((SIGNALLING, ONE), (QUIETED,)),
    ],
    "v_min_f16": [((0x3C00, 0x4000), (0x3C00,)), ((0x7D01, 0x3C00), (0x7F01,))],
    "v_max_f16": [((0x3C00, 0x7E00), (0x3C00,)), ((0x8000, 0x0000), (0x0000,))],
    "v_min_f64": [
        ((0x3FF0000000000000, 0xBFF0000000000000), (0xBFF0000000000000,)),
        ((0x7FF0000000000001, 0), (0x7FF8000000000001,)),
    ],
    "v_max_f64": [((0x8000000000000000, 0), (0,)), ((0x7FF8000000000000, 1), (1,))],
    "v_min3_f32": [((THREE, ONE, TWO), (ONE,)), ((QUIET, QUIET, TWO), (TWO,))],
    "v_max3_f32": [((THREE, ONE, TWO), (THREE,)), ((SIGNALLING, ONE, TWO), (TWO,))],
    "v_med3_f32": [
        ((THREE, ONE, TWO), (TWO,)),
        ((ONE, TWO, THREE), (TWO,)),
        ((TWO, THREE, ONE), (TWO,)),
        ((THREE, THREE, ONE), (THREE,)),
        ((QUIET, THREE, TWO), (TWO,)),
        ((THREE, TWO, SIGNALLING), (QUIETED,)),
    ],
    "v_min3_f16": [((0x4200, 0x3C00, 0x4000), (0x3C00,))],
    "v_max3_f16": [((0x4200, 0x3C00, 0x4000), (0x4200,))],
    "v_med3_f16": [((0x4200, 0x3C00, 0x4000), (0x4000,)), ((0x7E00, 0x3C00, 0x4000), (0x3C00,))],
    "v_minimum3_f32": [
        ((THREE, ONE, TWO), (ONE,)),
        ((QUIET, ONE, TWO), (QUIET,)),
        ((QUIET, SIGNALLING, TWO), (QUIETED,)),
        ((0, MINUS_ZERO, 0), (MINUS_ZERO,)),
    ],
    "v_maximum3_f32": [
        ((THREE, ONE, TWO), (THREE,)),
        ((ONE, TWO, QUIET), (QUIET,)),
        ((MINUS_ZERO, 0, MINUS_ZERO), (0,)),
    ],
}


def test_rows(check_rows):
    check_rows(minmax.OPERATIONS, ROWS)
    assert minmax.OPERATIONS["v_maximum3_f32"].archs == ("gfx950",)


@pytest.mark.parametrize("compute", [minmax.minimum_number, minmax.maximum_number])
def test_a_signalling_nan_loses_outside_ieee_mode(compute):
    signalling, one = np.array([SIGNALLING], np.uint32).view(np.float32), np.array([1], np.float32)
    assert compute(signalling, one, ieee=False)[0] == 1
    assert compute(one, signalling, ieee=False)[0] == 1


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3))
def test_three_numbers_are_sorted(values):
    arrays = [np.array([value], np.float32) for value in values]
    made = [float(f(*arrays)[0]) for f in (minmax.min3, minmax.med3, minmax.max3)]
    assert made == sorted(values)
