"""VGPR indexing: which registers an index in M0 moves, and for which waves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError

ON = "s_set_gpr_idx_on s2, gpr_idx"
ROWS = """
ON(SRC0) ; v_mov_b32_e32 v0, v4 ; OFF | s2=3 v7=77 m0=0 | v0=77 m0=1003
ON(SRC0) ; v_mov_b32_e32 v0, v4 ; OFF ; v_mov_b32_e32 v1, v4 | s2=3 v4=44 v7=77 m0=0 | v0=77 v1=44 m0=1003
ON(DST) ; v_mov_b32_e32 v0, v4 ; OFF | s2=3 v4=44 m0=0 exec=ff | v3=44 m0=8003
ON(DST) ; v_mov_b32_e32 v0, v4 | s2=0 v4=44 m0=0 | v0=44 m0=8000
ON(SRC0,DST) ; v_mov_b32_e32 v0, v4 | s2=103 v7=77 m0=abcdef00 | v3=77 m0=abcd9f03
ON(SRC1) ; v_add_u32_e32 v0, v1, v2 | s2=1 v1=5 v3=7 m0=0 | v0=c m0=2001
ON(SRC1) ; v_add_u32_e32 v0, s4, v2 | s2=1 s4=5 v3=7 m0=0 | v0=c m0=2001
ON(SRC0) ; v_add_u32_e32 v0, s4, v2 | s2=1 s4=5 v2=7 m0=0 | v0=c m0=1001
ON(SRC2) ; v_add3_u32 v0, v1, v2, v3 | s2=1 v1=1 v2=2 v4=4 m0=0 | v0=7 m0=4001
ON(SRC0,SRC1,SRC2,DST) ; v_add3_u32 v0, v1, v2, v3 | s2=4 v5=1 v6=2 v7=4 m0=0 | v4=7 m0=f004
ON(SRC0) ; v_add_co_u32_e32 v0, vcc, v1, v2 | s2=4 v5=1 v2=2 m0=0 exec=1 | v0=3 m0=1004
ON(SRC0) ; v_cmp_eq_u32_e32 vcc, v1, v2 | s2=4 v5=2 v2=2 m0=0 exec=1 | vcc=1 m0=1004
ON(SRC0) ; v_mov_b64_e32 v[0:1], v[2:3] | s2=2 v4:5=123456789 m0=0 | v0:1=123456789 m0=1002
ON(SRC0) ; v_readfirstlane_b32 s0, v1 | s2=4 v5=99 m0=0 | s0=99 m0=1004
ON(SRC0) ; s_set_gpr_idx_idx s3 ; v_mov_b32_e32 v0, v4 | s2=3 s3=5 v9=99 m0=0 | v0=99 m0=1005
ON(SRC0) ; s_set_gpr_idx_mode gpr_idx(DST) ; v_mov_b32_e32 v0, v4 | s2=3 v4=44 m0=0 | v3=44 m0=8003
ON(SRC0) ; s_mov_b32 m0, 0x8001 ; v_mov_b32_e32 v0, v4 | s2=3 v4=44 m0=0 | v1=44 m0=8001
ON(SRC0) ; s_set_gpr_idx_mode gpr_idx() ; v_mov_b32_e32 v0, v4 | s2=3 v4=44 m0=0 | v0=44 m0=3
ON(SRC0) ; OFF ; s_set_gpr_idx_mode gpr_idx(SRC0) ; v_mov_b32_e32 v0, v4 | s2=3 v4=44 m0=0 | v0=44 m0=1003
ON(SRC0) ; v_accvgpr_read_b32 v0, a4 | s2=3 a7=77 m0=0 | v0=77 m0=1003
"""  # noqa: E501


def _spell(text: str) -> str:
    return text.replace("ON(", f"{ON}(").replace("OFF", "s_set_gpr_idx_off")


@pytest.mark.parametrize("row", ROWS.strip().splitlines(), ids=str)
def test_registers(row: str, check_row: Callable[[str], None]) -> None:
    check_row(_spell(row))


@pytest.mark.parametrize("bits", [0xFFFFFFFFFFFFFFFF, 0])
def test_writelane(bits: int, execute: Callable[..., Any]) -> None:
    state = execute(
        _spell("ON(DST) ; v_writelane_b32 v0, s3, 9 ; OFF"), {"s2": 5, "s3": 33, "exec": bits}
    )
    assert state["v5"][0][9] == 33
    assert state["v5"][0][8] == 0xBB000508
    assert state["v0"][0][9] == 0xBB000009


KERNEL = """
  v_mov_b32_e32 v10, 0x100
  v_mov_b32_e32 v11, 0x111
  v_mov_b32_e32 v12, 0x122
  v_mov_b32_e32 v13, 0x133
  v_mov_b32_e32 v20, 0
  v_mov_b32_e32 v21, 0
  v_mov_b32_e32 v22, 0
  v_mov_b32_e32 v23, 0
  v_lshrrev_b32_e32 v1, 6, v0
  v_readfirstlane_b32 s4, v1
  {body}
  s_endpgm
"""


def test_each_wave_has_its_index(run_kernel: Callable[..., Any]) -> None:
    body = """
      s_set_gpr_idx_on s4, gpr_idx(SRC0,DST)
      v_mov_b32_e32 v20, v10
      s_set_gpr_idx_off
      v_mov_b32_e32 v30, v10
    """
    registers = run_kernel(KERNEL.format(body=body), block=256).registers
    for wave in range(4):
        found = [int(registers[f"v{20 + each}"][wave][3]) for each in range(4)]
        assert found == [0x100 + 0x11 * wave if each == wave else 0 for each in range(4)]
        assert registers["v30"][wave][3] == 0x100


def test_labels_and_branches_while_it_is_on(run_kernel: Callable[..., Any]) -> None:
    """A loop over registers, in which the waves stay for different times."""
    body = """
      s_mov_b32 s5, 0
      v_mov_b32_e32 v2, 0
      s_set_gpr_idx_on s5, gpr_idx(SRC0)
    .Lnext:
      v_add_u32_e32 v2, v10, v2
      s_add_u32 s5, s5, 1
      s_set_gpr_idx_idx s5
      s_cmp_le_u32 s5, s4
      s_cbranch_scc1 .Lnext
      s_set_gpr_idx_off
      v_mov_b32_e32 v3, v10
    """
    registers = run_kernel(KERNEL.format(body=body), block=256).registers
    assert registers["v2"][:, 7].tolist() == [0x100, 0x211, 0x333, 0x466]
    assert registers["v3"][:, 7].tolist() == [0x100] * 4


def test_some_waves_alone(run_kernel: Callable[..., Any]) -> None:
    """Indexing is a state of each wave: those that jumped over it have it off."""
    body = """
      s_cmp_lt_u32 s4, 2
      s_cbranch_scc1 .Lplain
      s_set_gpr_idx_on s4, gpr_idx(SRC0)
    .Lplain:
      v_mov_b32_e32 v2, v10
    """
    registers = run_kernel(KERNEL.format(body=body), block=256).registers
    assert registers["v2"][:, 0].tolist() == [0x100, 0x100, 0x122, 0x133]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("ON(SRC0) ; v_mov_b32_e32 v0, v254", "index 3 leaves the registers"),
        ("ON(DST) ; v_fmac_f32_e32 v0, v1, v2", "its registers cannot be indexed"),
        ("ON(SRC0) ; v_mfma_f32_4x4x1_16b_f32 v[0:3], v4, v5, v[0:3]", "cannot be indexed"),
        ("ON(SRC0) ; v_swap_b32 v0, v1", "cannot be indexed"),
    ],
)
def test_refuses(lines: str, why: str, execute: Callable[..., Any]) -> None:
    with pytest.raises(UnsupportedError, match=why):
        execute(_spell(lines), {"s2": 3})
