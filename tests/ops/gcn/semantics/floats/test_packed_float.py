from __future__ import annotations

import numpy as np
import pytest

from rocmoe.ops.gcn.semantics.packed_float import OPERATIONS, select_halves

# Low half first: 1 and 2 in f16 are 0x40003c00.
FMA_F16 = [((0x40003C00, 0x44003C00, 0x3C00BC00), (0x48800000,))]
ROWS = {
    "v_pk_add_f16": [
        ((0x40003C00, 0x44003C00), (0x46004000,)),
        ((0x7C007BFF, 0xFC007BFF), (0xFE007C00,)),
    ],
    "v_pk_mul_f16": [((0x40003C00, 0x4400BC00), (0x4800BC00,))],
    "v_pk_min_f16": [((0x40003C00, 0x44007E00), (0x40003C00,)), ((0x7D018000, 0), (0x7F018000,))],
    "v_pk_max_f16": [((0x40003C00, 0x44007E00), (0x44003C00,))],
    "v_pk_fma_f16": FMA_F16,
    "v_pk_fmac_f16": FMA_F16,
    "v_pk_minimum3_f16": [((0x40003C00, 0x44007E00, 0x3C004000), (0x3C007E00,))],
    "v_pk_maximum3_f16": [((0x40003C00, 0x44000000, 0x3C004000), (0x44004000,))],
    "v_pk_add_f32": [((0x400000003F800000, 0x7F8000003F800000), (0x7F80000040000000,))],
    "v_pack_b32_f16": [((0x7C01, 0x8000), (0x80007C01,))],
    "v_pk_mul_f32": [((0x400000003F800000, 0x40000000BF800000), (0x40800000BF800000,))],
    "v_pk_fma_f32": [
        ((0x3F8008003F800800, 0x3F8008003F800800, 0x8000000100000001), (0x3F8010003F801001,)),
    ],
}


def test_rows(check_rows):
    check_rows(OPERATIONS, ROWS)
    assert OPERATIONS["v_pk_maximum3_f16"].archs == ("gfx950",)


@pytest.mark.parametrize(
    ("modifiers", "expected"),
    [
        ({}, 0x22221111),
        ({"op_sel": 1}, 0x22222222),
        ({"op_sel_hi": 0}, 0x11111111),
        ({"op_sel": 1, "op_sel_hi": 0}, 0x11112222),
        ({"neg_lo": 1}, 0x22229111),
        ({"neg_hi": 1}, 0xA2221111),
        ({"op_sel": 1, "neg_lo": 1, "neg_hi": 1}, 0xA222A222),
    ],
)
def test_halves_are_selected_then_negated(modifiers, expected):
    assert select_halves(np.array([0x22221111], np.uint32), **modifiers)[0] == expected


def test_halves_of_register_pairs():
    pair = np.array([0x2222222211111111], np.uint64)
    assert select_halves(pair, op_sel=1, op_sel_hi=0, neg_hi=1)[0] == 0x9111111122222222
