from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.gcn.semantics import float16, float32, float64, fused
from rocmoe.ops.gcn.semantics.float_arithmetic import apply_output_modifier, clamp_output

# f32: 1 = 3f800000, inf = 7f800000, max = 7f7fffff, least normal 00800000, signalling NaN 7f800001.
F32_ROWS = {
    "v_floor_f32": [((0xBF000000,), (0xBF800000,)), ((0x80000000,), (0x80000000,))],
    "v_ceil_f32": [((0xBF000000,), (0x80000000,)), ((0x7F800001,), (0x7FC00001,))],
    "v_trunc_f32": [((0xBFC00000,), (0xBF800000,)), ((0xFF800000,), (0xFF800000,))],
    "v_rndne_f32": [
        ((0x40200000,), (0x40000000,)),
        ((0x40600000,), (0x40800000,)),
        ((0xBE800000,), (0x80000000,)),
    ],
    "v_fract_f32": [
        ((0xBE800000,), (0x3F400000,)),
        ((0x80000001,), (0x3F7FFFFF,)),
        ((0x80000000,), (0x00000000,)),
        ((0x7F800000,), (0xFFC00000,)),
        ((0x7F800001,), (0x7FC00001,)),
    ],
    "v_frexp_mant_f32": [
        ((0x41000000,), (0x3F000000,)),
        ((0x80000001,), (0xBF000000,)),
        ((0xFF800000,), (0xFF800000,)),
    ],
    "v_frexp_exp_i32_f32": [
        ((0x41000000,), (4,)),
        ((0x00000001,), (0xFFFFFF6C,)),
        ((0,), (0,)),
        ((0x7F800000,), (0,)),
        ((0x7FC00000,), (0,)),
    ],
    "v_add_f32": [
        ((0x3F800000, 0x33800000), (0x3F800000,)),
        ((0x3F800000, 0x33800001), (0x3F800001,)),
        ((0x00000001, 0x00000001), (0x00000002,)),
        ((0x80000000, 0x00000000), (0x00000000,)),
        ((0x80000000, 0x80000000), (0x80000000,)),
        ((0x7F7FFFFF, 0x7F7FFFFF), (0x7F800000,)),
        ((0x7F800000, 0xFF800000), (0xFFC00000,)),
        ((0x7FC00005, 0x7FC00006), (0x7FC00005,)),
        ((0x3F800000, 0xFF800006), (0xFFC00006,)),
    ],
    "v_mul_f32": [
        ((0x00800000, 0x3F000000), (0x00400000,)),
        ((0x00000000, 0xFF800000), (0xFFC00000,)),
        ((0x00000001, 0xBF000000), (0x80000000,)),
        ((0x7FC00009, 0x7F800001), (0x7FC00009,)),
    ],
    "v_sub_f32": [
        ((0x3F800000, 0x3F800000), (0x00000000,)),
        ((0x00000000, 0x00000000), (0x00000000,)),
        ((0x3F800000, 0x40000000), (0xBF800000,)),
    ],
    "v_subrev_f32": [((0x3F800000, 0x40000000), (0x3F800000,))],
    "v_mul_legacy_f32": [
        ((0x80000000, 0x7F800000), (0,)),
        ((0x7FC00000, 0x00000000), (0,)),
        ((0x40000000, 0xC0000000), (0xC0800000,)),
    ],
    "v_ldexp_f32": [
        ((0x3F800000, 0xFFFFFF6B), (0x00000001,)),
        ((0x3F800000, 0xFFFFFF6A), (0,)),
        ((0x3FC00000, 0xFFFFFF6A), (0x00000001,)),
        ((0xBF800000, 0x7FFFFFFF), (0xFF800000,)),
        ((0xBF800000, 0x80000000), (0x80000000,)),
        ((0x7F800001, 1), (0x7FC00001,)),
    ],
}

F16_ROWS = {
    "v_floor_f16": [((0xB800,), (0xBC00,)), ((0x7C01,), (0x7E01,))],
    "v_ceil_f16": [((0xB800,), (0x8000,))],
    "v_trunc_f16": [((0xBE00,), (0xBC00,))],
    "v_rndne_f16": [((0x4100,), (0x4000,)), ((0x4300,), (0x4400,))],
    "v_fract_f16": [((0x8001,), (0x3BFF,)), ((0xB400,), (0x3A00,)), ((0xFC00,), (0xFE00,))],
    "v_frexp_mant_f16": [((0x4800,), (0x3800,)), ((0x0001,), (0x3800,))],
    "v_frexp_exp_i16_f16": [((0x4800,), (4,)), ((0x0001,), (0xFFE9,)), ((0x7C00,), (0,))],
    "v_add_f16": [
        ((0x3C00, 0x1000), (0x3C00,)),
        ((0x3C00, 0x1001), (0x3C01,)),
        ((0x0001, 0x0001), (0x0002,)),
        ((0x7BFF, 0x7BFF), (0x7C00,)),
        ((0x7C00, 0xFC00), (0xFE00,)),
        ((0x3C00, 0x7D01), (0x7F01,)),
    ],
    "v_mul_f16": [((0x0400, 0x3800), (0x0200,)), ((0, 0x7C00), (0xFE00,))],
    "v_sub_f16": [((0x3C00, 0x4000), (0xBC00,))],
    "v_subrev_f16": [((0x3C00, 0x4000), (0x3C00,))],
    "v_ldexp_f16": [
        ((0x3C00, 0xFFE8), (0x0001,)),
        ((0x3C00, 0x7FFF), (0x7C00,)),
        ((0xBC00, 0x8000), (0x8000,)),
    ],
}

ONE64, INF64 = 0x3FF0000000000000, 0x7FF0000000000000
F64_ROWS = {
    "v_floor_f64": [((0xBFE0000000000000,), (0xBFF0000000000000,))],
    "v_ceil_f64": [((0xBFE0000000000000,), (0x8000000000000000,))],
    "v_trunc_f64": [((0xBFF8000000000000,), (0xBFF0000000000000,))],
    "v_rndne_f64": [((0x4004000000000000,), (0x4000000000000000,))],
    "v_fract_f64": [
        ((0x8000000000000001,), (0x3FEFFFFFFFFFFFFF,)),
        ((INF64,), (0xFFF8000000000000,)),
    ],
    "v_frexp_mant_f64": [((0x4020000000000000,), (0x3FE0000000000000,))],
    "v_frexp_exp_i32_f64": [((0x4020000000000000,), (4,)), ((1,), (0xFFFFFBCF,)), ((INF64,), (0,))],
    "v_add_f64": [
        ((ONE64, 0x3CA0000000000000), (ONE64,)),
        ((ONE64, 0x3CA0000000000001), (ONE64 + 1,)),
        ((INF64, 0xFFF0000000000000), (0xFFF8000000000000,)),
        ((0x7FF0000000000001, ONE64), (0x7FF8000000000001,)),
    ],
    "v_mul_f64": [((0x0010000000000000, 0x3FE0000000000000), (0x0008000000000000,))],
    "v_ldexp_f64": [
        ((ONE64, 0xFFFFFBCE), (1,)),
        ((ONE64, 0x7FFFFFFF), (INF64,)),
        ((0xBFF0000000000000, 0x80000000), (0x8000000000000000,)),
    ],
}


@pytest.mark.parametrize(
    ("module", "rows"), [(float32, F32_ROWS), (float16, F16_ROWS), (float64, F64_ROWS)]
)
def test_rows(check_rows, module, rows):
    check_rows(module.OPERATIONS, rows)


# (1 + 2**-12)**2 = 1 + 2**-11 + 2**-24, a tie of f32 that the addend breaks.
TIE = (0x3F800800, 0x3F800800)
FMA_F32 = [
    ((*TIE, 0x00000001), (0x3F801001,)),
    ((*TIE, 0x80000001), (0x3F801000,)),
    ((*TIE, 0x00000000), (0x3F801000,)),
    ((0x3F800000, 0x3F800000, 0xBF800000), (0x00000000,)),
    ((0x00000000, 0xBF800000, 0x80000000), (0x80000000,)),
    ((0x00800000, 0x00800000, 0x80000000), (0x00000000,)),
    ((0x7F7FFFFF, 0x40000000, 0xFF7FFFFF), (0x7F7FFFFF,)),
    ((0x7F800000, 0x00000000, 0x3F800000), (0xFFC00000,)),
    ((0x7F800000, 0x00000000, 0x7FC00007), (0x7FC00007,)),
    ((0x7FC00001, 0x7FC00002, 0x7FC00003), (0x7FC00001,)),
]
TIE64 = (0x3FF0000010000000, 0x3FF0000010000000)
FMA_F64 = [
    ((ONE64 + 1, ONE64 + 1, 0xBFF0000000000002), (0x3970000000000000,)),
    ((0x7FEFFFFFFFFFFFFF, 0x4000000000000000, 0xFFEFFFFFFFFFFFFF), (0x7FEFFFFFFFFFFFFF,)),
    ((0x0010000000000000, 0x3CA0000000000000, 0x8000000000000001), (0x8000000000000000,)),
    ((0x0010000000000000, 0x8010000000000000, 0x0000000000000000), (0x8000000000000000,)),
    ((INF64, 0, ONE64), (0xFFF8000000000000,)),
    ((ONE64, 0x7FF0000000000003, ONE64), (0x7FF8000000000003,)),
]
FMA_F16 = [
    ((0x3C01, 0x3C01, 0x0001), (0x3C02,)),
    ((0x3C20, 0x3C20, 0x0001), (0x3C41,)),
    ((0x3C20, 0x3C20, 0x8001), (0x3C41,)),
    ((0x7BFF, 0x4000, 0xFBFF), (0x7BFF,)),
    ((0x7C00, 0x0000, 0x3C00), (0xFE00,)),
]
# 65504 * 2 - 65504: the rounded product is already infinite.
MAD_F16 = [((0x7BFF, 0x4000, 0xFBFF), (0x7C00,)), ((0x4000, 0x4200, 0x3C00), (0x4700,))]
# (1 + 2^-23)^2 - 1 loses the last bit of the product; denormals are zeros at every point.
MAD_F32 = [
    ((0x3F800001, 0x3F800001, 0xBF800000), (0x34800000,)),
    ((0x7F7FFFFF, 0x40000000, 0xFF7FFFFF), (0x7F800000,)),
    ((0x00800000, 0x3F000000, 0x00800000), (0x00800000,)),
    ((0x00800000, 0x3FC00000, 0x80800000), (0x00000000,)),
    ((0x3F800000, 0x40000000, 0x007FFFFF), (0x40000000,)),
    ((0x7FA00000, 0x3F800000, 0x7FC00001), (0x7FE00000,)),
]
ZERO_TIMES_INFINITY = [
    ((0x00000000, 0x7F800000, 0x3F800000), (0xFFC00000,)),
    ((0x7F800000, 0x00000001, 0x3F800000), (0xFFC00000,)),
]
SIGNED_ZERO = [((0x807FFFFF, 0x7F000000, 0x80000000), (0x80000000,))]
MAD_F32_ALONE = [*MAD_F32, *ZERO_TIMES_INFINITY, *SIGNED_ZERO]
LEGACY_F32 = [(sources, (0x3F800000,)) for sources, _ in ZERO_TIMES_INFINITY]
LEGACY_F32 += [(sources, (0x00000000,)) for sources, _ in SIGNED_ZERO]
MIX_F16 = [
    ((0x3F800000, 0x3F800000, 0x3F800000), (0x4000,)),
    ((0x47800000, 0x3F800000, 0x00000000), (0x7C00,)),
    ((0x7FC02000, 0x3F800000, 0x00000000), (0x7E01,)),
]
DOT2 = [
    ((0x40003C00, 0x44004200, 0x3F800000), (0x41400000,)),
    ((0x3C003C00, 0x3C000000, 0x4B800000), (0x4B800000,)),
    ((0x7C000000, 0x00000000, 0x3F800000), (0xFFC00000,)),
]
DOT2_BF16 = [((0x40003F80, 0x40804040, 0x3F800000), (0x41400000,))]
FUSED_ROWS = {
    "v_fma_f16": FMA_F16,
    "v_fma_f32": FMA_F32,
    "v_fma_f64": FMA_F64,
    "v_fma_legacy_f16": FMA_F16,
    "v_mad_f16": MAD_F16,
    "v_mad_legacy_f16": MAD_F16,
    "v_mac_f16": MAD_F16,
    "v_madak_f16": MAD_F16,
    "v_madmk_f16": MAD_F16,
    "v_mad_f32": MAD_F32_ALONE,
    "v_mad_legacy_f32": [*MAD_F32, *LEGACY_F32],
    "v_mac_f32": MAD_F32_ALONE,
    "v_madak_f32": MAD_F32_ALONE,
    "v_madmk_f32": MAD_F32_ALONE,
    "v_fmac_f32": FMA_F32,
    "v_fmac_f64": FMA_F64,
    "v_fmaak_f32": FMA_F32,
    "v_fmamk_f32": FMA_F32,
    "v_fma_mix_f32": FMA_F32,
    "v_fma_mixlo_f16": MIX_F16,
    "v_fma_mixhi_f16": MIX_F16,
    "v_dot2_f32_f16": DOT2,
    "v_dot2c_f32_f16": DOT2,
    # 2**24 + 1 + 1: the pair is summed first by the one, last by the other.
    "v_dot2_f32_bf16": [*DOT2_BF16, ((0x3F803F80, 0x3F803F80, 0x4B800000), (0x4B800001,))],
    "v_dot2c_f32_bf16": [*DOT2_BF16, ((0x3F803F80, 0x3F803F80, 0x4B800000), (0x4B800000,))],
}


def test_fused_rows(check_rows):
    check_rows(fused.OPERATIONS, FUSED_ROWS)


def test_fused_targets():
    assert fused.OPERATIONS["v_fmamk_f32"].archs == ("gfx942", "gfx950")
    assert fused.OPERATIONS["v_madmk_f32"].archs == ("gfx90a",)
    assert fused.OPERATIONS["v_dot2_f32_bf16"].archs == ("gfx950",)


@pytest.mark.parametrize(
    ("op_sel", "op_sel_hi", "expected"),
    [
        (False, False, 0x3C00C000),
        (True, False, 0x3C00C000),
        (False, True, 0xC0000000),
        (True, True, 0x3F800000),
    ],
)
def test_mix_sources_are_words_or_halves(op_sel, op_sel_hi, expected):
    made = fused.fma_mix_source(np.array([0x3C00C000], np.uint32), op_sel, op_sel_hi)
    assert made.view(np.uint32)[0] == expected


def exact(kind: str, total: Fraction) -> float:
    """A fraction rounded to nearest even in f16, f32 or f64, by integers alone."""
    formats = {"f16": (11, -24, 16), "f32": (24, -149, 128), "f64": (53, -1074, 1024)}
    digits, least, top = formats[kind]
    if total == 0:
        return 0.0
    size = abs(total)
    exponent = size.numerator.bit_length() - size.denominator.bit_length() + 1
    while Fraction(2) ** exponent > size:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - digits + 1, least)
    rounded = round(size / unit) * unit
    value = float("inf") if rounded >= Fraction(2) ** top else float(rounded)
    return value if total > 0 else -value


def floats(kind: str) -> st.SearchStrategy[float]:
    width = int(kind[1:])
    wide = st.floats(width=width, allow_nan=False, allow_infinity=False)
    near = st.builds(lambda m, e: float(m) * 2.0**e, st.integers(-2047, 2047), st.integers(-12, 4))
    return st.one_of(wide, near)


@pytest.mark.parametrize("kind", ["f16", "f32", "f64"])
def test_fma_rounds_once(kind):
    operation = fused.OPERATIONS[f"v_fma_{kind}"]
    dtype = np.dtype(f"f{int(kind[1:]) // 8}")

    @settings(max_examples=150, deadline=None, database=None)
    @given(floats(kind), floats(kind), floats(kind), st.booleans())
    def check(a, b, c, cancel):
        a, b, c = (float(np.array(x, dtype)) for x in (a, b, c))
        with np.errstate(all="ignore"):
            c = float(np.array(-a * b, dtype)) if cancel else c
        if not np.isfinite(c):
            return
        expected = exact(kind, Fraction(a) * Fraction(b) + Fraction(c))
        assert operation.compute(*(np.array([x], dtype) for x in (a, b, c)))[0] == expected

    check()


def test_output_modifier_and_clamp():
    x = np.array([0.75, -1.5, np.inf, np.nan, -0.0], np.float32)
    assert apply_output_modifier(x, 0) is x
    np.testing.assert_array_equal(apply_output_modifier(x, 1), [1.5, -3, np.inf, np.nan, -0.0])
    np.testing.assert_array_equal(apply_output_modifier(x, 2)[:2], [3, -6])
    np.testing.assert_array_equal(apply_output_modifier(x, 3)[:2], [0.375, -0.75])
    tiny = np.array([-1.5 * 2.0**-126], np.float32)
    assert apply_output_modifier(tiny, 3).view(np.uint32)[0] == 0x80000000
    clamped = clamp_output(np.append(x, np.float32(2)))
    assert clamped.view(np.uint32).tolist() == [0x3F400000, 0, 0x3F800000, 0, 0, 0x3F800000]
    assert np.isnan(clamp_output(x, dx10_clamp=False)[3])
