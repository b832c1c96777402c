from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.gcn.semantics.division import OPERATIONS
from rocmoe.ops.gcn.semantics.fused import fma_f32, fma_f64
from rocmoe.ops.gcn.semantics.transcendental import OPERATIONS as TRANSCENDENTAL

ONE, TWO, THREE, NAN = 0x3F800000, 0x40000000, 0x40400000, 0xFFC00000
INF, MAX, DENORMAL = 0x7F800000, 0x7F7FFFFF, 0x00000001
ONE64, TWO64, THREE64 = 0x3FF0000000000000, 0x4000000000000000, 0x4008000000000000

ROWS = {
    "v_div_scale_f32": [
        ((THREE, THREE, ONE), (THREE, 0)),
        ((ONE, THREE, ONE), (ONE, 0)),
        ((ONE, 0, ONE), (NAN, 0)),
        ((0, ONE, 0), (NAN, 0)),
        ((DENORMAL, DENORMAL, ONE), (0x15000000, 1)),
        ((ONE, DENORMAL, ONE), (ONE, 1)),
        ((0x00400000, 0x00400000, 0x01000000), (0x20000000, 0)),
        ((MAX, MAX, 0x41000000), (0x5F7FFFFF, 0)),
        ((MAX, MAX, 0x40000000), (0x5F7FFFFF, 1)),
        ((0x40000000, MAX, 0x40000000), (0x40000000, 1)),
        ((MAX, MAX, 0x7F000000), (0x5F7FFFFF, 0)),
        ((0x01000000, 0x40000000, 0x01000000), (0x21000000, 0)),
        ((0x01000000, 0x47000000, 0x01000000), (0x21000000, 1)),
        ((0x47000000, 0x47000000, 0x01000000), (0x47000000, 1)),
    ],
    "v_div_scale_f64": [
        ((THREE64, THREE64, ONE64), (THREE64, 0)),
        ((ONE64, 0, ONE64), (0xFFF8000000000000, 0)),
        ((0x0010000000000000, 0x0010000000000000, 0x3FF0000000000000), (0x0810000000000000, 1)),
        ((1, 1, 0x0010000000000000), (0x04D0000000000000, 0)),
    ],
    "v_div_fmas_f32": [
        ((ONE, ONE, ONE, 0), (TWO,)),
        ((ONE, ONE, ONE, 1), (0x20000000,)),
        ((ONE, ONE, TWO, 1), (0x60400000,)),
        # 2**-86 + 2**-109 scaled by 2**-64: 2**-150 (1 + 2**-23) rounds once, up to a denormal.
        ((0x14800001, ONE, 0x00000000, 1), (0x00000001,)),
        ((0x14800000, ONE, 0x00000000, 1), (0x00000000,)),
    ],
    "v_div_fmas_f64": [
        ((ONE64, ONE64, ONE64, 0), (TWO64,)),
        ((ONE64, ONE64, ONE64, 1), (0x3800000000000000,)),
        ((ONE64, ONE64, TWO64, 1), (0x4808000000000000,)),
    ],
    "v_div_fixup_f32": [
        ((ONE, TWO, TWO), (ONE,)),
        ((ONE, 0xC0000000, TWO), (0xBF800000,)),
        ((ONE, 0, 0), (NAN,)),
        ((ONE, INF, 0xFF800000), (NAN,)),
        ((ONE, 0x80000000, ONE), (0xFF800000,)),
        ((ONE, ONE, 0xFF800000), (0xFF800000,)),
        ((ONE, INF, 0xBF800000), (0x80000000,)),
        ((ONE, THREE, 0x80000000), (0x80000000,)),
        ((ONE, 0x7FC00003, 0x7F800001), (0x7FC00001,)),
        ((ONE, 0x7F800003, ONE), (0x7FC00003,)),
        ((ONE, MAX, 0x80000001), (0x80000000,)),
        ((NAN, TWO, TWO), (INF,)),
        ((NAN, TWO, 0xC0000000), (0xFF800000,)),
    ],
    "v_div_fixup_f64": [
        ((ONE64, 0x8000000000000000, ONE64), (0xFFF0000000000000,)),
        ((ONE64, 0, 0), (0xFFF8000000000000,)),
        ((ONE64, 0x7FEFFFFFFFFFFFFF, 1), (0,)),
    ],
    "v_div_fixup_f16": [
        ((0x3C00, 0x8000, 0x3C00), (0xFC00,)),
        ((0x3C00, 0, 0), (0xFE00,)),
        ((0x3C00, 0xC000, 0x4000), (0xBC00,)),
    ],
    "v_div_fixup_legacy_f16": [((0x3C00, 0x7C00, 0xBC00), (0x8000,))],
}


def test_rows(check_rows):
    check_rows(OPERATIONS, ROWS)


def divide(numerator: np.ndarray, denominator: np.ndarray, kind: str) -> np.ndarray:
    """The sequence that LLVM emits for a correctly rounded division (AMDGPU, LowerFDIV32/64)."""
    fma = {"f32": fma_f32, "f64": fma_f64}[kind]
    one = np.ones_like(numerator)
    scale = OPERATIONS[f"v_div_scale_{kind}"].compute
    d, _ = scale(denominator, denominator, numerator)
    n, undo = scale(numerator, denominator, numerator)
    r = TRANSCENDENTAL[f"v_rcp_{kind}"].compute(d)
    for _ in range(1 if kind == "f32" else 2):
        r = fma(fma(-d, r, one), r, r)
    q = np.asarray(n * r)
    if kind == "f32":
        q = fma(fma(-d, q, n), r, q)
    rest = fma(-d, q, n)
    last = OPERATIONS[f"v_div_fmas_{kind}"].compute(rest, r, q, undo)
    return OPERATIONS[f"v_div_fixup_{kind}"].compute(last, denominator, numerator)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_the_steps_make_a_correctly_rounded_division(kind):
    size = int(kind[1:]) // 8
    anything = st.integers(0, (1 << (8 * size)) - 1)
    shift, top = (23, 0xFF) if kind == "f32" else (52, 0x7FF)
    edges = st.sampled_from([0, 1, 2, top // 2, top // 2 + 1, top - 2, top - 1])
    bits = st.one_of(
        anything, st.builds(lambda e, m: e << shift | m % (1 << shift), edges, anything)
    )

    @settings(max_examples=60, deadline=None, database=None)
    @given(st.lists(st.tuples(bits, bits), min_size=8, max_size=8))
    def check(pairs):
        n, d = (np.array(c, f"u{size}").view(f"f{size}") for c in zip(*pairs, strict=True))
        with np.errstate(all="ignore"):
            expected, made = n / d, divide(n, d, kind)
        np.testing.assert_array_equal(made, expected)

    check()
