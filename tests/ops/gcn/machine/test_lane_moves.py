"""Values between lanes and scalars, and swaps between lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError

Execute = Callable[..., Any]
LANE = np.arange(64)


@pytest.mark.parametrize(
    ("line", "bits", "wanted"),
    [
        ("v_readfirstlane_b32 s0, v1", 0xFFFFFFFFFFFFFFFF, 100),
        ("v_readfirstlane_b32 s0, v1", 0xFF000, 112),
        ("v_readfirstlane_b32 s0, v1", 1 << 63, 163),
        ("v_readfirstlane_b32 s0, v1", 0, 100),
        ("v_readlane_b32 s0, v1, 63", 1, 163),
        ("v_readlane_b32 s0, v1, s2", 0, 107),
        ("v_readlane_b32 s0, v1, s3", 1, 101),  # lane 65 is lane 1
        ("v_readlane_b32 s0, v1, m0", 1, 109),
    ],
)
def test_read(line: str, bits: int, wanted: int, execute: Execute) -> None:
    state = execute(line, {"v1": 100 + LANE, "exec": bits, "s2": 7, "s3": 65, "m0": 9})
    assert state["s0"][0] == wanted


def test_read_into_special_registers(execute: Execute) -> None:
    state = execute("v_readlane_b32 vcc_hi, v1, 2 ; v_readlane_b32 m0, v1, 3", {"v1": LANE})
    assert (state["vcc"][0], state["m0"][0]) == (2 << 32, 3)
    state = execute("v_readfirstlane_b32 exec_lo, v1 ; v_mov_b32_e32 v2, 5", {"v1": 3, "v2": 0})
    assert state["v2"][0].tolist() == [5, 5] + [0] * 30 + [5] * 32


@pytest.mark.parametrize("bits", [0xFFFFFFFFFFFFFFFF, 0, 2])
@pytest.mark.parametrize(
    ("line", "lane", "value"),
    [
        ("v_writelane_b32 v0, s1, 5", 5, 0x1234),
        ("v_writelane_b32 v0, s1, s2", 6, 0x1234),
        ("v_writelane_b32 v0, 1.0, m0", 7, 0x3F800000),
        ("v_writelane_b32 v0, -3, s2", 6, 0xFFFFFFFD),
        ("v_writelane_b32 v0, exec_lo, 0", 0, None),
    ],
)
def test_write(line: str, lane: int, value: int | None, bits: int, execute: Execute) -> None:
    """One lane is written, whatever EXEC is."""
    state = execute(line, {"v0": LANE, "s1": 0x1234, "s2": 70, "m0": 7, "exec": bits})
    wanted = LANE.tolist()
    wanted[lane] = bits & 0xFFFFFFFF if value is None else value
    assert state["v0"][0].tolist() == wanted


def test_swaps(execute: Execute) -> None:
    registers = {"v0": LANE, "v1": 100 + LANE}
    by_row = execute("v_permlane16_swap_b32_e32 v0, v1", registers, "gfx950")
    wanted = [*range(16), *range(100, 116), *range(32, 48), *range(132, 148)]
    assert by_row["v0"][0].tolist() == wanted
    wanted = [*range(16, 32), *range(116, 132), *range(48, 64), *range(148, 164)]
    assert by_row["v1"][0].tolist() == wanted
    by_half = execute("v_permlane32_swap_b32_e32 v0, v1", registers, "gfx950")
    assert by_half["v0"][0].tolist() == [*range(32), *range(100, 132)]
    assert by_half["v1"][0].tolist() == [*range(32, 64), *range(132, 164)]


def test_swap_where_both_lanes_are_off(execute: Execute) -> None:
    registers = {"v0": LANE, "v1": 100 + LANE, "exec": 0xFFFF0000FFFF}
    state = execute("v_permlane32_swap_b32_e32 v0, v1", registers, "gfx950")
    assert state["v0"][0].tolist() == [*range(32), *range(100, 116), *range(48, 64)]
    assert state["v1"][0].tolist() == [*range(32, 48), *range(116, 132), *range(132, 164)]


def test_refuses(execute: Execute) -> None:
    with pytest.raises(UnsupportedError, match="only gfx950 has it"):
        execute("v_permlane16_swap_b32_e32 v0, v1", arch="gfx942")
    with pytest.raises(UnsupportedError, match="one lane of a pair that swaps is off"):
        execute("v_permlane16_swap_b32_e32 v0, v1", {"exec": 1}, "gfx950")
