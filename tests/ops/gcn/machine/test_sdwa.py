"""SDWA: parts of sources and destinations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

ROWS = """
v_mov_b32_sdwa v0, v1 dst_sel:DWORD src0_sel:BYTE_0 | v1=807f8182 | v0=82
v_mov_b32_sdwa v0, v1 dst_sel:DWORD src0_sel:BYTE_1 | v1=807f8182 | v0=81
v_mov_b32_sdwa v0, v1 dst_sel:DWORD src0_sel:BYTE_2 | v1=807f8182 | v0=7f
v_mov_b32_sdwa v0, v1 dst_sel:DWORD src0_sel:BYTE_3 | v1=807f8182 | v0=80
v_mov_b32_sdwa v0, v1 dst_sel:DWORD src0_sel:WORD_0 | v1=807f8182 | v0=8182
v_mov_b32_sdwa v0, v1 dst_sel:DWORD src0_sel:WORD_1 | v1=807f8182 exec=aaaa | v0=807f
v_mov_b32_sdwa v0, v1 dst_sel:DWORD src0_sel:DWORD | v1=807f8182 exec=0 | v0=0
v_mov_b32_sdwa v0, sext(v1) dst_sel:DWORD src0_sel:BYTE_0 | v1=807f8182 | v0=ffffff82
v_mov_b32_sdwa v0, sext(v1) dst_sel:DWORD src0_sel:BYTE_2 | v1=807f8182 | v0=7f
v_mov_b32_sdwa v0, sext(v1) dst_sel:DWORD src0_sel:WORD_1 | v1=807f8182 | v0=ffff807f
v_mov_b32_sdwa v0, sext(v1) dst_sel:DWORD src0_sel:DWORD | v1=807f8182 | v0=807f8182
v_mov_b32_sdwa v0, v1 dst_sel:BYTE_0 dst_unused:UNUSED_PAD | v0=deadbeef v1=12345680 | v0=00000080
v_mov_b32_sdwa v0, v1 dst_sel:BYTE_1 dst_unused:UNUSED_PAD | v0=deadbeef v1=12345680 | v0=00008000
v_mov_b32_sdwa v0, v1 dst_sel:BYTE_3 dst_unused:UNUSED_PAD | v0=deadbeef v1=12345680 | v0=80000000
v_mov_b32_sdwa v0, v1 dst_sel:WORD_0 dst_unused:UNUSED_PAD | v0=deadbeef v1=12348680 | v0=00008680
v_mov_b32_sdwa v0, v1 dst_sel:WORD_1 dst_unused:UNUSED_PAD | v0=deadbeef v1=12348680 | v0=86800000
v_mov_b32_sdwa v0, v1 dst_sel:BYTE_0 dst_unused:UNUSED_SEXT | v0=deadbeef v1=12345680 | v0=ffffff80
v_mov_b32_sdwa v0, v1 dst_sel:BYTE_1 dst_unused:UNUSED_SEXT | v0=deadbeef v1=12345680 | v0=ffff8000
v_mov_b32_sdwa v0, v1 dst_sel:BYTE_2 dst_unused:UNUSED_SEXT | v0=deadbeef v1=1234567f | v0=007f0000
v_mov_b32_sdwa v0, v1 dst_sel:WORD_0 dst_unused:UNUSED_SEXT | v0=deadbeef v1=12348680 | v0=ffff8680
v_mov_b32_sdwa v0, v1 dst_sel:BYTE_0 dst_unused:UNUSED_PRESERVE | v0=deadbeef v1=12345680 | v0=deadbe80
v_mov_b32_sdwa v0, v1 dst_sel:BYTE_2 dst_unused:UNUSED_PRESERVE | v0=deadbeef v1=12345680 | v0=de80beef
v_mov_b32_sdwa v0, v1 dst_sel:WORD_1 dst_unused:UNUSED_PRESERVE | v0=deadbeef v1=12345680 | v0=5680beef
v_mov_b32_sdwa v0, v1 dst_sel:DWORD dst_unused:UNUSED_PRESERVE | v0=deadbeef v1=12345680 | v0=12345680
v_mov_b32_sdwa v0, v1 dst_sel:BYTE_1 | v0=deadbeef v1=12345680 exec=1 | v0=dead80ef
v_mov_b32_sdwa v0, v0 dst_sel:BYTE_3 dst_unused:UNUSED_PRESERVE src0_sel:BYTE_0 | v0=dead00ef | v0=efad00ef
v_add_u32_sdwa v0, v1, v2 dst_sel:DWORD src0_sel:BYTE_3 src1_sel:WORD_0 | v1=ff000000 v2=ffff0001 | v0=100
v_add_u32_sdwa v0, sext(v1), sext(v2) dst_sel:DWORD src0_sel:BYTE_3 src1_sel:WORD_0 | v1=ff000000 v2=0000fffe | v0=fffffffd
v_add_u32_sdwa v0, s1, v2 dst_sel:WORD_0 src0_sel:WORD_1 src1_sel:DWORD | v0=deadbeef s1=00050000 v2=3 | v0=dead0008
v_lshlrev_b32_sdwa v0, v1, v2 dst_sel:DWORD src0_sel:DWORD src1_sel:BYTE_1 | v1=4 v2=1200 | v0=120
v_or_b32_sdwa v0, v1, v2 dst_sel:DWORD src0_sel:WORD_0 src1_sel:DWORD | v1=12345678 v2=f0000000 | v0=f0005678
v_add_f16_sdwa v0, v1, v2 dst_sel:WORD_1 dst_unused:UNUSED_PRESERVE src0_sel:WORD_1 src1_sel:DWORD | v0=deadbeef v1=3c000000 v2=77774000 | v0=4200beef
v_add_f16_sdwa v0, v1, v2 dst_sel:DWORD src0_sel:DWORD src1_sel:WORD_1 | v0=deadbeef v1=88883c00 v2=40000000 | v0=00004200
v_add_f16_sdwa v0, -v1, |v2| dst_sel:DWORD src0_sel:WORD_1 src1_sel:WORD_1 | v1=3c000000 v2=c2000000 | v0=4000
v_add_f16_sdwa v0, v1, v2 clamp dst_sel:DWORD src0_sel:WORD_0 src1_sel:WORD_0 | v1=3c00 v2=3c00 | v0=3c00
v_mul_f32_sdwa v0, -|v1|, v2 dst_sel:DWORD src0_sel:DWORD src1_sel:DWORD | v1=c0000000 v2=40400000 | v0=c0c00000
v_min_i16_sdwa v0, sext(v1), v2 dst_sel:DWORD src0_sel:BYTE_1 src1_sel:WORD_1 | v1=8000 v2=00050000 | v0=0000ff80
v_cvt_f32_f16_sdwa v0, v1 dst_sel:DWORD src0_sel:WORD_1 | v1=40001234 | v0=40000000
v_cvt_f32_i32_sdwa v0, sext(v1) dst_sel:DWORD src0_sel:BYTE_2 | v1=00ff0000 | v0=bf800000
v_cvt_f32_ubyte0_sdwa v0, v1 dst_sel:DWORD src0_sel:BYTE_2 | v1=00050000 | v0=40a00000
v_cvt_f32_fp8_sdwa v0, v1 src0_sel:BYTE_0 | v1=00004840 | v0=3f800000
v_cvt_f32_fp8_sdwa v0, v1 src0_sel:BYTE_1 | v1=00004840 | v0=40000000
v_cvt_f32_fp8_sdwa v0, v1 src0_sel:BYTE_2 | v1=c0480000 | v0=40000000
v_cvt_f32_fp8_sdwa v0, v1 src0_sel:BYTE_3 | v1=c0480000 | v0=bf800000
gfx950: v_cvt_f32_fp8_sdwa v0, v1 src0_sel:BYTE_2 | v1=00380000 | v0=3f800000
v_cvt_pk_f32_fp8_sdwa v[0:1], v2 src0_sel:WORD_1 | v2=48c00000 | v0=bf800000 v1=40000000
v_cndmask_b32_sdwa v0, v1, v2, vcc dst_sel:DWORD src0_sel:BYTE_1 src1_sel:WORD_1 | v1=1200 v2=56780000 vcc=0 | v0=12
v_cndmask_b32_sdwa v0, v1, v2, vcc dst_sel:DWORD src0_sel:BYTE_1 src1_sel:WORD_1 | v1=1200 v2=56780000 vcc=ffffffffffffffff | v0=5678
v_addc_co_u32_sdwa v0, vcc, v1, v2, vcc dst_sel:DWORD src0_sel:BYTE_1 src1_sel:BYTE_0 | v1=0500 v2=1 vcc=ff exec=f | v0=7 vcc=0
v_cmp_eq_u32_sdwa vcc, v1, v2 src0_sel:BYTE_1 src1_sel:WORD_1 | v1=1200 v2=00120000 exec=f0 | vcc=f0
v_cmp_lt_i32_sdwa s[4:5], sext(v1), v2 src0_sel:BYTE_0 src1_sel:DWORD | v1=ff v2=0 exec=3 | s4:5=3
v_cmp_lt_f16_sdwa vcc, -v1, v2 src0_sel:WORD_1 src1_sel:DWORD | v1=3c000000 v2=0 exec=c | vcc=c
v_cmpx_gt_u16_sdwa vcc, v1, v2 src0_sel:WORD_1 src1_sel:WORD_0 | v1=00020000 v2=1 exec=7 | vcc=7 exec=7
"""  # noqa: E501


@pytest.mark.parametrize("row", ROWS.strip().splitlines(), ids=str)
def test_parts(row: str, check_row: Callable[[str], None]) -> None:
    check_row(row)
