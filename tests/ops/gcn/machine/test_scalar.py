"""Scalar instructions: sources, destinations, SCC, EXEC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError

ROWS = """
s_add_u32 s0, s1, s2 | s1=ffffffff s2=1 scc=0 | s0=0 scc=1
s_add_u32 s0, s1, 2 | s1=1 scc=1 | s0=3 scc=0
s_addc_u32 s0, s1, s2 | s1=ffffffff s2=0 scc=1 | s0=0 scc=1
s_addc_u32 s0, s1, s2 | s1=1 s2=1 scc=0 | s0=2 scc=0
s_sub_u32 s0, s1, s2 | s1=1 s2=2 scc=0 | s0=ffffffff scc=1
s_subb_u32 s0, s1, s2 | s1=5 s2=2 scc=1 | s0=2 scc=0
s_add_i32 s0, s1, s2 | s1=7fffffff s2=1 scc=0 | s0=80000000 scc=1
s_add_i32 s0, s1, s2 | s1=ffffffff s2=1 scc=1 | s0=0 scc=0
s_sub_i32 s0, s1, s2 | s1=80000000 s2=1 scc=0 | s0=7fffffff scc=1
s_min_i32 s0, s1, s2 | s1=ffffffff s2=1 scc=0 | s0=ffffffff scc=1
s_max_u32 s0, s1, s2 | s1=1 s2=2 scc=1 | s0=2 scc=0
s_absdiff_i32 s0, s1, s2 | s1=3 s2=3 scc=1 | s0=0 scc=0
s_mul_i32 s0, s1, s2 | s1=ffffffff s2=3 scc=1 | s0=fffffffd
s_mul_hi_u32 s0, s1, s2 | s1=ffffffff s2=3 scc=0 | s0=2
s_mul_hi_i32 s0, s1, s2 | s1=ffffffff s2=3 scc=0 | s0=ffffffff
s_lshl2_add_u32 s0, s1, s2 | s1=40000000 s2=5 scc=0 | s0=5 scc=1
s_and_b32 s0, s1, s2 | s1=f0 s2=f scc=1 | s0=0 scc=0
s_or_b64 s[0:1], s[2:3], s[4:5] | s2:3=f00000000 s4:5=1 scc=0 | s0:1=f00000001 scc=1
s_xor_b64 s[0:1], s[2:3], -1 | s2:3=ffffffffffffffff scc=1 | s0:1=0 scc=0
s_andn2_b64 s[0:1], s[2:3], exec | s2:3=ffffffffffffffff exec=ff scc=0 | s0:1=ffffffffffffff00 scc=1
s_nor_b32 s0, s1, 0 | s1=ffffffff scc=1 | s0=0 scc=0
s_cselect_b32 s0, s1, 7 | s1=5 scc=1 | s0=5
s_cselect_b32 s0, s1, 7 | s1=5 scc=0 | s0=7
s_cselect_b64 s[0:1], -1, 0 | scc=1 | s0:1=ffffffffffffffff
s_cselect_b64 s[0:1], s[2:3], 1.0 | s2:3=5 scc=0 | s0:1=3ff0000000000000
s_mov_b32 s0, s1 | s1=0 scc=1 | s0=0
s_mov_b32 s0, -1 | scc=0 | s0=ffffffff
s_mov_b32 s0, 1.0 | scc=0 | s0=3f800000
s_mov_b32 s0, src_scc | scc=1 | s0=1
s_mov_b32 s0, src_execz | exec=0 | s0=1
s_mov_b32 s0, vcc_hi | vcc=500000000 | s0=5
s_mov_b32 m0, 0x10000 | m0=0 | m0=10000
s_mov_b64 s[0:1], 0x80000000 | scc=0 | s0:1=80000000
s_mov_b64 s[0:1], 0xfffffff0 | scc=0 | s0:1=fffffff0
s_mov_b64 s[0:1], -5 | scc=0 | s0:1=fffffffffffffffb
s_mov_b64 vcc, s[2:3] | s2:3=123456789abcdef0 | vcc=123456789abcdef0
s_mov_b32 vcc_lo, 3 | vcc=ffffffffffffffff | vcc=ffffffff00000003
s_mov_b64 s[0:1], src_shared_base | scc=0 | s0:1=0001000000000000
s_mov_b32 exec_lo, 5 | exec=ffffffff00000000 | exec=ffffffff00000005
s_mov_b64 exec, 0 | exec=ff | exec=0
s_cmov_b32 s0, s1 | s0=1 s1=2 scc=1 | s0=2
s_cmov_b32 s0, s1 | s0=1 s1=2 scc=0 | s0=1
s_cmov_b64 s[0:1], 3 | s0:1=f00000000 scc=0 | s0:1=f00000000
s_cmovk_i32 s0, 0x8000 | s0=1 scc=1 | s0=ffff8000
s_cmovk_i32 s0, 0x8000 | s0=1 scc=0 | s0=1
s_movk_i32 s0, 0x8000 | scc=1 | s0=ffff8000
s_movk_i32 s0, -3 | scc=1 | s0=fffffffd
s_addk_i32 s0, 0xff38 | s0=100 scc=1 | s0=38 scc=0
s_addk_i32 s0, 1 | s0=7fffffff scc=0 | s0=80000000 scc=1
s_mulk_i32 s0, 0xff60 | s0=2 scc=1 | s0=fffffec0
s_cmpk_eq_i32 s0, 0xffff | s0=ffffffff scc=0 | scc=1
s_cmpk_eq_u32 s0, 0xffff | s0=ffffffff scc=1 | scc=0
s_cmpk_eq_u32 s0, 0xffff | s0=ffff scc=0 | scc=1
s_cmpk_lt_i32 s0, -1 | s0=fffffffe scc=0 | scc=1
s_cmpk_gt_u32 s0, 0x8000 | s0=8001 scc=0 | scc=1
s_cmp_lt_i32 s0, s1 | s0=ffffffff s1=0 scc=0 | scc=1
s_cmp_lt_u32 s0, s1 | s0=ffffffff s1=0 scc=1 | scc=0
s_cmp_lg_u64 s[0:1], 0 | s0:1=100000000 scc=0 | scc=1
s_cmp_eq_u64 s[0:1], s[2:3] | s0:1=100000000 s2:3=100000000 scc=0 | scc=1
s_bitcmp1_b32 s0, 31 | s0=80000000 scc=0 | scc=1
s_bitcmp0_b32 s0, s1 | s0=1 s1=20 scc=1 | scc=0
s_bitcmp1_b64 s[0:1], 33 | s0:1=200000000 scc=0 | scc=1
s_bitset1_b32 s0, 4 | s0=1 scc=1 | s0=11
s_bitset0_b32 s0, s1 | s0=ff s1=23 scc=1 | s0=f7
s_bitset1_b64 s[0:1], 40 | s0:1=1 scc=0 | s0:1=10000000001
s_bitset0_b64 s[0:1], 0 | s0:1=3 scc=0 | s0:1=2
s_lshl_b32 s0, s1, 33 | s1=3 scc=0 | s0=6 scc=1
s_lshl_b64 s[0:1], s[2:3], 33 | s2:3=3 scc=0 | s0:1=600000000 scc=1
s_lshr_b64 s[0:1], s[2:3], s4 | s2:3=600000000 s4=21 scc=0 | s0:1=3 scc=1
s_ashr_i64 s[0:1], s[2:3], 60 | s2:3=8000000000000000 scc=0 | s0:1=fffffffffffffff8 scc=1
s_ashr_i32 s0, s1, 4 | s1=80000000 scc=0 | s0=f8000000 scc=1
s_bfe_u32 s0, s1, 0x80004 | s1=12345678 scc=0 | s0=67 scc=1
s_bfe_i32 s0, s1, 0x40004 | s1=000000f0 scc=0 | s0=ffffffff scc=1
s_bfe_u64 s[0:1], s[2:3], 0x100018 | s2:3=0000123456000000 scc=0 | s0:1=3456 scc=1
s_bfe_i64 s[0:1], s[2:3], 0x080020 | s2:3=8000000000 scc=0 | s0:1=ffffffffffffff80 scc=1
s_bfm_b32 s0, 4, 8 | scc=0 | s0=f00
s_bfm_b64 s[0:1], 8, 28 | scc=0 | s0:1=ff0000000
s_bfm_b64 s[0:1], s2, 0 | s2=28 | s0:1=ffffffffff
s_ff1_i32_b32 s0, s1 | s1=50 scc=1 | s0=4
s_ff1_i32_b64 s0, s[2:3] | s2:3=100000000 scc=1 | s0=20
s_ff1_i32_b64 s0, s[2:3] | s2:3=0 scc=1 | s0=ffffffff
s_ff0_i32_b32 s0, s1 | s1=f scc=1 | s0=4
s_flbit_i32_b32 s0, s1 | s1=10000 scc=1 | s0=f
s_flbit_i32_b64 s0, s[2:3] | s2:3=1 scc=1 | s0=3f
s_flbit_i32_i64 s0, s[2:3] | s2:3=fffffffffffffffe scc=1 | s0=3f
s_bcnt1_i32_b64 s0, exec | exec=f0f scc=0 | s0=8 scc=1
s_bcnt0_i32_b32 s0, -1 | scc=1 | s0=0 scc=0
s_brev_b64 s[0:1], 1 | scc=0 | s0:1=8000000000000000
s_not_b64 s[0:1], s[2:3] | s2:3=ffffffffffffffff scc=1 | s0:1=0 scc=0
s_not_b32 s0, s1 | s1=0 scc=0 | s0=ffffffff scc=1
s_abs_i32 s0, s1 | s1=fffffffb scc=0 | s0=5 scc=1
s_sext_i32_i8 s0, s1 | s1=1280 scc=0 | s0=ffffff80
s_sext_i32_i16 s0, 0x8000 | scc=0 | s0=ffff8000
s_wqm_b64 s[0:1], s[2:3] | s2:3=100 scc=0 | s0:1=f00 scc=1
s_quadmask_b32 s0, s1 | s1=f0000001 scc=0 | s0=81 scc=1
s_bitreplicate_b64_b32 s[0:1], s2 | s2=80000005 | s0:1=c000000000000033
s_pack_ll_b32_b16 s0, s1, s2 | s1=11112222 s2=33334444 | s0=44442222
s_pack_lh_b32_b16 s0, s1, s2 | s1=11112222 s2=33334444 | s0=33332222
s_pack_hh_b32_b16 s0, s1, s2 | s1=11112222 s2=33334444 | s0=33331111
s_and_saveexec_b64 s[0:1], s[2:3] | s2:3=ff exec=f0f scc=0 | s0:1=f0f exec=f scc=1
s_and_saveexec_b64 s[0:1], s[0:1] | s0:1=f0 exec=f scc=1 | s0:1=f exec=0 scc=0
s_and_saveexec_b64 vcc, vcc | vcc=3 exec=6 scc=0 | vcc=6 exec=2 scc=1
s_or_saveexec_b64 s[0:1], -1 | exec=5 scc=0 | s0:1=5 exec=ffffffffffffffff scc=1
s_xor_saveexec_b64 s[0:1], s[2:3] | s2:3=ff exec=ff scc=1 | s0:1=ff exec=0 scc=0
s_andn2_saveexec_b64 s[0:1], s[2:3] | s2:3=ff exec=f scc=0 | s0:1=f exec=f0 scc=1
s_andn1_saveexec_b64 s[0:1], s[2:3] | s2:3=f0 exec=ff scc=0 | s0:1=ff exec=f scc=1
s_orn2_saveexec_b64 s[0:1], s[2:3] | s2:3=1 exec=fffffffffffffff0 scc=0 | s0:1=fffffffffffffff0 exec=f scc=1
s_nand_saveexec_b64 s[0:1], s[2:3] | s2:3=ffffffffffffffff exec=ffffffffffffffff scc=1 | s0:1=ffffffffffffffff exec=0 scc=0
s_andn1_wrexec_b64 s[0:1], s[2:3] | s2:3=f0 exec=ff scc=0 | s0:1=f exec=f scc=1
s_andn2_wrexec_b64 s[0:1], s[2:3] | s2:3=f0 exec=f0 scc=1 | s0:1=0 exec=0 scc=0
s_nop 3 ; s_waitcnt vmcnt(0) ; s_setprio 1 ; s_sleep 1 | scc=1 | scc=1
"""  # noqa: E501


@pytest.mark.parametrize("row", ROWS.strip().splitlines(), ids=str)
def test_bits(row: str, check_row: Callable[[str], None]) -> None:
    check_row(row)


def test_lanes_follow_exec_at_once(execute: Callable[..., Any]) -> None:
    lines = (
        "s_and_saveexec_b64 s[0:1], s[2:3] ; v_mov_b32_e32 v0, 1 ; "
        "s_xor_b64 exec, exec, s[0:1] ; v_mov_b32_e32 v0, 2 ; s_mov_b64 exec, s[0:1] ; "
        "v_add_u32_e32 v0, 10, v0"
    )
    found = execute(lines, {"v0": 0, "s2:3": 0xF, "exec": 0x3F})["v0"][0]
    assert found.tolist() == [11] * 4 + [12] * 2 + [0] * 58


@pytest.mark.parametrize(
    "line",
    [
        "s_getreg_b32 s0, hwreg(HW_REG_MODE)",
        "s_mov_b32 5, s1",
        "s_add_u32 s0, s1, s2, s3",
        "s_setreg_b32 hwreg(HW_REG_MODE, 0, 4), s1",
        "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 4), 5",
        "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 2), 3",
        "s_setreg_imm32_b32 hwreg(HW_REG_TRAPSTS, 0, 4), 0",
        "s_trap 2",
    ],
)
def test_refuses(line: str, execute: Callable[..., Any]) -> None:
    with pytest.raises(UnsupportedError, match=r"^not simulated.*: test.s:1: ") as caught:
        execute(line)
    assert str(caught.value).endswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 4), 0",  # to nearest even
        "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 2), 0",  # as the descriptor has it
        "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 4), 12",
        "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 8, 2), 3",
        "s_setreg_imm32_b32 hwreg(HW_REG_MODE), 0x3c0",
    ],
)
def test_mode_may_be_set_as_it_is(line: str, execute: Callable[..., Any]) -> None:
    assert execute(line, {"scc": 1})["scc"][0] == 1
