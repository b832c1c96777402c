"""Branches that waves take or not, where they meet again, and barriers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rocmoe.ops.gcn.machine.schedule import ORDERS

RunKernel = Callable[..., Any]
#: The wave's number in its workgroup, in s4.
NUMBER = """
  v_lshrrev_b32_e32 v1, 6, v0
  v_readfirstlane_b32 s4, v1
"""


@pytest.mark.parametrize(
    ("before", "condition", "taken"),
    [
        ("s_cmp_eq_u32 s4, 1", "scc1", [1]),
        ("s_cmp_eq_u32 s4, 1", "scc0", [0, 2, 3]),
        ("s_mov_b64 vcc, 0\ns_bitset1_b32 vcc_hi, s4\ns_lshl_b64 vcc, vcc, 30", "vccz", [2, 3]),
        ("s_mov_b64 vcc, 0\ns_bitset1_b32 vcc_hi, s4\ns_lshl_b64 vcc, vcc, 30", "vccnz", [0, 1]),
        ("s_lshr_b32 s5, 4, s4\ns_mov_b32 s6, 0\ns_mov_b32 s7, s5\ns_mov_b64 exec, s[6:7]",
         "execz", [3]),
        ("s_lshr_b32 s5, 4, s4\ns_mov_b32 s6, 0\ns_mov_b32 s7, s5\ns_mov_b64 exec, s[6:7]",
         "execnz", [0, 1, 2]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", ORDERS)
def test_conditions(
    before: str, condition: str, taken: list[int], order: str, run_kernel: RunKernel
) -> None:
    text = f"{NUMBER}{before}\ns_mov_b32 s10, 0\ns_cbranch_{condition} .Lover\ns_mov_b32 s10, 1\n"
    done = run_kernel(text + ".Lover:\ns_mov_b32 s11, 7\ns_endpgm", block=256, order=order)
    found = done.registers["s10"].tolist()
    assert [wave for wave in range(4) if found[wave] == 0] == taken
    assert done.registers["s11"].tolist() == [7] * 4
    assert done.report.executed[-1] == 4


@pytest.mark.parametrize("order", ORDERS)
def test_loops_of_different_lengths(order: str, run_kernel: RunKernel) -> None:
    text = f"""{NUMBER}
      s_mov_b32 s5, 0
      s_mov_b32 s6, 0
    .Lnext:
      s_add_u32 s6, s6, s5
      s_add_u32 s5, s5, 1
      s_cmp_le_u32 s5, s4
      s_cbranch_scc1 .Lnext
      s_mul_i32 s6, s6, 10
      s_endpgm
    """
    done = run_kernel(text, block=512, order=order)
    assert done.registers["s6"].tolist() == [0, 10, 30, 60, 100, 150, 210, 280]
    assert done.report.executed[4] == 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8
    assert (7, done.report.program.labels[".Lnext"]) in done.report.transfers


def test_waves_that_meet_run_together(run_kernel: RunKernel) -> None:
    """Behind the branches each instruction is issued once for all waves."""
    text = f"""{NUMBER}
      s_cmp_eq_u32 s4, 1
      s_cbranch_scc1 .Lone
      s_mov_b32 s5, 10
      s_branch .Lmeet
    .Lone:
      s_mov_b32 s5, 11
    .Lmeet:
      s_nop 0
      s_endpgm
    """
    done = run_kernel(text, block=192, max_steps=12)
    assert done.registers["s5"].tolist() == [10, 11, 10]


@pytest.mark.parametrize("order", ORDERS)
def test_barrier(order: str, run_kernel: RunKernel) -> None:
    """No wave is past it before all have come, also those that take another way to it."""
    text = f"""{NUMBER}
      s_mov_b32 s5, s4
    .Lwait:
      s_sub_u32 s5, s5, 1
      s_cmp_gt_i32 s5, 0
      s_cbranch_scc1 .Lwait
      s_barrier
      s_mov_b32 s6, 1
      s_endpgm
    """
    done = run_kernel(text, grid=3, block=256, order=order)
    assert done.registers["s6"].tolist() == [1] * 12
    assert not done.report.faults.faults


@pytest.mark.parametrize("order", ORDERS)
def test_barrier_does_not_wait_for_ended_waves(order: str, run_kernel: RunKernel) -> None:
    text = f"""{NUMBER}
      s_mov_b32 s6, 0
      s_cmp_ge_u32 s4, 2
      s_cbranch_scc1 .Lend
      s_barrier
      s_mov_b32 s6, 1
    .Lend:
      s_endpgm
    """
    done = run_kernel(text, grid=2, block=256, order=order)
    assert done.registers["s6"].tolist() == [1, 1, 0, 0] * 2
    assert not done.report.faults.faults


def test_numeric_and_backward_labels(run_kernel: RunKernel) -> None:
    text = """
      s_mov_b32 s4, 3
    1:
      s_sub_u32 s4, s4, 1
      s_cmp_lg_u32 s4, 0
      s_cbranch_scc1 1b
      s_branch 1f
      s_mov_b32 s4, 9
    1:
      s_endpgm
    """
    assert run_kernel(text).registers["s4"].tolist() == [0]
