"""Bits a lane: comparisons, carries, selections, and the steps of a division."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Execute = Callable[..., Any]

EVERY = 0xFFFFFFFFFFFFFFFF
LANE = np.arange(64)

ROWS = """
v_cmp_lt_f32_e32 vcc, v1, v2 | v1=3f800000 v2=40000000 vcc=0 | vcc=ffffffffffffffff
v_cmp_lt_f32_e32 vcc, v1, v2 | v1=3f800000 v2=40000000 vcc=ffffffffffffffff exec=ff0f | vcc=ff0f
v_cmp_lt_f32_e32 vcc, v2, v1 | v1=3f800000 v2=40000000 vcc=ffffffffffffffff exec=ff0f | vcc=0
v_cmp_lt_f32_e32 vcc, v1, v2 | v1=3f800000 v2=40000000 vcc=ffffffffffffffff exec=0 | vcc=0
v_cmp_eq_u32_e64 s[10:11], v1, s2 | v1=7 s2=7 exec=8000000000000001 | s10:11=8000000000000001
v_cmp_eq_u32_e32 vcc, 7, v1 | v1=7 | vcc=ffffffffffffffff
v_cmp_gt_i16_e32 vcc, 0, v1 | v1=7fff8000 | vcc=ffffffffffffffff
v_cmp_lt_u64_e32 vcc, v[2:3], v[4:5] | v2:3=ffffffff v4:5=100000000 exec=5 | vcc=5
v_cmp_t_u32_e64 s[10:11], v1, v2 | exec=3 | s10:11=3
v_cmp_class_f32_e64 s[10:11], v1, 3 | v1=7fc00000 exec=6 | s10:11=6
v_cmp_class_f32_e32 vcc, v1, v2 | v1=80000000 v2=20 exec=6 | vcc=6
v_cmp_class_f16_e64 vcc, v1, s2 | v1=12347c00 s2=200 exec=1 | vcc=1
v_cmp_class_f64_e64 vcc, -v[2:3], 4 | v2:3=7ff0000000000000 exec=1 | vcc=1
v_cmpx_lt_u32_e32 vcc, v1, v2 | v1=1 v2=2 vcc=0 exec=f0f | vcc=f0f exec=f0f
v_cmpx_gt_u32_e32 vcc, v1, v2 | v1=1 v2=2 vcc=5 exec=f0f | vcc=0 exec=0
v_cmpx_lt_f32_e64 s[10:11], v1, v2 | v1=3f800000 v2=40000000 exec=f0f | s10:11=f0f exec=f0f
v_cmpx_class_f32_e64 s[10:11], v1, 3 | v1=0 exec=f0f | s10:11=0 exec=0
v_add_co_u32_e32 v0, vcc, v1, v2 | v1=ffffffff v2=2 vcc=0 | v0=1 vcc=ffffffffffffffff
v_add_co_u32_e32 v0, vcc, v1, v2 | v1=ffffffff v2=2 vcc=f0 exec=3 | v0=1 vcc=3
v_add_co_u32_e64 v0, s[10:11], v1, 5 | v1=2 exec=3 | v0=7 s10:11=0
v_addc_co_u32_e32 v0, vcc, v1, v2, vcc | v1=2 v2=3 vcc=ffffffffffffffff | v0=6 vcc=0
v_addc_co_u32_e64 v0, s[10:11], v1, v2, s[12:13] | v1=ffffffff v2=0 s12:13=ff exec=f | v0=0 s10:11=f
v_addc_co_u32_e64 v0, vcc, v1, -1, vcc | v1=ffffffff vcc=f exec=f | v0=ffffffff vcc=f
v_sub_co_u32_e32 v0, vcc, v1, v2 | v1=1 v2=2 exec=3 | v0=ffffffff vcc=3
v_subrev_co_u32_e32 v0, vcc, v1, v2 | v1=1 v2=2 exec=3 vcc=3 | v0=1 vcc=0
v_subb_co_u32_e32 v0, vcc, v1, v2, vcc | v1=2 v2=2 vcc=3 exec=3 | v0=ffffffff vcc=3
v_subbrev_co_u32_e32 v0, vcc, 0, v2, vcc | v2=5 vcc=3 exec=3 | v0=4 vcc=0
v_subbrev_co_u32_e64 v0, s[10:11], v1, v2, s[12:13] | v1=5 v2=5 s12:13=1 exec=1 | v0=ffffffff s10:11=1
v_mad_u64_u32 v[0:1], s[10:11], v2, v3, v[4:5] | v2=ffffffff v3=ffffffff v4:5=ffffffffffffffff exec=3 | v0:1=fffffffe00000000 s10:11=3
v_mad_u64_u32 v[0:1], vcc, v0, s3, v[0:1] | v0=3 v1=0 s3=5 exec=3 vcc=ff | v0:1=12 vcc=0
v_mad_i64_i32 v[0:1], s[10:11], v2, v3, 0 | v2=ffffffff v3=2 exec=3 | v0:1=fffffffffffffffe s10:11=3
v_cndmask_b32_e32 v0, v1, v2, vcc | v1=1 v2=2 vcc=ffffffffffffffff | v0=2
"""  # noqa: E501


@pytest.mark.parametrize("row", ROWS.strip().splitlines(), ids=str)
def test_bits(row: str, check_row: Callable[[str], None]) -> None:
    check_row(row)


def test_a_bit_for_each_lane(execute: Execute) -> None:
    line = "v_cmp_gt_u32_e32 vcc, 40, v0 ; v_cndmask_b32_e32 v1, 7, v0, vcc"
    state = execute(line, {"v0": LANE, "exec": 0xFFFFFFFFFFFF00FF})
    assert state["vcc"][0] == 0xFFFFFF00FF
    wanted = [lane if lane < 40 else 7 for lane in range(64)]
    wanted[8:16] = [0xBB000100 | lane for lane in range(8, 16)]
    assert state["v1"][0].tolist() == wanted


def test_mask_that_is_written_in_halves(execute: Execute) -> None:
    """What a comparison wrote is forgotten when a half of it is written as a scalar."""
    lines = (
        "v_cmp_t_u32_e64 s[10:11], v0, v0 ; s_mov_b32 s11, 0 ; v_cndmask_b32_e64 v1, 0, 1, s[10:11]"
    )
    assert execute(lines)["v1"][0].tolist() == [1] * 32 + [0] * 32
    lines = "v_cmp_t_u32_e32 vcc, v0, v0 ; s_mov_b64 vcc, 5 ; v_cndmask_b32_e32 v1, 0, v2, vcc"
    assert execute(lines, {"v2": 9})["v1"][0].tolist() == [9, 0, 9] + [0] * 61


def test_lanes_that_a_comparison_turns_off(execute: Execute) -> None:
    lines = (
        "v_cmpx_gt_u32_e32 vcc, 3, v0 ; v_mov_b32_e32 v1, 7 ; "
        "s_mov_b32 exec_hi, 1 ; v_mov_b32_e32 v2, 8"
    )
    state = execute(lines, {"v0": LANE, "v1": 0, "v2": 0, "exec": 0xFFFFFFFFFFFFFFFD})
    assert state["v1"][0].tolist() == [7, 0, 7] + [0] * 61
    assert state["v2"][0].tolist() == [8, 0, 8] + [0] * 29 + [8] + [0] * 31
    assert state["exec"][0] == 0x100000005


def _f32(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


DIVIDE_F32 = " ; ".join(
    (
        "v_div_scale_f32 v2, s[10:11], v1, v1, v0",
        "v_rcp_f32_e32 v3, v2",
        "v_div_scale_f32 v4, vcc, v0, v1, v0",
        "v_fma_f32 v5, -v2, v3, 1.0",
        "v_fmac_f32_e32 v3, v5, v3",
        "v_mul_f32_e32 v5, v4, v3",
        "v_fma_f32 v6, -v2, v5, v4",
        "v_fmac_f32_e32 v5, v6, v3",
        "v_fma_f32 v2, -v2, v5, v4",
        "v_div_fmas_f32 v2, v2, v3, v5",
        "v_div_fixup_f32 v7, v2, v1, v0",
    )
)
#: Numerator, denominator, quotient.
QUOTIENTS = [
    (0x3F800000, 0x40400000, 0x3EAAAAAB),  # 1 / 3
    (0x40E00000, 0xC0000000, 0xC0600000),  # 7 / -2
    (0x7F7FFFFF, 0x3F000000, 0x7F800000),  # overflows
    (0x00000001, 0x3F000000, 0x00000002),  # a denormal
    (0x00800000, 0x40000000, 0x00400000),  # to a denormal
    (0x7F000000, 0x00800000, 0x7F800000),
    (0x3F800000, 0x7F000000, 0x00400000),  # 1 / 2**127
    (0x3F800000, 0x00000000, 0x7F800000),
    (0xBF800000, 0x00000000, 0xFF800000),
    (0x00000000, 0x00000000, 0xFFC00000),
    (0x7F800000, 0x40000000, 0x7F800000),
    (0x40000000, 0xFF800000, 0x80000000),
    (0x7FC00001, 0x40000000, 0x7FC00001),
    (0x7F7FFFFF, 0x7F7FFFFF, 0x3F800000),
    (0x00000003, 0x00000001, 0x40400000),
    (0x7F7FFFFF, 0x00000001, 0x7F800000),
]


def test_division(execute: Execute) -> None:
    """Each lane takes its own way: VCC is not the same for all."""
    n, d, q = (np.resize([row[at] for row in QUOTIENTS], 64) for at in range(3))
    state = execute(DIVIDE_F32, {"v0": n, "v1": d, "exec": EVERY})
    assert [f"{word:08x}" for word in state["v7"][0]] == [f"{word:08x}" for word in q]
    assert state["vcc"][0] not in (0, EVERY)


def test_division_of_any_numbers(execute: Execute) -> None:
    random = np.random.default_rng(1)
    n, d = random.normal(size=(2, 64)).astype(np.float32) * np.float32([[1e-3], [1e30]])
    found = execute(DIVIDE_F32, {"v0": n.view(np.uint32), "v1": d.view(np.uint32)})["v7"][0]
    assert found.tolist() == [_f32(float(a) / float(b)) for a, b in zip(n, d, strict=True)]


def test_division_f64(execute: Execute) -> None:
    lines = " ; ".join(
        (
            "v_div_scale_f64 v[4:5], s[10:11], v[2:3], v[2:3], v[0:1]",
            "v_rcp_f64_e32 v[6:7], v[4:5]",
            "v_fma_f64 v[8:9], -v[4:5], v[6:7], 1.0",
            "v_fmac_f64_e32 v[6:7], v[6:7], v[8:9]",
            "v_fma_f64 v[8:9], -v[4:5], v[6:7], 1.0",
            "v_fmac_f64_e32 v[6:7], v[6:7], v[8:9]",
            "v_div_scale_f64 v[8:9], vcc, v[0:1], v[2:3], v[0:1]",
            "v_mul_f64 v[10:11], v[8:9], v[6:7]",
            "v_fma_f64 v[4:5], -v[4:5], v[10:11], v[8:9]",
            "v_div_fmas_f64 v[4:5], v[4:5], v[6:7], v[10:11]",
            "v_div_fixup_f64 v[0:1], v[4:5], v[2:3], v[0:1]",
        )
    )
    state = execute(lines, {"v0:1": 0x3FF0000000000000, "v2:3": 0x4008000000000000})
    assert set(state["v0:1"][0]) == {0x3FD5555555555555}
