"""Executing a launch: batches, ends, and launches that do not end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.machine.fault import DeadlockError, UnsupportedError
from rocmoe.ops.gcn.machine.schedule import ORDERS

RunKernel = Callable[..., Any]
NUMBER = "v_lshrrev_b32_e32 v1, 6, v0\nv_readfirstlane_b32 s4, v1\n"


@pytest.mark.parametrize("order", ORDERS)
def test_wave_that_never_arrives(order: str, run_kernel: RunKernel) -> None:
    text = f"""{NUMBER}
      s_cmp_eq_u32 s4, 1
      s_cbranch_scc1 .Lforever
      s_barrier
      s_endpgm
    .Lforever:
      s_nop 0
      s_branch .Lforever
    """
    done = run_kernel(text, grid=2, block=192, order=order, max_steps=10_000)
    (fault,) = done.report.faults.listing()
    assert (fault.check, fault.index, fault.workgroup, fault.wave) == ("synccheck", 4, 0, 0)
    assert "waits at the barrier for wave 1, which never arrives: it is at test.s:" in fault.message
    assert "s_nop 0" in fault.message or "s_branch .Lforever" in fault.message
    assert "\n" not in fault.message


def test_endless_loop(run_kernel: RunKernel) -> None:
    with pytest.raises(
        DeadlockError, match=r"no end after 1000 instructions; .* at test\.s:\d+: s_"
    ):
        run_kernel(".Lforever:\ns_nop 0\ns_branch .Lforever", max_steps=1000)


def test_end_of_the_code(run_kernel: RunKernel) -> None:
    with pytest.raises(RocmoeError, match=r"^test\.s: a wave runs past the last instruction$"):
        run_kernel("s_nop 0")


def test_unsupported_only_where_it_is_executed(run_kernel: RunKernel) -> None:
    text = """
      s_cmp_eq_u32 s2, 99
      s_cbranch_scc1 .Lrare
      s_mov_b32 s4, 5
      s_endpgm
    .Lrare:
      s_getreg_b32 s5, hwreg(HW_REG_HW_ID)
      s_endpgm
    """
    assert run_kernel(text).registers["s4"].tolist() == [5]
    with pytest.raises(UnsupportedError) as caught:
        run_kernel(text.replace("99", "0"))
    assert str(caught.value) == "not simulated: test.s:11: s_getreg_b32 s5, hwreg(HW_REG_HW_ID)"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("batch_waves", [1, 4, 5, 1024])
def test_batches_of_whole_workgroups(order: str, batch_waves: int, run_kernel: RunKernel) -> None:
    """Each batch has the workgroups that fit, at least one; all of them are run."""
    text = "s_add_u32 s4, s2, 1\ns_barrier\ns_endpgm"
    done = run_kernel(text, grid=7, block=128, order=order, batch_waves=batch_waves)
    last = {1: [7], 4: [7], 5: [7], 1024: [1, 2, 3, 4, 5, 6, 7]}[batch_waves]
    assert done.registers["s4"].tolist() == np.repeat(last, 2).tolist()
    assert done.report.executed.tolist() == [14, 14, 14]
    assert done.report.waves == 14


def test_partial_last_wave(run_kernel: RunKernel) -> None:
    done = run_kernel("v_mov_b32_e32 v1, 7\ns_endpgm", block=100)
    assert done.registers["exec"].tolist() == [0xFFFFFFFFFFFFFFFF, (1 << 36) - 1]
    assert (done.registers["v1"] == 7).sum() == 100
