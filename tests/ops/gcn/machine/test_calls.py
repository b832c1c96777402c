"""Calls: addresses of code in registers, and where waves go by them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.machine.fault import UnsupportedError
from rocmoe.ops.gcn.machine.launch import Launch, Slot, Tensor
from rocmoe.ops.gcn.machine.run import Settings, run_launch
from rocmoe.ops.gcn.machine.schedule import ORDERS

FIXTURE = Path(__file__).parents[1] / "fixtures" / "calls.gfx90a.s"
RunKernel = Callable[..., Any]

FUNCTIONS = """
  s_endpgm
add_ten:
  s_add_u32 s10, s10, 10
  s_setpc_b64 s[30:31]
double:
  s_lshl_b32 s10, s10, 1
  s_setpc_b64 s[30:31]
"""
FIND = """
  s_getpc_b64 s[{at}:{to}]
  s_add_u32 s{at}, s{at}, {name}@rel32@lo+4
  s_addc_u32 s{to}, s{to}, {name}@rel32@hi+12
"""


def _find(name: str, at: int) -> str:
    return FIND.format(name=name, at=at, to=at + 1)


def test_call_by_address(run_kernel: RunKernel) -> None:
    text = f"""
      s_mov_b32 s10, 1
      {_find("add_ten", 4)}
      s_swappc_b64 s[30:31], s[4:5]
      {_find("double", 6)}
      s_swappc_b64 s[30:31], s[6:7]
      s_swappc_b64 s[30:31], s[4:5]
      {FUNCTIONS}
    """
    assert run_kernel(text).registers["s10"].tolist() == [32]


def test_call_of_a_label(run_kernel: RunKernel) -> None:
    text = (
        f"s_mov_b32 s10, 3\ns_call_b64 s[30:31], add_ten\ns_call_b64 s[30:31], double\n{FUNCTIONS}"
    )
    assert run_kernel(text).registers["s10"].tolist() == [26]


@pytest.mark.parametrize("order", ORDERS)
def test_waves_call_different_functions(order: str, run_kernel: RunKernel) -> None:
    """And return to the same place, which has no label."""
    text = f"""
      v_lshrrev_b32_e32 v1, 6, v0
      v_readfirstlane_b32 s10, v1
      {_find("add_ten", 4)}
      {_find("double", 6)}
      s_bitcmp1_b32 s10, 0
      s_cselect_b64 s[4:5], s[4:5], s[6:7]
      s_swappc_b64 s[30:31], s[4:5]
      s_add_u32 s10, s10, 100
      {FUNCTIONS}
    """
    done = run_kernel(text, block=256, order=order)
    assert done.registers["s10"].tolist() == [100, 111, 104, 113]


def test_address_is_swapped_in_place(run_kernel: RunKernel) -> None:
    text = f"""
      s_mov_b32 s10, 1
      {_find("add_ten", 30)}
      s_swappc_b64 s[30:31], s[30:31]
      {FUNCTIONS}
    """
    assert run_kernel(text).registers["s10"].tolist() == [11]


def test_difference_of_labels(run_kernel: RunKernel) -> None:
    """As compilers write a far branch."""
    text = """
      s_mov_b32 s10, 1
      s_getpc_b64 s[4:5]
    .Lpost:
      s_add_u32 s4, s4, (.Lfar-.Lpost)&4294967295
      s_addc_u32 s5, s5, (.Lfar-.Lpost)>>32
      s_setpc_b64 s[4:5]
      s_mov_b32 s10, 2
    .Lfar:
      s_endpgm
    """
    assert run_kernel(text).registers["s10"].tolist() == [1]


def test_jump_to_no_instruction(run_kernel: RunKernel) -> None:
    with pytest.raises(UnsupportedError, match=r"no instruction at 0x5: test\.s:\d+: s_setpc_b64"):
        run_kernel("s_mov_b64 s[4:5], 5\ns_setpc_b64 s[4:5]\ns_endpgm")


def _tensor(name: str, values: np.ndarray) -> Tensor:
    memory = np.ascontiguousarray(values).reshape(-1)
    return Tensor(name, memory.view(np.uint8), 0, memory.shape, (1,), memory.itemsize)


def test_compiled_kernel_beside_functions() -> None:
    """halves of the fixture: out[i] = -|x[i ^ 1]| * n + dot(bytes); 64 x 4 lanes."""
    program = read_program(FIXTURE.read_text(), FIXTURE.name)
    random = np.random.default_rng(0)
    x = random.integers(-40, 40, 1024).astype(np.float16)
    pairs = random.integers(0, 30, 1024).astype(np.uint8)
    out = np.zeros(1024, np.float16)
    slots = [
        Slot(0, _tensor("x", x)),
        Slot(8, _tensor("out", out)),
        Slot(16, (3).to_bytes(4, "little")),
        Slot(24, _tensor("pairs", pairs)),
    ]
    kernel = program.kernel("halves")
    report = run_launch(program, kernel, Launch((1, 1, 1), (64, 4, 1), tuple(slots)), Settings())
    assert not report.faults.faults
    lane = np.arange(256)
    words = np.frombuffer(pairs.tobytes(), np.uint8)
    low, high = words[2 * 0 + lane].astype(np.int64), words[lane + 1].astype(np.int64)
    wanted = -np.abs(x[lane ^ 1].astype(np.float64)) * 3 + (low + 3 * high)
    np.testing.assert_array_equal(out[:256].astype(np.float64), wanted)


def test_address_of_data_beside_the_code() -> None:
    """The kernel `calls` calls its function and returns, then wants a table that is no code."""
    program = read_program(FIXTURE.read_text(), FIXTURE.name)
    x, out = (_tensor(name, np.zeros(1024, np.float32)) for name in ("x", "out"))
    slots = (Slot(0, x), Slot(8, out), Slot(16, (3).to_bytes(4, "little")))
    launch = Launch((1, 1, 1), (64, 1, 1), slots)
    with pytest.raises(UnsupportedError) as caught:
        run_launch(program, program.kernel("calls"), launch, Settings())
    assert str(caught.value).startswith(
        "not simulated: table is no code of this file: calls.gfx90a"
    )
