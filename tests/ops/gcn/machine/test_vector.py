"""Vector instructions in their encodings: which bits are read, and which are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.machine.fault import UnsupportedError

SOME = 0x00FF00FF0F0F3355

# Every table: instructions | registers before, in hexadecimal | after, in all active lanes.
ENCODINGS = """
v_add_f32_e32 v0, v1, v2 | v1=3f800000 v2=40000000 | v0=40400000
v_add_f32_e32 v0, v0, v0 | v0=3f800000 exec=00ff00ff0f0f3355 | v0=40000000
v_add_f32_e64 v0, v1, v2 | v1=3f800000 v2=40000000 exec=0 | v0=0
v_add_u32_e32 v0, s3, v2 | s3=ffffffff v2=2 | v0=1
v_sub_u32_e64 v255, v1, v2 | v1=1 v2=3 | v255=fffffffe
v_add_f64 v[0:1], v[2:3], v[4:5] | v2:3=3ff0000000000000 v4:5=4000000000000000 | v0:1=4008000000000000
v_mov_b32_e32 v0, v1 | v1=7fa00001 | v0=7fa00001
v_mov_b64_e32 v[2:3], v[4:5] | v4:5=0123456789abcdef exec=5 | v2:3=0123456789abcdef
v_swap_b32 v0, v1 | v0=11 v1=22 exec=8000000000000001 | v0=22 v1=11
v_cvt_f64_f32_e32 v[0:1], v2 | v2=3f800000 | v0:1=3ff0000000000000
v_lshlrev_b64 v[0:1], 33, v[0:1] | v0:1=0000000080000003 | v0:1=0000000600000000
v_fmac_f32_e32 v0, v1, v2 | v0=3f800000 v1=40000000 v2=40400000 | v0=40e00000
v_fmac_f32_e64 v0, -v1, |v2| | v0=3f800000 v1=40000000 v2=c0400000 | v0=c0a00000
v_fmac_f64_e32 v[0:1], v[2:3], v[4:5] | v0:1=3ff0000000000000 v2:3=4000000000000000 v4:5=4000000000000000 | v0:1=4014000000000000
v_dot2c_f32_f16_e32 v0, v1, v2 | v0=3f800000 v1=3c003c00 v2=40004200 | v0=40c00000
v_dot2c_i32_i16_e32 v0, v1, v2 | v0=5 v1=00020003 v2=ffff0001 | v0=6
v_dot4c_i32_i8_e32 v0, v1, v2 | v0=5 v1=01020304 v2=01010101 | v0=f
v_fmaak_f32 v0, v1, v2, 0x40400000 | v1=40000000 v2=40000000 | v0=40e00000
v_fmamk_f32 v0, v1, 0x40400000, v2 | v1=40000000 v2=3f800000 | v0=40e00000
gfx90a: v_madmk_f32 v0, v1, 0x40400000, v2 | v1=40000000 v2=3f800000 | v0=40e00000
gfx90a: v_madak_f32 v0, v1, v2, 0x40400000 | v1=40000000 v2=40000000 | v0=40e00000
gfx90a: v_mac_f32_e32 v0, v1, v2 | v0=3f800000 v1=40000000 v2=40400000 | v0=40e00000
gfx90a: v_mad_f32 v0, -v1, |v2|, v3 | v1=40000000 v2=c0400000 v3=3f800000 | v0=c0a00000
gfx90a: v_mad_legacy_f32 v0, v1, v2, v3 | v1=7f800000 v2=0 v3=3f800000 | v0=3f800000
v_cvt_pkaccum_u8_f32 v0, v1, 2 | v0=44332211 v1=41200000 | v0=440a2211
v_accvgpr_write_b32 a5, v1 | v1=dead exec=f0 | a5=dead
v_accvgpr_write_b32 a5, 1.0 | exec=1 | a5=3f800000
v_accvgpr_read_b32 v1, a5 | a5=beef exec=ff | v1=beef
v_accvgpr_mov_b32 a1, a2 | a2=7 | a1=7
v_mqsad_u32_u8 v[0:3], v[4:5], v6, v[8:11] | v4:5=0706050403020100 v6=00000001 v8=10 v9=20 v10=30 v11=40 | v0=11 v1=20 v2=31 v3=42
v_qsad_pk_u16_u8 v[0:1], v[4:5], v6, v[8:9] | v4:5=0706050403020100 v6=03020100 v8:9=0004000300020001 | v0:1=0010000b00060001
v_perm_b32 v0, v1, v2, v3 | v1=88776655 v2=44332211 v3=0c0d0400 | v0=00ff5511
gfx950: v_bitop3_b32 v0, v1, v2, v3 bitop3:0x6c | v1=f0 v2=cc v3=aa | v0=6c
gfx950: v_bitop3_b32 v0, v1, v2, v3 | v1=f0 v2=cc v3=aa | v0=0
gfx950: v_bitop3_b16 v0, v1, v2, v3 bitop3:0x80 | v1=fff0 v2=ffcc v3=ffaa | v0=ff80
v_nop | v1=1 | v1=1
"""  # noqa: E501

MODIFIERS = """
v_add_f32_e64 v0, -v1, |v2| | v1=3f800000 v2=c0400000 | v0=40000000
v_mul_f32_e64 v0, -|v1|, s2 | v1=c0000000 s2=40400000 | v0=c0c00000
v_add_f16_e64 v0, -v1, |v2| | v1=ffff3c00 v2=0000c200 | v0=00004000
v_add_f64 v[0:1], -v[2:3], |v[4:5]| | v2:3=3ff0000000000000 v4:5=c008000000000000 | v0:1=4000000000000000
v_cndmask_b32_e64 v0, -v1, |v2|, s[4:5] | v1=1 v2=80000002 s4:5=0 | v0=80000001
v_cndmask_b32_e64 v0, -v1, |v2|, s[4:5] | v1=1 v2=80000002 s4:5=ffffffffffffffff | v0=2
v_cmp_lt_f32_e64 s[4:5], -v1, |v2| | v1=3f800000 v2=bf800000 exec=ff | s4:5=ff
v_add_f32_e64 v0, v1, v2 clamp | v1=3f800000 v2=40000000 | v0=3f800000
v_add_f32_e64 v0, v1, v2 clamp | v1=bf800000 v2=3f000000 | v0=0
v_add_f32_e64 v0, v1, v2 clamp | v1=7fc00000 v2=3f000000 | v0=0
v_add_f16_e64 v0, v1, v2 clamp | v1=4400 v2=3800 | v0=3c00
v_add_f64 v[0:1], v[2:3], v[4:5] clamp | v2:3=3ff0000000000000 v4:5=4000000000000000 | v0:1=3ff0000000000000
v_add_u32_e64 v0, v1, v2 clamp | v1=ffffffff v2=2 | v0=ffffffff
v_sub_u32_e64 v0, v1, v2 clamp | v1=1 v2=2 | v0=0
v_add_i32 v0, v1, v2 clamp | v1=7fffffff v2=2 | v0=7fffffff
v_sub_i32 v0, v1, v2 clamp | v1=80000000 v2=2 | v0=80000000
v_add_u16_e64 v0, v1, v2 clamp | v1=ffff v2=2 | v0=ffff
v_add_co_u32_e64 v0, s[4:5], v1, v2 clamp | v1=ffffffff v2=2 exec=3 | v0=ffffffff s4:5=3
v_fma_f32 v0, -v1, v2, |v3| | v1=40000000 v2=40400000 v3=bf800000 | v0=c0a00000
v_med3_f32 v0, -v1, v2, 0 | v1=3f800000 v2=40000000 | v0=0
"""  # noqa: E501

CONSTANTS = """
v_add_f32_e32 v0, 1.0, v1 | v1=0 | v0=3f800000
v_add_f32_e32 v0, -4.0, v1 | v1=0 | v0=c0800000
v_add_f32_e32 v0, 0.15915494, v1 | v1=0 | v0=3e22f983
v_mov_b32_e32 v0, 0.15915494 | v1=0 | v0=3e22f983
v_add_f32_e32 v0, 0x42280000, v1 | v1=0 | v0=42280000
v_add_f32_e64 v0, -1, v1 | v1=0 | v0=ffffffff
v_add_f16_e32 v0, 1.0, v1 | v1=0 | v0=3c00
v_add_f16_e32 v0, 2, v1 | v1=0 | v0=2
v_add_f16_e32 v0, 0x3555, v1 | v1=0 | v0=3555
v_add_f16_e32 v0, 0.15915494, v1 | v1=0 | v0=3118
v_add_u16_e32 v0, -1, v1 | v1=1 | v0=0
v_add_u32_e32 v0, -16, v1 | v1=0 | v0=fffffff0
v_add_u32_e32 v0, 1.0, v1 | v1=0 | v0=3f800000
v_add_f64 v[0:1], v[2:3], 1.0 | v2:3=0 | v0:1=3ff0000000000000
v_add_f64 v[0:1], v[2:3], -0.5 | v2:3=0 | v0:1=bfe0000000000000
v_add_f64 v[0:1], v[2:3], 0.15915494309189532 | v2:3=0 | v0:1=3fc45f306dc9c882
v_add_f64 v[0:1], v[2:3], 3 | v2:3=0 | v0:1=3
v_max_f64 v[0:1], v[2:3], -1 | v2:3=0 | v0:1=0
v_rcp_f64_e32 v[0:1], 0x40100000 | v2=0 | v0:1=3fd0000000000000
v_floor_f64_e32 v[0:1], 1.1 | v2=0 | v0:1=3ff0000000000000
v_cvt_f32_f64_e32 v0, 0x3ff80000 | v2=0 | v0=3fc00000
v_trunc_f64_e32 v[0:1], 0x40590000 | v2=0 | v0:1=4059000000000000
v_mov_b64_e32 v[0:1], -1 | v2=0 | v0:1=ffffffffffffffff
v_mov_b64_e32 v[0:1], 0xfffffff0 | v2=0 | v0:1=00000000fffffff0
v_mov_b64_e32 v[0:1], 1.0 | v2=0 | v0:1=3ff0000000000000
v_lshlrev_b64 v[0:1], 1, -2 | v2=0 | v0:1=fffffffffffffffc
v_cmp_gt_i64_e32 vcc, 0, v[2:3] | v2:3=ffffffffffffffff | vcc=ffffffffffffffff
v_cmp_eq_i64_e32 vcc, 0x80000000, v[2:3] | v2:3=ffffffff80000000 | vcc=ffffffffffffffff
v_cmp_eq_u64_e32 vcc, 0x80000000, v[2:3] | v2:3=80000000 | vcc=ffffffffffffffff
v_mad_u64_u32 v[0:1], s[4:5], v2, v3, 64 | v2=ffffffff v3=ffffffff exec=1 | v0:1=fffffffe00000041 s4:5=0
v_mov_b32_e32 v0, 0xffffffff | v1=0 | v0=ffffffff
"""  # noqa: E501

SCALARS = """
v_mov_b32_e32 v0, vcc_hi | vcc=1234567800000000 | v0=12345678
v_mov_b32_e32 v0, exec_lo | exec=00000000000000f1 | v0=f1
v_mov_b32_e32 v0, m0 | m0=77 | v0=77
v_mov_b32_e32 v0, flat_scratch_lo | flat_scratch=0000000100000002 | v0=2
v_mov_b32_e32 v0, src_scc | scc=1 | v0=1
v_mov_b32_e32 v0, src_vccz | vcc=0 | v0=1
v_mov_b32_e32 v0, src_vccz | vcc=100000000 | v0=0
v_mov_b32_e32 v0, src_execz | exec=1 | v0=0
v_add_f64 v[0:1], s[2:3], v[4:5] | s2:3=3ff0000000000000 v4:5=3ff0000000000000 | v0:1=4000000000000000
v_lshl_add_u64 v[0:1], s[2:3], 2, v[4:5] | s2:3=40000000 v4:5=1 | v0:1=100000001
v_lshl_add_u64 v[0:1], v[4:5], 0, vcc | v4:5=1 vcc=f00000000 | v0:1=f00000001
v_mov_b64_e32 v[0:1], exec | exec=ff | v0:1=ff
v_mov_b32_e32 v0, src_shared_base | v1=0 | v0=0
v_mov_b64_e32 v[0:1], src_shared_base | v1=0 | v0:1=0001000000000000
v_mov_b64_e32 v[0:1], src_private_limit | v1=0 | v0:1=00020000ffffffff
v_bfi_b32 v0, s1, v2, v3 | s1=ff00 v2=1234 v3=5678 | v0=1278
v_cndmask_b32_e32 v0, 1, v1, vcc | v1=2 vcc=ffffffffffffffff exec=f | v0=2
v_cndmask_b32_e64 v0, 1, 2, exec | exec=f | v0=2
"""  # noqa: E501

# GFX9 clears the upper half of the destination of most 16-bit results and keeps that of a few.
HALVES = """
v_add_f16_e32 v0, v1, v2 | v0=deadbeef v1=77773c00 v2=88883c00 | v0=00004000
v_add_u16_e32 v0, v1, v2 | v0=deadbeef v1=0000ffff v2=2 | v0=1
v_lshrrev_b16_e32 v0, 8, v1 | v0=deadbeef v1=1234abcd | v0=ab
v_cvt_f16_f32_e32 v0, v1 | v0=deadbeef v1=3f800000 | v0=00003c00
v_rcp_f16_e32 v0, v1 | v0=deadbeef v1=4000 | v0=3800
v_mad_legacy_u16 v0, v1, v2, v3 | v0=deadbeef v1=3 v2=5 v3=1 | v0=10
v_mad_legacy_f16 v0, v1, v2, v3 | v0=deadbeef v1=4000 v2=3c00 v3=3c00 | v0=4200
v_fma_legacy_f16 v0, v1, v2, v3 | v0=deadbeef v1=4000 v2=3c00 v3=3c00 | v0=4200
v_mad_u16 v0, v1, v2, v3 | v0=deadbeef v1=3 v2=5 v3=1 | v0=dead0010
v_mad_i16 v0, v1, v2, v3 | v0=deadbeef v1=3 v2=ffff v3=1 | v0=deadfffe
v_fma_f16 v0, v1, v2, v3 | v0=deadbeef v1=4000 v2=3c00 v3=3c00 | v0=dead4200
v_mad_f16 v0, v1, v2, v3 | v0=deadbeef v1=4000 v2=3c00 v3=3c00 | v0=dead4200
v_div_fixup_f16 v0, v1, v2, v3 | v0=deadbeef v1=4000 v2=3c00 v3=bc00 | v0=deadc000
v_mac_f16_e32 v0, v1, v2 | v0=dead3c00 v1=4000 v2=3c00 | v0=dead4200
v_madak_f16 v0, v1, v2, 0x3c00 | v0=deadbeef v1=4000 v2=3c00 | v0=dead4200
v_fma_f16 v0, v1, v2, v3 op_sel:[0,0,0,1] | v0=deadbeef v1=4000 v2=3c00 v3=3c00 | v0=4200beef
v_fma_f16 v0, v1, v2, v3 op_sel:[1,1,1,0] | v0=deadbeef v1=40001111 v2=3c002222 v3=3c003333 | v0=dead4200
v_mad_u16 v0, v1, v2, v3 op_sel:[0,1,0,1] | v0=deadbeef v1=00ff0002 v2=0003eeee v3=dddd0004 | v0=000abeef
v_max3_u16 v0, v1, v2, v3 op_sel:[1,0,0,0] | v0=0 v1=00050001 v2=2 v3=3 | v0=5
v_fma_f16 v0, -v1, |v2|, v3 op_sel:[1,1,0,0] | v0=0 v1=40000000 v2=bc000000 v3=4200 | v0=3c00
v_add_i16 v0, v1, v2 op_sel:[0,1,1] | v0=deadbeef v1=1 v2=00020000 | v0=0003beef
v_mad_u32_u16 v0, v1, v2, v3 op_sel:[1,0,0,0] | v1=00030000 v2=00000004 v3=10000 | v0=1000c
v_pack_b32_f16 v0, v1, v2 op_sel:[1,0,0] | v1=11112222 v2=33334444 | v0=44441111
v_pack_b32_f16 v0, v1, -v2 | v1=3c00 v2=4000 | v0=c0003c00
v_cvt_pk_fp8_f32 v0, v1, v2 | v0=deadbeef v1=3f800000 v2=40000000 | v0=dead4840
v_cvt_pk_fp8_f32 v0, v1, v2 op_sel:[0,0,1] | v0=deadbeef v1=3f800000 v2=40000000 | v0=4840beef
gfx950: v_cvt_pk_fp8_f32 v0, v1, v2 | v0=deadbeef v1=3f800000 v2=40000000 | v0=dead4038
v_cvt_f32_fp8_e32 v0, v1 | v1=48404840 | v0=3f800000
v_cvt_pk_f32_fp8_e32 v[0:1], v2 | v2=dead4840 | v0=3f800000 v1=40000000
gfx950: v_ashr_pk_u8_i32 v0, v1, v2, 4 | v0=deadbeef v1=ff0 v2=fffffff0 | v0=000000ff
v_cvt_pk_i16_i32 v0, v1, v2 | v0=deadbeef v1=10000 v2=ffffffff | v0=ffff7fff
v_cvt_pkrtz_f16_f32 v0, v1, v2 | v1=3f800000 v2=c0000000 | v0=c0003c00
v_cvt_pk_u8_f32 v0, v1, 2, v3 | v1=41200000 v3=44332211 | v0=440a2211
"""  # noqa: E501

# Each third of v1, v2, v3: whole words are f32, halves f16.  1.0 is 3f800000 and 3c00.
MIXED = """
v_fma_mix_f32 v0, v1, v2, v3 | v1=40000000 v2=40400000 v3=3f800000 | v0=40e00000
v_fma_mix_f32 v0, v1, v2, v3 op_sel_hi:[1,0,0] | v1=42004000 v2=40400000 v3=3f800000 | v0=40e00000
v_fma_mix_f32 v0, v1, v2, v3 op_sel:[1,0,0] op_sel_hi:[1,0,0] | v1=42004000 v2=40400000 v3=3f800000 | v0=41200000
v_fma_mix_f32 v0, v1, v2, v3 op_sel:[0,1,0] op_sel_hi:[0,1,0] | v1=40000000 v2=42004000 v3=3f800000 | v0=40e00000
v_fma_mix_f32 v0, v1, v2, v3 op_sel:[0,0,1] op_sel_hi:[0,0,1] | v1=40000000 v2=40400000 v3=3c004000 | v0=40e00000
v_fma_mix_f32 v0, v1, v2, v3 op_sel:[0,1,0] op_sel_hi:[1,1,1] | v1=77774000 v2=42005555 v3=66663c00 | v0=40e00000
v_fma_mix_f32 v0, v1, v2, v3 op_sel:[1,1,1] | v1=40000000 v2=40400000 v3=3f800000 | v0=40e00000
v_fma_mix_f32 v0, -v1, |v2|, v3 op_sel_hi:[1,1,0] | v1=4000 v2=c200 v3=3f800000 | v0=c0a00000
v_fma_mix_f32 v0, -|v1|, s2, 1.0 op_sel_hi:[0,0,0] | v1=c0000000 s2=40400000 | v0=c0a00000
v_fma_mix_f32 v0, v1, v2, 1.0 op_sel_hi:[0,0,1] | v1=40000000 v2=40400000 | v0=40e00000
v_fma_mix_f32 v0, v1, v2, v3 clamp | v1=40000000 v2=40400000 v3=3f800000 | v0=3f800000
v_fma_mixlo_f16 v0, v1, v2, v3 | v0=deadbeef v1=40000000 v2=40400000 v3=3f800000 | v0=dead4700
v_fma_mixhi_f16 v0, v1, v2, v3 | v0=deadbeef v1=40000000 v2=40400000 v3=3f800000 | v0=4700beef
v_fma_mixhi_f16 v0, v0, v0, v0 op_sel:[1,0,1] op_sel_hi:[1,1,1] | v0=40004200 exec=c | v0=48004200
"""  # noqa: E501


def _rows(*tables: str) -> list[str]:
    return [row for table in tables for row in table.strip().splitlines()]


@pytest.mark.parametrize(
    "row", _rows(ENCODINGS, MODIFIERS, CONSTANTS, SCALARS, HALVES, MIXED), ids=str
)
def test_bits(row: str, check_row: Callable[[str], None]) -> None:
    check_row(row)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("v_cmp_lt_f32_e64 s[0:1], v1, v2 clamp", "clamp"),
        ("v_and_b32_e64 v0, v1, v2 clamp", "clamp"),
        ("v_add_f32_e64 v0, v1, v2 op_sel:[1,0,0]", "op_sel of a source of type f32"),
        ("v_mad_u32_u16 v0, v1, v2, v3 op_sel:[0,0,0,1]", "op_sel of a result of 32 bits"),
        ("v_add_f32_e64 v0, v1, v2 neg_lo:[1,0]", "modifier neg_lo"),
        ("v_add_f32_e32 v0, v1", "an operand too few"),
        ("v_mov_b32_e32 v0, v1, v2", "an operand too many"),
        ("v_mov_b32_e32 s0, v1", "destination s0"),
        ("v_cndmask_b32_e64 v0, v1, v2, 5", "5 as a mask of lanes"),
        ("v_add_f32_e64 v0, v1, v2 mul:2", "output modifier"),
        ("v_mov_b32_e32 v0, src_lds_direct", "src_lds_direct"),
        ("v_frobnicate_b32 v0, v1", ": test.s:1: "),
    ],
)
def test_refuses(line: str, why: str, execute: Callable[..., Any]) -> None:
    with pytest.raises(UnsupportedError, match=rf"not simulated.*{why}.*") as caught:
        execute(line)
    assert "\n" not in str(caught.value)
    assert line in str(caught.value)


@pytest.mark.parametrize(("modifier", "bits"), [("mul:2", 0x40C00000), ("mul:4", 0x41400000)])
@pytest.mark.parametrize("clamped", [False, True])
def test_output_modifier_without_denormals_and_ieee(
    modifier: str, bits: int, clamped: bool, execute: Callable[..., Any]
) -> None:
    descriptor = KernelDescriptor(ieee_mode=0, float_denorm_mode_32=0)
    line = f"v_add_f32_e64 v0, v1, v2 {modifier}" + (" clamp" if clamped else "")
    state = execute(line, {"v1": 0x3F800000, "v2": 0x40000000}, descriptor=descriptor)
    assert set(state["v0"][0]) == {0x3F800000 if clamped else bits}
    halved = execute(
        "v_mul_f32_e64 v0, v1, v2 div:2",
        {"v1": 0x3F800000, "v2": 0x40000000},
        descriptor=descriptor,
    )
    assert set(halved["v0"][0]) == {0x3F800000}


@pytest.mark.parametrize("change", [{"ieee_mode": 1}, {"float_denorm_mode_32": 2}])
def test_output_modifier_that_the_hardware_ignores(
    change: dict[str, int], execute: Callable[..., Any]
) -> None:
    descriptor = KernelDescriptor(**{"ieee_mode": 0, "float_denorm_mode_32": 0, **change})
    with pytest.raises(UnsupportedError, match="in IEEE mode, or with denormals"):
        execute("v_add_f32_e64 v0, v1, v2 div:2", descriptor=descriptor)


def test_lane_numbers_and_counts_below(execute: Callable[..., Any]) -> None:
    line = "v_mbcnt_lo_u32_b32 v0, -1, 0 ; v_mbcnt_hi_u32_b32 v0, -1, v0"
    assert list(execute(line)["v0"][0]) == list(range(64))
    line = "v_mbcnt_lo_u32_b32 v0, s2, 5 ; v_mbcnt_hi_u32_b32 v0, s3, v0"
    counts = execute(line, {"s2": 0x80000001, "s3": 0x3})["v0"][0]
    assert (counts[0], counts[1], counts[31], counts[32], counts[33], counts[63]) == (
        *(5, 6, 6, 7, 8, 9),
    )
    half = execute("v_mbcnt_lo_u32_b32 v0, -1, v1", {"v1": np.arange(64), "exec": SOME})["v0"][0]
    assert half[0] == 0
    assert half[40] == 0xBB000028  # lane 40 is inactive
    assert half[32] == 64
