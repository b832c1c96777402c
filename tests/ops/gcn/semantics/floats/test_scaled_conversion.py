"""Scaled and stochastic conversions: literal bits, and rounding by fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.gcn.semantics.code_packing import pack_codes, unpack_codes
from rocmoe.ops.gcn.semantics.scaled_conversion import list_scaled_conversions
from rocmoe.ops.gcn.semantics.small_float import (
    BF6,
    BF8_FNUZ,
    BF8_OCP,
    FP4,
    FP6,
    FP8_FNUZ,
    FP8_OCP,
    decode,
    encode,
    encode_stochastic,
)
from rocmoe.ops.gcn.semantics.wide_conversion import list_wide_conversions

ONE, TWO, NAN, INF = 0x3F800000, 0x40000000, 0x7FC00000, 0x7F800000
# The exponent 255 is a NaN scale whatever the mantissa; 0 is 2**-127, not 0.
NAN_SCALE, TINY = INF, 0

GFX950 = {
    "v_cvt_sr_fp8_f32": [
        ((ONE, 0), (0x38,)),
        ((0x3F8FFFFF, 0), (0x38,)),
        ((0x3F800001, 0xFFFFF000), (0x39,)),
        ((0x3F800001, 0xFFFFEFFF), (0x38,)),
        ((0x3FFFFFFF, 0xFFFFFFFF), (0x40,)),
        ((0xBB000000, 0x12345678), (0x81,)),
        ((0x3AC00000, 0), (0,)),
        ((0x3AC00000, 0xFFFFFFFF), (1,)),
        ((0x80000000, 0xFFFFFFFF), (0x80,)),
        ((0x43E00000, 0xFFFFFFFF), (0x7E,)),
        ((0x43E80000, 0x80000000), (0x7F,)),
        ((0xFF800000, 0), (0xFF,)),
    ],
    "v_cvt_sr_bf8_f32": [
        ((0x3F800001, 0xFFFFF800), (0x3D,)),
        ((0x3F800001, 0xFFFFF000), (0x3C,)),
        ((0x47700000, 0), (0x7B,)),
        ((0x47700000, 0x80000000), (0x7C,)),
        ((NAN, 0), (0x7E,)),
    ],
    "v_cvt_scalef32_pk_fp8_f32": [
        ((ONE, 0xC0000000, ONE), (0xC038,)),
        ((ONE, 0xC0000000, 0x40FFFFFF), (0xB028,)),
        ((0x43E80000, 0x43E80001, ONE), (0x7F7E,)),
        ((0x7F000000, 0, 0x7F000000), (0x0038,)),
        ((0x00000001, 0x80000000, TINY), (0x8000,)),
        ((0x00200000, 0x00400000, TINY), (0x3830,)),
        ((ONE, 0, NAN_SCALE), (0x7F7F,)),
        ((0xBF800000, INF, NAN_SCALE), (0x7FFF,)),
    ],
    "v_cvt_scalef32_pk_f32_fp8": [
        ((0xC038, ONE), (ONE, 0xC0000000)),
        ((0x0180, TINY), (0x80000000, 0x00002000)),
        ((0x7F7E, 0x7F000000), (INF, NAN)),
        ((0xB838, NAN_SCALE), (NAN, 0xFFC00000)),
    ],
    "v_cvt_scalef32_sr_fp8_f32": [
        ((0x3F800001, 0xFFFFF000, ONE), (0x39,)),
        ((0x40000001, 0xFFFFF000, TWO), (0x39,)),
        ((0x3F8FFFFF, 0, ONE), (0x38,)),
        ((ONE, 0, NAN_SCALE), (0x7F,)),
    ],
    "v_cvt_scalef32_f32_fp8": [((0x38, 0x42800000), (0x42800000,)), ((0x7F, ONE), (NAN,))],
    "v_cvt_scalef32_pk_fp8_f16": [
        ((0xC0003C00, ONE), (0xC038,)),
        ((0x7C005F40, ONE), (0x7F7E,)),
        ((0x00018001, 0x33800000), (0x38B8,)),
    ],
    "v_cvt_scalef32_pk_f16_fp8": [
        ((0xC038, ONE), (0xC0003C00,)),
        ((0x7E01, 0x47800000), (0x7C005800,)),
        ((0x0138, 0x33800000), (0x00000001,)),
        ((0xFF7F, ONE), (0xFFFF7FFF,)),
    ],
    "v_cvt_scalef32_sr_fp8_f16": [
        ((0x3C01, 0xFE000000, ONE), (0x39,)),
        ((0x3C01, 0xFC000000, ONE), (0x38,)),
    ],
    "v_cvt_scalef32_f16_fp8": [((0xC0, 0x3F000000), (0xBC00,))],
    "v_cvt_scalef32_pk_fp8_bf16": [((0xC0003F80, ONE), (0xC038,)), ((0x3F883F98, ONE), (0x383A,))],
    "v_cvt_scalef32_pk_bf16_fp8": [
        ((0xC038, ONE), (0xC0003F80,)),
        ((0x0801, TINY), (0x00010000,)),
        ((0x0504, TINY), (0x00010000,)),
        ((0xFF38, NAN_SCALE), (0xFFFF7FFF,)),
    ],
    "v_cvt_scalef32_sr_fp8_bf16": [
        ((0x3F81, 0xF0000000, ONE), (0x39,)),
        ((0x3F81, 0xE0000000, ONE), (0x38,)),
    ],
    "v_cvt_scalef32_pk_bf8_f32": [((ONE, 0x47700000, ONE), (0x7C3C,)), ((NAN, 0, ONE), (0x007E,))],
    "v_cvt_scalef32_pk_f32_bf8": [((0xFC3C, TWO), (TWO, 0xFF800000))],
    "v_cvt_scalef32_sr_bf8_f32": [((0x3F800001, 0xFFFFF800, ONE), (0x3D,))],
    "v_cvt_scalef32_f32_bf8": [((0x01, ONE), (0x37800000,))],
    "v_cvt_scalef32_pk_bf8_f16": [((0xFBFF3C00, ONE), (0xFC3C,))],
    "v_cvt_scalef32_pk_f16_bf8": [((0x7C3C, ONE), (0x7C003C00,))],
    "v_cvt_scalef32_sr_bf8_f16": [((0x3C01, 0xFF000000, ONE), (0x3D,))],
    "v_cvt_scalef32_f16_bf8": [((0x7B, ONE), (0x7B00,)), ((0x7B, TWO), (0x7C00,))],
    "v_cvt_scalef32_pk_bf8_bf16": [((0x3F803F80, 0x3F000000), (0x4040,))],
    "v_cvt_scalef32_pk_bf16_bf8": [((0x403C, ONE), (0x40003F80,))],
    "v_cvt_scalef32_sr_bf8_bf16": [((0x3F81, 0xF8000000, ONE), (0x3D,))],
    "v_cvt_scalef32_pk_fp4_f32": [
        ((0x3E800000, 0x3E800001, ONE), (0x10,)),
        ((0x40A00000, 0x40A00001, ONE), (0x76,)),
        ((0xFF800000, NAN, ONE), (0x7F,)),
        ((0x80000000, 0x42C80000, 0x41800000), (0x78,)),
    ],
    "v_cvt_scalef32_pk_f32_fp4": [((0xF1, ONE), (0x3F000000, 0xC0C00000))],
    "v_cvt_scalef32_sr_pk_fp4_f32": [
        ((0x3FA000003FA00000, 0x80000000, ONE), (0x23,)),
        ((0x3FA000003FA00000, 0x40000000, ONE), (0x32,)),
        ((0x7F800000FF800000, 0, ONE), (0x7F,)),
    ],
    "v_cvt_scalef32_pk_fp4_f16": [((0xC6003C00, ONE), (0xF2,))],
    "v_cvt_scalef32_pk_f16_fp4": [((0xF2, ONE), (0xC6003C00,))],
    "v_cvt_scalef32_sr_pk_fp4_f16": [((0x3D003D00, 0x80000000, ONE), (0x23,))],
    "v_cvt_scalef32_pk_fp4_bf16": [((0xC0C03F80, ONE), (0xF2,))],
    "v_cvt_scalef32_pk_bf16_fp4": [((0x92, TWO), (0xBF804000,))],
    "v_cvt_scalef32_sr_pk_fp4_bf16": [((0x3FA03FA0, 0x40000000, ONE), (0x32,))],
}
GFX942 = {
    "v_cvt_sr_fp8_f32": [
        ((ONE, 0), (0x40,)),
        ((0x3F800001, 0xFFFFF000), (0x41,)),
        ((0x80000000, 0), (0,)),
        ((0x43700000, 0xFFFFFFFF), (0x7F,)),
        ((0x43780000, 0x80000000), (0x80,)),
    ],
    "v_cvt_sr_bf8_f32": [((ONE, 0), (0x40,)), ((INF, 0), (0x80,))],
}
CLAMPED = {
    "v_cvt_sr_fp8_f32": [((0x43E80000, 0x80000000), (0x7E,)), ((0xFF800000, 0), (0xFE,))],
    "v_cvt_scalef32_pk_fp8_f32": [((0x43E80001, INF, ONE), (0x7E7E,)), ((NAN, 0, ONE), (0x7F,))],
    "v_cvt_scalef32_pk_bf8_bf16": [((0x7F80C980, ONE), (0x7BFB,))],
    "v_cvt_scalef32_pk_f16_bf8": [((0xFB7C, TWO), (0xFBFF7C00,))],
}


@pytest.mark.parametrize(("arch", "rows"), [("gfx942", GFX942), ("gfx950", GFX950)])
def test_rows(check_rows, arch, rows):
    operations = list_scaled_conversions(arch, False)
    check_rows(operations, rows)
    assert all(arch in operation.archs for operation in operations.values())


def test_rows_where_overflow_is_clamped(check_rows):
    operations = list_scaled_conversions("gfx950", True)
    assert set(operations) == set(GFX950)
    check_rows({name: operations[name] for name in CLAMPED}, CLAMPED)


def test_gfx90a_has_none():
    assert not list_scaled_conversions("gfx90a", False)


VALUES = {
    FP4: [0, 0.5, 1, 1.5, 2, 3, 4, 6],
    FP6: [
        *(x / 8 for x in range(17)),
        *(x / 4 for x in range(9, 17)),
        *(x / 2 for x in range(9, 16)),
    ],
    BF6: [
        *(x / 16 for x in range(9)),
        *(x / 8 for x in range(5, 9)),
        *(x / 4 for x in range(5, 9)),
        *(x / 2 for x in range(5, 9)),
        *range(5, 9),
        *range(10, 17, 2),
        20, 24, 28,
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.name)
def test_codes_are_those_of_the_specification(kind):
    values = decode(np.arange(2 * kind.sign_code, dtype=np.uint8), kind).tolist()
    half = kind.sign_code
    assert values[:half] == VALUES[kind]
    assert values[half:] == [-x for x in VALUES[kind]]
    assert np.signbit(values[half])


KINDS = [FP4, FP6, BF6, FP8_OCP, BF8_OCP, FP8_FNUZ, BF8_FNUZ]
kinds = st.sampled_from(KINDS)
numbers = st.floats(2.0**-24, 65536.0, width=32) | st.floats(2.0**-18, 16.0, width=32)


def _magnitudes(kind):
    codes = np.arange(kind.max_code + 1, dtype=np.uint8)
    return [Fraction(float(x)) for x in decode(codes, kind)]


@settings(max_examples=300, deadline=None, database=None)
@given(numbers, st.integers(0, 2**32 - 1), kinds)
def test_stochastic_rounding_takes_a_neighbour_by_the_share_below(value, seed, kind):
    """The bits below the last place, as an integer, and those of the seed carry or do not."""
    exact, places = Fraction(value), _magnitudes(kind)
    code = int(
        encode_stochastic(np.float32([value]), np.uint32([seed]), kind, 23, np.array([0]))[0]
    )
    if exact >= places[-1]:
        return
    below = max(at for at, place in enumerate(places) if place <= exact)
    width = places[below + 1] - places[below]
    share = 1 << (23 - kind.mantissa_bits)
    part = (exact - places[below]) / width * share
    carried = int(part) + (seed >> (32 - 23 + kind.mantissa_bits)) >= share
    assert code == below + carried


@settings(max_examples=200, deadline=None, database=None)
@given(numbers, st.integers(-20, 20), kinds)
def test_the_nearest_code_is_taken(value, power, kind):
    scaled = float(np.float32(value)) * 2.0**power
    places = _magnitudes(kind)
    code = int(encode(np.array([scaled]), kind)[0])
    if scaled >= places[-1]:
        return
    distances = [abs(place - Fraction(scaled)) for place in places]
    nearest = [at for at, distance in enumerate(distances) if distance == min(distances)]
    assert code == next((at for at in nearest if at % 2 == 0), nearest[0])


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_codes_lie_one_after_the_other(bits):
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (3, 32)).astype(np.uint8)
    whole = [sum(int(code) << bits * at for at, code in enumerate(row)) for row in codes]
    packed = pack_codes(codes, bits)
    assert packed.shape == (3, bits)
    words = [[value >> 32 * at & 0xFFFFFFFF for at in range(bits)] for value in whole]
    assert packed.tolist() == words
    assert unpack_codes(packed, bits).tolist() == codes.tolist()


WIDE = list_wide_conversions(False)
SIX = {"fp6": (FP6, 0x08), "bf6": (BF6, 0x0C)}


def _registers(values, dtype):
    return np.ascontiguousarray(np.asarray(values, dtype)).view(np.uint32)[None]


def test_every_wide_conversion_is_tested():
    assert len(WIDE) == 18
    assert all(conversion.cite for conversion in WIDE.values())


@pytest.mark.parametrize("six", SIX)
def test_interleaved_halves(six):
    kind, one = SIX[six]
    conversion = WIDE[f"v_cvt_scalef32_2xpk16_{six}_f32"]
    assert (conversion.sources, conversion.result) == ((16, 16, 1), 6)
    zeros, twos = np.zeros(16), np.full(16, 2.0)
    made = conversion.compute(
        _registers(twos, "f4"), _registers(zeros, "f4"), np.array([TWO], np.uint32)
    )
    assert unpack_codes(made, 6).tolist() == [[one, 0] * 16]
    assert decode(np.uint8([one]), kind)[0] == 1


@pytest.mark.parametrize(("kind", "dtype"), [("f32", "f4"), ("f16", "f2"), ("bf16", "u2")])
@pytest.mark.parametrize("six", SIX)
def test_wide_conversions_there_and_back(six, kind, dtype):
    codes = np.arange(64, dtype=np.uint8).reshape(2, 32)
    packed, scale = pack_codes(codes, 6), np.array([TWO, ONE], np.uint32)
    widening = WIDE[f"v_cvt_scalef32_pk32_{kind}_{six}"]
    wide = widening.compute(packed, scale)
    assert wide.shape[-1] == widening.result == (32 if kind == "f32" else 16)
    values = wide.view(f"<{dtype}")
    if kind == "bf16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    expected = decode(codes, SIX[six][0]) * np.array([[2], [1]])
    assert values.astype(np.float64).tolist() == expected.tolist()
    random = np.array([0x12345678, 0xFFFFFFFF], np.uint32)
    stochastic = WIDE[f"v_cvt_scalef32_sr_pk32_{six}_{kind}"]
    assert unpack_codes(stochastic.compute(wide, random, scale), 6).tolist() == codes.tolist()
    if kind != "f32":
        nearest = WIDE[f"v_cvt_scalef32_pk32_{six}_{kind}"]
        assert unpack_codes(nearest.compute(wide, scale), 6).tolist() == codes.tolist()


@pytest.mark.parametrize("six", SIX)
def test_seeds_of_following_elements_are_the_random_numbers_behind(six):
    """Half a place above 1: the top bit of each seed decides whether it is rounded up."""
    kind, one = SIX[six]
    conversion = WIDE[f"v_cvt_scalef32_sr_pk32_{six}_f32"]
    half = 1 + 2.0 ** -(kind.mantissa_bits + 1)
    seed = random = 0xB0000001
    expected = []
    for _ in range(32):
        expected.append(one + (random >> 31))
        random = (random << 1 & 0xFFFFFFFF) ^ (0xC5 if random >> 31 else 0)
    made = conversion.compute(
        _registers(np.full(32, half), "f4"), np.uint32([seed]), np.uint32([ONE])
    )
    assert unpack_codes(made, 6)[0].tolist() == expected
    assert expected[:4] == [one + 1, one, one + 1, one + 1]
