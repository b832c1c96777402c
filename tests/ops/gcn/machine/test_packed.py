"""Packed instructions: which half each result reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError

# 1, 2, 3, 4 are 3c00, 4000, 4200, 4400 as f16 and 3f8, 400, 404, 408 at the top of an f32.
ROWS = """
v_pk_add_f16 v0, v1, v2 | v1=40003c00 v2=44004200 | v0=46004400
v_pk_add_f16 v0, v1, v2 op_sel:[1,0] | v1=40003c00 v2=44004200 | v0=46004500
v_pk_add_f16 v0, v1, v2 op_sel_hi:[0,1] | v1=40003c00 v2=44004200 | v0=45004400
v_pk_add_f16 v0, v1, v2 op_sel:[1,1] op_sel_hi:[0,0] | v1=40003c00 v2=44004200 | v0=44004600
v_pk_add_f16 v0, v1, v2 neg_lo:[1,0] | v1=40003c00 v2=44004200 | v0=46004000
v_pk_add_f16 v0, v1, v2 neg_hi:[0,1] | v1=40003c00 v2=44004200 exec=ff00 | v0=c0004400
v_pk_add_f16 v0, v1, v2 neg_lo:[1,1] neg_hi:[1,1] | v1=40003c00 v2=44004200 | v0=c600c400
v_pk_add_f16 v0, v1, v2 op_sel:[1,0] op_sel_hi:[0,1] neg_lo:[1,0] | v1=40003c00 v2=44004200 | v0=45003c00
v_pk_add_f16 v0, v1, 1.0 op_sel_hi:[1,0] | v1=40003c00 | v0=42004000
v_pk_add_f16 v0, v1, 1.0 | v1=40003c00 | v0=40004000
v_pk_add_f16 v0, v1, 1.0 op_sel:[0,1] op_sel_hi:[1,0] | v1=40003c00 | v0=42003c00
v_pk_mul_f16 v0, s1, v2 | s1=40003c00 v2=44004200 exec=5 | v0=48004200
v_pk_fma_f16 v0, v1, v2, v3 op_sel:[0,0,1] op_sel_hi:[1,1,0] | v1=40004000 v2=40004000 v3=3c004200 | v0=47004500
v_pk_fmac_f16 v0, v1, v2 | v0=3c003c00 v1=40003c00 v2=44004200 | v0=48804400
v_pk_add_u16 v0, v1, 3 op_sel_hi:[1,0] | v1=00010001 | v0=00040004
v_pk_add_u16 v0, v1, 3 | v1=00010001 | v0=00010004
v_pk_add_u16 v0, v1, -1 | v1=00010001 | v0=00000000
v_pk_add_u16 v0, v1, v2 clamp | v1=ffff0001 v2=00020001 | v0=ffff0002
v_pk_sub_i16 v0, v1, v2 clamp | v1=80007fff v2=0001ffff | v0=80007fff
v_pk_mad_u16 v0, v1, v2, v3 op_sel:[1,0,0] op_sel_hi:[0,1,1] | v1=00020003 v2=00050007 v3=00010001 | v0=0010000f
v_pk_lshlrev_b16 v0, 4, v1 op_sel_hi:[0,1] | v1=00010002 | v0=00100020
v_dot2_f32_f16 v0, v1, v2, v3 | v1=3c003c00 v2=42004000 v3=3f800000 | v0=40c00000
v_dot2_f32_f16 v0, v1, v2, v3 neg_lo:[1,0,0] neg_hi:[1,0,0] | v1=3c003c00 v2=42004000 v3=3f800000 | v0=c0800000
v_dot2_f32_f16 v0, v1, v2, 1.0 | v1=3c003c00 v2=42004000 | v0=40c00000
v_dot2_i32_i16 v0, v1, v2, v3 | v1=0002ffff v2=00030004 v3=5 | v0=7
v_dot4_i32_i8 v0, v1, v2, v3 | v1=ff010203 v2=04010101 v3=5 | v0=7
v_dot4_u32_u8 v0, v1, v2, -1 | v1=ff010203 v2=01000000 | v0=fe
v_dot4_i32_i8 v0, v1, v2, v3 clamp | v1=7f000000 v2=7f000000 v3=7fffffff | v0=7fffffff
v_dot8_u32_u4 v0, v1, v2, v3 | v1=12345678 v2=11111111 v3=1 | v0=25
v_pk_add_f32 v[0:1], v[2:3], v[4:5] | v2=3f800000 v3=40000000 v4=40400000 v5=40800000 | v0=40800000 v1=40c00000
v_pk_mul_f32 v[0:1], v[2:3], v[4:5] op_sel_hi:[0,1] | v2=40000000 v3=3f800000 v4=40400000 v5=40800000 exec=f | v0=40c00000 v1=41000000
v_pk_mul_f32 v[0:1], v[2:3], v[4:5] op_sel:[1,0] | v2=40000000 v3=3f800000 v4=40400000 v5=40800000 | v0=40400000 v1=40800000
v_pk_mul_f32 v[0:1], v[2:3], 4.0 op_sel_hi:[1,0] | v2=3f800000 v3=40000000 | v0=40800000 v1=41000000
v_pk_add_f32 v[0:1], v[2:3], s[4:5] | v2=3f800000 v3=40000000 s4:5=408000003f800000 | v0=40000000 v1=40c00000
v_pk_add_f32 v[0:1], v[2:3], v[4:5] neg_lo:[0,1] neg_hi:[0,1] | v2=3f800000 v3=40000000 v4=40400000 v5=40800000 | v0=c0000000 v1=c0000000
v_pk_fma_f32 v[0:1], v[2:3], s[4:5], v[6:7] op_sel_hi:[1,0,1] | v2=3f800000 v3=40000000 s4=40400000 s5=7fc00000 v6=3f800000 v7=3f800000 | v0=40800000 v1=40e00000
v_pk_fma_f32 v[0:1], v[0:1], v[0:1], v[0:1] op_sel:[1,0,0] op_sel_hi:[0,1,1] | v0=3f800000 v1=40000000 | v0=40400000 v1=40800000
v_pk_fma_f32 v[0:1], v[2:3], v[4:5], 1.0 op_sel_hi:[1,1,0] | v2=3f800000 v3=40000000 v4=40400000 v5=40800000 | v0=40800000 v1=41100000
v_pk_mov_b32 v[0:1], v[2:3], v[4:5] | v2=2 v3=3 v4=4 v5=5 | v0=2 v1=4
v_pk_mov_b32 v[0:1], v[2:3], v[4:5] op_sel:[0,1] | v2=2 v3=3 v4=4 v5=5 | v0=2 v1=5
v_pk_mov_b32 v[0:1], v[2:3], v[4:5] op_sel:[1,0] | v2=2 v3=3 v4=4 v5=5 exec=a | v0=3 v1=4
v_pk_mov_b32 v[0:1], v[2:3], v[4:5] op_sel:[1,1] | v2=2 v3=3 v4=4 v5=5 | v0=3 v1=5
v_pk_mov_b32 v[0:1], v[0:1], v[0:1] op_sel:[1,0] | v0=2 v1=3 | v0=3 v1=2
v_pk_mov_b32 v[0:1], s[2:3], s[2:3] op_sel:[0,1] | s2:3=100000002 | v0=2 v1=1
v_pk_mov_b32 v[0:1], v[2:3], 7 op_sel:[1,0] | v3=3 | v0=3 v1=7
"""  # noqa: E501


@pytest.mark.parametrize("row", ROWS.strip().splitlines(), ids=str)
def test_halves(row: str, check_row: Callable[[str], None]) -> None:
    check_row(row)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("v_dot2_f32_f16 v0, v1, v2, v3 neg_lo:[0,0,1]", "of the third source"),
        ("v_pk_add_f16 v0, -v1, v2", "modifier of a packed source"),
        ("v_pk_mul_lo_u16 v0, v1, v2 clamp", "clamp"),
        ("v_pk_add_f32 v[0:1], v2, v[4:5]", "packed source v2"),
        ("v_pk_add_f16 v0, v1, v2 row_shr:1", "DPP or SDWA of a packed instruction"),
    ],
)
def test_refuses(line: str, why: str, execute: Callable[..., Any]) -> None:
    with pytest.raises(UnsupportedError, match=why):
        execute(line)
