"""DPP: a first source from another lane, and which lanes are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError

Execute = Callable[..., Any]

LANE = np.arange(64)
OLD, NONE = 0xDEADBEEF, -1
EVERY = (1 << 64) - 1
SOME = 0x8001FF0F3333F00F


def _active(bits: int) -> np.ndarray:
    return np.array([bits >> lane & 1 for lane in range(64)], np.bool_)


def _by_row(sixteen: list[int]) -> list[int]:
    """Sources in each row of 16 lanes; NONE where there is none."""
    return [row + lane if lane != NONE else NONE for row in (0, 16, 32, 48) for lane in sixteen]


# Control: the lane that each of 64 lanes reads.
SOURCES: dict[str, list[int]] = {
    "quad_perm:[3,3,0,1]": [4 * quad + lane for quad in range(16) for lane in (3, 3, 0, 1)],
    "quad_perm:[0,1,2,3]": list(range(64)),
    "row_shl:1": _by_row([*range(1, 16), NONE]),
    "row_shl:15": _by_row([15] + [NONE] * 15),
    "row_shr:1": _by_row([NONE, *range(15)]),
    "row_shr:9": _by_row([NONE] * 9 + [0, 1, 2, 3, 4, 5, 6]),
    "row_ror:1": _by_row([15, *range(15)]),
    "row_ror:4": _by_row([12, 13, 14, 15, *range(12)]),
    "row_mirror": _by_row(list(range(15, -1, -1))),
    "row_half_mirror": _by_row([7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8]),
    "row_newbcast:5": _by_row([5] * 16),
    "row_bcast:15": [NONE] * 16 + [15] * 16 + [31] * 16 + [47] * 16,
    "row_bcast:31": [NONE] * 32 + [31] * 32,
    "wave_shl:1": [*range(1, 64), NONE],
    "wave_shr:1": [NONE, *range(63)],
    "wave_rol:1": [*range(1, 64), 0],
    "wave_ror:1": [63, *range(63)],
}


@pytest.mark.parametrize("control", SOURCES)
@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("bits", [EVERY, SOME, 1 << 17, 0])
def test_control(control: str, bound: bool, bits: int, execute: Execute) -> None:
    active = _active(bits)
    values = 0x1000 + LANE
    expected = []
    for lane, source in enumerate(SOURCES[control]):
        readable = source != NONE and active[source]
        if not active[lane] or (not readable and not bound):
            expected.append(OLD)
        else:
            expected.append(0x1000 + source if readable else 0)
    text = f"v_mov_b32_dpp v0, v1 {control} row_mask:0xf bank_mask:0xf" + " bound_ctrl:1" * bound
    state = execute(text, {"v0": OLD, "v1": values, "exec": bits})
    assert state["v0"][0].tolist() == expected
    assert state["v1"][0].tolist() == values.tolist()


@pytest.mark.parametrize("bound", [False, True])
def test_destination_that_is_the_source(bound: bool, execute: Execute) -> None:
    """Every lane reads what stood there before any was written."""
    line = "v_add_u32_dpp v0, v0, v1 row_shr:1 row_mask:0xf bank_mask:0xf" + " bound_ctrl:0" * bound
    found = execute(line, {"v0": LANE, "v1": 100})["v0"][0]
    assert found[1:16].tolist() == list(range(100, 115))
    assert found[[0, 16, 32, 48]].tolist() == ([100] * 4 if bound else [0, 16, 32, 48])


def test_prefix_sum_in_place(execute: Execute) -> None:
    """The steps that compilers emit for a wave's inclusive sum."""
    steps = [
        *("row_shr:1", "row_shr:2", "row_shr:4", "row_shr:8"),
        *("row_bcast:15 row_mask:0xa", "row_bcast:31 row_mask:0xc"),
    ]
    lines = " ; ".join(f"v_add_u32_dpp v0, v0, v0 {step}" for step in steps)
    assert execute(lines, {"v0": 1 + LANE})["v0"][0].tolist() == np.cumsum(1 + LANE).tolist()


@pytest.mark.parametrize(
    ("masks", "written"),
    [
        ("row_mask:0x0 bank_mask:0xf", []),
        ("row_mask:0x5 bank_mask:0xf", [*range(16), *range(32, 48)]),
        ("row_mask:0x9 bank_mask:0x8", [*range(12, 16), *range(60, 64)]),
        ("row_mask:0x2 bank_mask:0x1 bound_ctrl:1", [16, 17, 18, 19]),
    ],
)
def test_masks_of_rows_and_banks(masks: str, written: list[int], execute: Execute) -> None:
    found = execute(f"v_mov_b32_dpp v0, v1 row_ror:1 {masks}", {"v0": OLD, "v1": LANE})["v0"][0]
    assert [lane for lane in range(64) if found[lane] != OLD] == written
    assert all(found[lane] == (lane // 16 * 16 + (lane - 1) % 16) for lane in written)


def test_masked_lanes_are_still_read(execute: Execute) -> None:
    """Row 1 is not written, and its last lane goes to row 2 all the same."""
    found = execute("v_mov_b32_dpp v0, v1 row_bcast:15 row_mask:0x4", {"v0": OLD, "v1": LANE})
    assert found["v0"][0].tolist() == [OLD] * 32 + [31] * 16 + [OLD] * 16


@pytest.mark.parametrize(
    ("line", "first"),
    [
        # A zero in the place of a lane is negated like any other value.
        ("v_mul_f32_dpp v0, -v1, v2 row_shr:1 bound_ctrl:1", 0x80000000),
        ("v_mul_f32_dpp v0, |v1|, v2 row_shr:1 bound_ctrl:1", 0),
        ("v_mul_f32_dpp v0, v1, -v2 row_shr:1 bound_ctrl:1", 0x80000000),
        ("v_mul_f32_dpp v0, -|v1|, -v2 row_shr:1 bound_ctrl:1", 0),
    ],
)
def test_modifiers_come_after_the_move(line: str, first: int, execute: Execute) -> None:
    found = execute(line, {"v1": 0x40000000, "v2": 0x40400000})["v0"][0]
    assert found[[0, 1, 15, 16]].tolist() == [first, first | 0x40C00000, first | 0x40C00000, first]


def test_second_source_and_old_destination_stay_in_their_lane(execute: Execute) -> None:
    line = "v_fmac_f32_dpp v0, v1, v2 wave_ror:1 row_mask:0xf bank_mask:0xf"
    one, two, three = 0x3F800000, 0x40000000, 0x40400000
    found = execute(line, {
        "v0": np.where(LANE == 5, two, 0),
        "v1": np.where(LANE == 4, three, one),
        "v2": np.where(LANE == 5, two, one),
    })["v0"][0]  # fmt: skip
    assert (found[4], found[5], found[6]) == (one, 0x41000000, one)  # 1, 2 + 3 * 2, 1


def test_halves_carries_and_selections(execute: Execute) -> None:
    moved = "row_shl:1 row_mask:0xf bank_mask:0xf"
    found = execute(f"v_add_f16_dpp v0, v1, v2 {moved}", {
        "v0": OLD, "v1": np.where(LANE == 1, 0x77774000, 0x3C00), "v2": 0x3C00,
    })["v0"][0]  # fmt: skip
    assert (found[0], found[1], found[15]) == (0x4200, 0x4000, OLD)
    state = execute(f"v_add_co_u32_dpp v0, vcc, v1, v2 {moved}", {
        "v0": OLD, "v1": np.where(LANE % 16 == 3, 0xFFFFFFFF, 0), "v2": 1, "exec": 0xFFFFFFFF,
    })  # fmt: skip
    assert (state["v0"][0][2], state["v0"][0][3], state["v0"][0][15]) == (0, 1, OLD)
    assert state["vcc"][0] == 0x00040004
    found = execute(f"v_cndmask_b32_dpp v0, v1, v2, vcc {moved}", {
        "v1": LANE, "v2": 0x99, "vcc": 0b10,
    })["v0"][0]  # fmt: skip
    assert found[:3].tolist() == [1, 0x99, 3]


def test_double_words_move_whole(execute: Execute) -> None:
    """gfx90a and later broadcast pairs of registers."""
    line = "v_mov_b64_dpp v[0:1], v[2:3] row_newbcast:2 row_mask:0xf bank_mask:0xf"
    found = execute(line, {"v2": LANE, "v3": 100 + LANE})
    low, high = found["v0"][0], found["v1"][0]
    assert (low[0], high[0], low[63], high[63]) == (2, 102, 50, 150)


def test_refuses_parts_of_moved_sources(execute: Execute) -> None:
    with pytest.raises(UnsupportedError, match="DPP or SDWA of a packed instruction"):
        execute("v_pk_fmac_f16 v0, v1, v2 row_shr:1 row_mask:0xf bank_mask:0xf")
