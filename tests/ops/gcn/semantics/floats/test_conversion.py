from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.gcn.semantics import conversion, packed_conversion
from rocmoe.ops.gcn.semantics.packed_conversion import SMALL_FLOAT_OPERATIONS, f16_towards_zero
from rocmoe.ops.gcn.semantics.small_float import (
    BF8_FNUZ,
    BF8_OCP,
    FP8_FNUZ,
    FP8_OCP,
    bf16_of_f32,
    decode,
    encode,
)

ROWS = {
    "v_cvt_i32_f32": [
        ((0xBFC00000,), (0xFFFFFFFF,)),
        ((0x4F000000,), (0x7FFFFFFF,)),
        ((0xFF800000,), (0x80000000,)),
        ((0x7FC00000,), (0,)),
    ],
    "v_cvt_u32_f32": [((0xBFC00000,), (0,)), ((0x4F800000,), (0xFFFFFFFF,)), ((0x3FFFFFFF,), (1,))],
    "v_cvt_i32_f64": [
        ((0xC1E0000000000000,), (0x80000000,)),
        ((0x41DFFFFFFFFFFFFF,), (0x7FFFFFFF,)),
        ((0x7FF8000000000000,), (0,)),
    ],
    "v_cvt_u32_f64": [((0x41EFFFFFFFFFFFFF,), (0xFFFFFFFF,)), ((0xBFF0000000000000,), (0,))],
    "v_cvt_i16_f16": [((0xFBFF,), (0x8000,)), ((0xBE00,), (0xFFFF,)), ((0x7E00,), (0,))],
    "v_cvt_u16_f16": [((0x7BFF,), (65504,)), ((0x7C00,), (0xFFFF,)), ((0xBC00,), (0,))],
    "v_cvt_f32_i32": [((0x80000000,), (0xCF000000,)), ((0x01000001,), (0x4B800000,))],
    "v_cvt_f32_u32": [((0xFFFFFFFF,), (0x4F800000,)), ((0x01000003,), (0x4B800002,))],
    "v_cvt_f64_i32": [((0xFFFFFFFF,), (0xBFF0000000000000,))],
    "v_cvt_f64_u32": [((0xFFFFFFFF,), (0x41EFFFFFFFE00000,))],
    "v_cvt_f16_i16": [((0x8000,), (0xF800,)), ((0x0801,), (0x6800,))],
    "v_cvt_f16_u16": [((0xFFFF,), (0x7C00,)), ((65519,), (0x7BFF,))],
    "v_cvt_f16_f32": [
        ((0x477FEFFF,), (0x7BFF,)),
        ((0x477FF000,), (0x7C00,)),
        ((0x33000000,), (0x0000,)),
        ((0x33000001,), (0x0001,)),
        ((0xB3800000,), (0x8001,)),
        ((0xFF802000,), (0xFE01,)),
    ],
    "v_cvt_f32_f16": [((0x0001,), (0x33800000,)), ((0x7C01,), (0x7FC02000,))],
    "v_cvt_f32_f64": [
        ((0x3FF0000010000000,), (0x3F800000,)),
        ((0x3FF0000010000001,), (0x3F800001,)),
        ((0x36A0000000000000,), (0x00000001,)),
        ((0x3690000000000000,), (0,)),
        ((0x7FF0000020000000,), (0x7FC00001,)),
    ],
    "v_cvt_f64_f32": [
        ((0x00000001,), (0x36A0000000000000,)),
        ((0x7F800001,), (0x7FF8000020000000,)),
    ],
    "v_cvt_f32_ubyte0": [((0x04030201,), (0x3F800000,))],
    "v_cvt_f32_ubyte1": [((0x04030201,), (0x40000000,))],
    "v_cvt_f32_ubyte2": [((0x04030201,), (0x40400000,))],
    "v_cvt_f32_ubyte3": [((0xFF030201,), (0x437F0000,))],
    "v_cvt_rpi_i32_f32": [((0x3F000000,), (1,)), ((0xBFC00000,), (0xFFFFFFFF,))],
    "v_cvt_flr_i32_f32": [((0xBF000000,), (0xFFFFFFFF,)), ((0x7F800000,), (0x7FFFFFFF,))],
    "v_cvt_off_f32_i4": [
        ((7,), (0x3EE00000,)),
        ((8,), (0xBF000000,)),
        ((0xFFFFFFF1,), (0x3D800000,)),
    ],
    "v_cvt_norm_i16_f16": [((0xBC00,), (0x8001,)), ((0x3800,), (0x4000,)), ((0x7E00,), (0,))],
    "v_cvt_norm_u16_f16": [((0x3800,), (0x8000,)), ((0xBC00,), (0,)), ((0x7C00,), (0xFFFF,))],
    "v_cvt_f32_bf16": [((0x3F80,), (0x3F800000,)), ((0xFF80,), (0xFF800000,))],
}
PACKED_ROWS = {
    "v_cvt_pkrtz_f16_f32": [
        ((0x3F802000, 0x3F803FFF), (0x3C013C01,)),
        ((0x7F7FFFFF, 0xFF800000), (0xFC007BFF,)),
        ((0x337FFFFF, 0x7F800001), (0x7E000000,)),
        ((0xBF803FFF, 0x33FFFFFF), (0x0001BC01,)),
    ],
    "v_cvt_pknorm_i16_f32": [((0x3F800000, 0xC0000000), (0x80017FFF,)), ((0x7FC00000, 0), (0,))],
    "v_cvt_pknorm_u16_f32": [((0x3F000000, 0x40000000), (0xFFFF8000,)), ((0xBF800000, 0), (0,))],
    "v_cvt_pknorm_i16_f16": [((0x3C00, 0xBC00), (0x80017FFF,))],
    "v_cvt_pknorm_u16_f16": [((0x3800, 0x3C00), (0xFFFF8000,))],
    "v_cvt_pk_i16_i32": [((0x00008000, 0xFFFF7FFF), (0x80007FFF,)), ((0xFFFFFFFF, 1), (0x1FFFF,))],
    "v_cvt_pk_u16_u32": [((0x00010000, 0x1234), (0x1234FFFF,))],
    "v_cvt_pk_u8_f32": [
        ((0x43808000, 1, 0x11223344), (0x1122FF44,)),
        ((0x43008000, 4, 0x11223344), (0x11223380,)),
        ((0xBF800000, 3, 0x11223344), (0x00223344,)),
        ((0x7FC00000, 2, 0x11223344), (0x11003344,)),
    ],
    "v_cvt_pkaccum_u8_f32": [((0x40000000, 0, 0x11223344), (0x11223302,))],
    "v_cvt_pk_f16_f32": [((0x3F803FFF, 0x7F7FFFFF), (0x7C003C02,))],
    "v_cvt_pk_bf16_f32": [
        ((0x3F808000, 0x3F818000), (0x3F823F80,)),
        ((0x7F7FFFFF, 0xFF800001), (0xFFC07F80,)),
        ((0x00008001, 0x80000000), (0x80000001,)),
    ],
}
GFX942_ROWS = {
    "v_cvt_pk_fp8_f32": [
        ((0x3F800000, 0xC0000000), (0xC840,)),
        ((0x43700000, 0x43780000), (0x807F,)),
        ((0x80000000, 0x7F800000), (0x8000,)),
        ((0x3A800000, 0x3A000000), (0x0001,)),
        ((0xFFC00000, 0xBA000001), (0x8180,)),
    ],
    "v_cvt_pk_f32_fp8": [
        ((0xC840,), (0x3F800000, 0xC0000000)),
        ((0x7F80,), (0x7FC00000, 0x43700000)),
    ],
    "v_cvt_f32_fp8": [((0x01,), (0x3A800000,)), ((0x07,), (0x3BE00000,)), ((0,), (0,))],
    "v_cvt_pk_bf8_f32": [
        ((0x3F800000, 0x47600000), (0x7F40,)),
        ((0x47700000, 0x37000000), (0x0180,)),
    ],
    "v_cvt_pk_f32_bf8": [((0x7F40,), (0x3F800000, 0x47600000))],
    "v_cvt_f32_bf8": [((0x80,), (0x7FC00000,)), ((0x01,), (0x37000000,))],
}
GFX950_ROWS = {
    "v_cvt_pk_fp8_f32": [
        ((0x3F800000, 0xC0000000), (0xC038,)),
        ((0x43E80000, 0xC3E80001), (0xFF7E,)),
        ((0x80000000, 0x7F800000), (0x7F80,)),
        ((0x7FC00000, 0x3B000000), (0x017F,)),
    ],
    "v_cvt_pk_f32_fp8": [
        ((0xC038,), (0x3F800000, 0xC0000000)),
        ((0x7E7F,), (0x7FC00000, 0x43E00000)),
    ],
    "v_cvt_f32_fp8": [((0x80,), (0x80000000,)), ((0x01,), (0x3B000000,))],
    "v_cvt_pk_bf8_f32": [
        ((0x3F800000, 0x47600000), (0x7B3C,)),
        ((0x47700000, 0xFF800000), (0xFC7C,)),
        ((0x7FC00000, 0x37800000), (0x017E,)),
    ],
    "v_cvt_pk_f32_bf8": [((0xFC3C,), (0x3F800000, 0xFF800000))],
    "v_cvt_f32_bf8": [((0x7B,), (0x47600000,)), ((0x7D,), (0x7FC00000,))],
}


def test_rows(check_rows):
    check_rows(conversion.OPERATIONS, ROWS)


def test_packed_rows(check_rows):
    check_rows(packed_conversion.OPERATIONS, PACKED_ROWS)
    gfx950 = {n for n, o in packed_conversion.OPERATIONS.items() if o.archs == ("gfx950",)}
    assert gfx950 == {"v_cvt_pk_f16_f32", "v_cvt_pk_bf16_f32"}


@pytest.mark.parametrize(("arch", "rows"), [("gfx942", GFX942_ROWS), ("gfx950", GFX950_ROWS)])
def test_small_float_rows(check_rows, arch, rows):
    check_rows(SMALL_FLOAT_OPERATIONS[arch], rows)
    assert {operation.archs for operation in SMALL_FLOAT_OPERATIONS[arch].values()} == {(arch,)}


@pytest.mark.parametrize("kind", [FP8_FNUZ, BF8_FNUZ, FP8_OCP, BF8_OCP], ids=lambda k: k.name)
def test_every_code_survives_a_round_trip(kind):
    codes = np.arange(256, dtype=np.uint8)
    values = decode(codes, kind)
    numbers = ~np.isnan(values)
    np.testing.assert_array_equal(encode(values, kind)[numbers], codes[numbers])
    assert np.isnan(decode(encode(values, kind), kind)[~numbers]).all()


@pytest.mark.parametrize("kind", [FP8_FNUZ, BF8_FNUZ, FP8_OCP, BF8_OCP], ids=lambda k: k.name)
def test_encoding_is_to_the_nearest_even(kind):
    values = decode(np.arange(128, dtype=np.uint8), kind).astype(np.float64)
    values = values[np.isfinite(values)]
    middle = (values[:-1] + values[1:]) / 2
    even = np.arange(len(middle)) + np.arange(len(middle)) % 2
    assert encode(middle.astype(np.float32), kind).tolist() == even.tolist()
    above = np.nextafter(middle.astype(np.float32), np.float32(np.inf))
    assert encode(above, kind).tolist() == (np.arange(len(middle)) + 1).tolist()


def test_saturation_leaves_only_nans():
    x = np.array([1e9, -1e9, np.inf, np.nan], np.float32)
    assert encode(x, FP8_OCP, saturate=True).tolist() == [0x7E, 0xFE, 0x7E, 0x7F]
    assert encode(x, BF8_OCP, saturate=True).tolist() == [0x7B, 0xFB, 0x7B, 0x7E]
    assert encode(x, FP8_FNUZ, saturate=True).tolist() == [0x7F, 0xFF, 0x7F, 0x80]


@settings(max_examples=200, deadline=None, database=None)
@given(st.floats(width=32, allow_nan=False))
def test_rounding_towards_zero_is_the_last_value_not_past(value):
    made = f16_towards_zero(np.array([value], np.float32))
    got, bits = float(made[0]), int(made.view(np.uint16)[0])
    if np.isinf(value):
        assert got == value
        return
    assert abs(got) <= abs(value)
    assert (bits >> 15) == (struct.unpack("<I", struct.pack("<f", value))[0] >> 31)
    following = np.array([bits + 1], np.uint16).view(np.float16)[0]
    assert abs(float(following)) > abs(value)


@settings(max_examples=200, deadline=None, database=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_bf16_is_nearest(value):
    code = int(bf16_of_f32(np.array([value], np.float32))[0])
    below, above = code - 1 if code & 0x7FFF else code, code + 1
    exact = Fraction(value)

    def distance(candidate: int) -> Fraction:
        if candidate & 0x7FFF >= 0x7F80:
            return abs(Fraction(2) ** 128 * (-1 if candidate >> 15 else 1) - exact)
        bits = struct.unpack("<f", struct.pack("<I", candidate << 16))[0]
        return abs(Fraction(bits) - exact)

    others = [distance(c) for c in (below, above) if c != code and c & 0x7FFF <= 0x7F80]
    nearest = distance(code)
    assert all(nearest < other or (nearest == other and code % 2 == 0) for other in others)
