"""gfx950's matrix instructions of 8, 6 and 4 bits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from rocmoe.ops.gcn.semantics.code_packing import pack_codes
from rocmoe.ops.gcn.semantics.mfma_layout import result_layout
from rocmoe.ops.gcn.semantics.mfma_scaled import (
    FORMATS,
    MICROSCALED,
    scale_factors,
    source_layout_of,
)
from rocmoe.ops.gcn.semantics.small_float import FP4, FP8_OCP, decode

NAMES = ["v_mfma_scale_f32_16x16x128_f8f6f4", "v_mfma_scale_f32_32x32x64_f8f6f4"]
# Row of A, and k, at (lane, place).  Of 8 bits: composable_kernel, mx_mfma_op.hpp.
EIGHT = {
    NAMES[0]: {(0, 0): (0, 0), (16, 0): (0, 16), (53, 15): (5, 63), (0, 16): (0, 64)}
    | {(35, 17): (3, 97), (63, 31): (15, 127)},
    NAMES[1]: {(0, 15): (0, 15), (33, 0): (1, 16), (0, 16): (0, 32), (63, 31): (31, 63)},
}
FEWER = {
    NAMES[0]: {(0, 31): (0, 31), (16, 0): (0, 32), (37, 9): (5, 73), (63, 31): (15, 127)},
    NAMES[1]: {(0, 16): (0, 16), (32, 0): (0, 32), (63, 31): (31, 63)},
}
# Which lane's scale a GPU applied to an element of 8 bits of row 1 (scale_mapping_16x16x128.txt):
# by the lane and place of the element.
MEASURED = {
    (1, 0): 1,
    (1, 15): 1,
    (1, 16): 33,
    (17, 15): 1,
    (17, 16): 33,
    (33, 0): 17,
    (33, 31): 49,
    (49, 15): 17,
    (49, 16): 49,
}


def test_names():
    assert len(MICROSCALED) == 4
    assert [MICROSCALED[name].result_registers for name in NAMES] == [4, 16]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("small", FORMATS, ids=lambda kind: kind.name)
def test_source_layout(name, small):
    shape = MICROSCALED[name].shape
    layout = source_layout_of(shape, small)
    for place, expected in (EIGHT if small.bits == 8 else FEWER)[name].items():
        assert (int(layout.outer[place]), int(layout.inner[place])) == expected
    flat = layout.outer * shape.k + layout.inner
    assert np.array_equal(np.sort(flat, axis=None), np.arange(64 * 32))


def lay_out(dense, shape, small):
    """Codes [row, k] in registers u32 [1, 64, registers]."""
    layout = source_layout_of(shape, small)
    return pack_codes(dense[layout.outer, layout.inner][None], small.bits)


def test_codes_of_scales():
    codes = np.array([0, 126, 127, 128, 254], np.uint8)
    assert scale_factors(codes).tolist() == [2.0**-127, 0.5, 1, 2, 2.0**127]
    assert np.isnan(scale_factors(np.array([255], np.uint8)))


@pytest.mark.parametrize("place", MEASURED, ids=str)
def test_scales_are_those_a_device_applied(place):
    """As the measurement was made: an element of A is 1, B's first column is, scales tell lanes."""
    mfma, (lane, at) = MICROSCALED[NAMES[0]], place
    codes = np.zeros((1, 64, 32), np.uint8)
    codes[0, lane, at] = 0x38
    ones = np.zeros((1, 64, 32), np.uint8)
    ones[0, ::16] = 0x38
    of_a, of_b = np.arange(127, 191, dtype=np.uint8)[None], np.full((1, 64), 127, np.uint8)
    made = mfma.compute(
        pack_codes(codes, 8),
        pack_codes(ones, 8),
        np.zeros((1, 64, 4), np.uint32),
        (FP8_OCP, FP8_OCP),
        (of_a, of_b),
    )
    assert np.log2(made.view(np.float32)[0, 0, 1]) == MEASURED[place]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("left", FORMATS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("right", FORMATS, ids=lambda kind: kind.name)
def test_products_are_those_of_fractions(name, left, right):
    mfma = MICROSCALED[name]
    shape, random = mfma.shape, np.random.default_rng(left.bits * 8 + right.bits)
    codes, scales = [], []
    for small in (left, right):
        dense = random.integers(0, 2 * small.sign_code, (shape.size, shape.k)).astype(np.uint8)
        codes.append(np.where(np.isfinite(decode(dense, small)), dense, 0).astype(np.uint8))
        scales.append(random.integers(121, 134, (1, 64)).astype(np.uint8))
    c = random.integers(-8, 9, (1, 64, shape.result_places)).astype(np.float32)
    sources = [lay_out(x, shape, small) for x, small in zip(codes, (left, right), strict=True)]
    made = mfma.compute(*sources, c.view(np.uint32), (left, right), tuple(scales))
    layout = result_layout(shape)
    for lane, place in [(0, 0), (17, 1), (41, 3), (63, shape.result_places - 1)]:
        row, column = int(layout.outer[lane, place]), int(layout.inner[lane, place])
        exact = Fraction(float(c[0, lane, place]))
        for k in range(shape.k):
            factors = []
            for x, small, of, line in zip(codes, (left, right), scales, (row, column), strict=True):
                power = int(of[0, k // 32 * shape.size + line]) - 127
                factors.append(Fraction(float(decode(x[line, k], small))) * Fraction(2) ** power)
            exact += factors[0] * factors[1]
        assert made[0, lane, place] == np.float32(float(exact)).view(np.uint32)


def test_without_scales_elements_are_as_they_are():
    mfma = MICROSCALED["v_mfma_f32_32x32x64_f8f6f4"]
    ones = np.full((1, 64, 4), 0x22222222, np.uint32)
    c = np.full((1, 64, 16), 0x3F800000, np.uint32)
    assert (mfma.compute(ones, ones, c, (FP4, FP4)).view(np.float32) == 65).all()


def test_a_scale_that_is_a_nan_spoils_its_block_even_of_zeros():
    mfma = MICROSCALED[NAMES[1]]
    zeros, c = np.zeros((1, 64, 4), np.uint32), np.zeros((1, 64, 16), np.uint32)
    of_a, of_b = np.full((1, 64), 127, np.uint8), np.full((1, 64), 127, np.uint8)
    of_a[0, 32 + 6] = 255
    made = np.isnan(mfma.compute(zeros, zeros, c, (FP4, FP4), (of_a, of_b)).view(np.float32))
    assert set(result_layout(mfma.shape).outer[made[0]].tolist()) == {6}
    assert made.sum() == 32
