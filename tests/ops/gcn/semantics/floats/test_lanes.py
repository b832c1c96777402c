from __future__ import annotations

import numpy as np
import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.semantics import dpp, lanes, sdwa

LANES = np.arange(64)
VALUES = np.stack([LANES + 100, LANES + 200]).astype(np.uint32)
EVERY = np.ones((2, 64), np.bool_)

# First eight sources of rows 0 and 1, of lanes 30 to 33, and the lanes that have none.
CONTROLS = {
    ("row_shl", 1): ([1, 2, 3, 4, 5, 6, 7, 8], [31, 0, 33, 34], [15, 31, 47, 63]),
    ("row_shr", 1): ([0, 0, 1, 2, 3, 4, 5, 6], [29, 30, 0, 32], [0, 16, 32, 48]),
    ("row_shr", 15): ([0] * 8, [0, 16, 0, 0], [x for x in range(64) if x % 16 < 15]),
    ("row_ror", 1): ([15, 0, 1, 2, 3, 4, 5, 6], [29, 30, 47, 32], []),
    ("row_newbcast", 3): ([3] * 8, [19, 19, 35, 35], []),
    ("row_bcast", 15): ([0] * 8, [15, 15, 31, 31], list(range(16))),
    ("row_bcast", 31): ([0] * 8, [0, 0, 31, 31], list(range(32))),
    ("wave_shl", 1): ([1, 2, 3, 4, 5, 6, 7, 8], [31, 32, 33, 34], [63]),
    ("wave_rol", 1): ([1, 2, 3, 4, 5, 6, 7, 8], [31, 32, 33, 34], []),
    ("wave_shr", 1): ([0, 0, 1, 2, 3, 4, 5, 6], [29, 30, 31, 32], [0]),
    ("wave_ror", 1): ([63, 0, 1, 2, 3, 4, 5, 6], [29, 30, 31, 32], []),
    ("row_mirror", 1): ([15, 14, 13, 12, 11, 10, 9, 8], [17, 16, 47, 46], []),
    ("row_half_mirror", 1): ([7, 6, 5, 4, 3, 2, 1, 0], [25, 24, 39, 38], []),
}
CODES = {
    0x101: ("row_shl", 1),
    0x111: ("row_shr", 1),
    0x11F: ("row_shr", 15),
    0x121: ("row_ror", 1),
    0x130: ("wave_shl", 1),
    0x134: ("wave_rol", 1),
    0x138: ("wave_shr", 1),
    0x13C: ("wave_ror", 1),
    0x140: ("row_mirror", 1),
    0x141: ("row_half_mirror", 1),
    0x142: ("row_bcast", 15),
    0x143: ("row_bcast", 31),
    0x153: ("row_newbcast", 3),
}


@pytest.mark.parametrize(("control", "expected"), CONTROLS.items(), ids=str)
def test_dpp_controls(control, expected):
    first, middle, missing = expected
    made = dpp.lane_map(*control)
    assert made.source[:8].tolist() == first
    assert made.source[30:34].tolist() == middle
    assert np.flatnonzero(~made.valid).tolist() == missing


def test_every_dpp_control_has_a_case():
    assert {name for name, _ in CONTROLS} == set(dpp.CONTROLS) - {"quad_perm"}


@pytest.mark.parametrize(("code", "control"), CODES.items(), ids=str)
def test_dpp_control_codes(code, control):
    made, expected = dpp.lane_map_of_code(code), dpp.lane_map(*control)
    np.testing.assert_array_equal(made.source, expected.source)
    np.testing.assert_array_equal(made.valid, expected.valid)


def test_quad_perm():
    made = dpp.quad_perm([3, 3, 0, 1])
    assert made.source[:8].tolist() == [3, 3, 0, 1, 7, 7, 4, 5]
    np.testing.assert_array_equal(dpp.lane_map_of_code(0b01001111).source, made.source)


@pytest.mark.parametrize("code", [0x100, 0x110, 0x144, 0x160, 0x1FF])
def test_reserved_dpp_codes_are_refused(code):
    with pytest.raises(RocmoeError, match="DPP"):
        dpp.lane_map_of_code(code)


@pytest.mark.parametrize("control", [("row_shl", 0), ("row_bcast", 16), ("row_turn", 1)])
def test_unknown_dpp_controls_are_refused(control):
    with pytest.raises(RocmoeError, match="unknown"):
        dpp.lane_map(*control)


def test_dpp_masks():
    assert np.flatnonzero(dpp.written_lanes(0b0100, 0b0010)).tolist() == [36, 37, 38, 39]
    assert dpp.written_lanes().all()


def test_dpp_writes_only_lanes_with_a_readable_source():
    active = EVERY.copy()
    active[0, 4] = False
    moved, written = dpp.move(VALUES, active, dpp.lane_map("row_shr", 1), dpp.written_lanes())
    assert np.flatnonzero(~written[0]).tolist() == [0, 4, 5, 16, 32, 48]
    assert np.flatnonzero(~written[1]).tolist() == [0, 16, 32, 48]
    assert moved[0, :7].tolist() == [0, 100, 101, 102, 103, 0, 105]


def test_bound_ctrl_writes_zeros_to_active_lanes():
    active = EVERY.copy()
    active[0, 4] = False
    enabled = dpp.written_lanes(row_mask=1)
    shift = dpp.lane_map("row_shr", 1)
    moved, written = dpp.move(VALUES, active, shift, enabled, bound_ctrl=True)
    assert np.flatnonzero(written[0]).tolist() == [x for x in range(16) if x != 4]
    assert (moved[0, 0], moved[0, 5]) == (0, 0)


def test_lanes_are_read_and_written_whatever_exec_is():
    assert lanes.read_lane(VALUES, np.array([3, 64 + 5])).tolist() == [103, 205]
    written = lanes.write_lane(VALUES, np.array([7, 8], np.uint32), np.array([0, 63]))
    assert (written[0, 0], written[1, 63], written[1, 0], VALUES[0, 0]) == (7, 8, 200, 100)


def test_read_first_lane_takes_lane_zero_without_exec():
    active = np.zeros((2, 64), np.bool_)
    active[1, [9, 40]] = True
    assert lanes.read_first_lane(VALUES, active).tolist() == [100, 209]


def test_bpermute_pulls_and_permute_pushes():
    address = np.tile(((LANES + 1) * 4).astype(np.uint32), (2, 1))
    active = EVERY.copy()
    active[0, 5] = False
    pulled = lanes.bpermute(address, VALUES, active)
    assert pulled[0, [0, 4, 63]].tolist() == [101, 0, 100]
    pushed = lanes.permute(address, VALUES, active)
    assert pushed[0, [0, 6, 7]].tolist() == [163, 0, 106]
    assert lanes.bpermute(address, VALUES, active, offset=4)[1, 0] == 202


def test_the_highest_writer_of_permute_wins():
    address = np.zeros((2, 64), np.uint32)
    active = EVERY.copy()
    active[0, 60:] = False
    assert lanes.permute(address, VALUES, active)[:, :2].tolist() == [[159, 0], [263, 0]]


@pytest.mark.parametrize(
    ("offset", "lane", "source"),
    [
        (0x041F, 5, 4),
        (0x401F, 5, 21),
        (0x401F, 37, 53),
        (0x0010, 21, 16),
        (0x00F0, 33, 39),
        (0x801B, 4, 7),
        (0x801B, 63, 60),
        (0xC020, 31, 0),
        (0xC420, 0, 31),
        (0xC438, 8, 15),
        (0xE000, 1, 16),
        (0xE000, 35, 56),
        (0xE010, 1, 8),
        (0xE010, 17, 24),
        (0xE01F, 13, 13),
    ],
)
def test_swizzle(offset, lane, source):
    assert lanes.swizzle_lanes(offset).source[lane] == source


def test_swizzle_gives_zero_for_inactive_sources():
    active = EVERY.copy()
    active[0, 5] = False
    assert lanes.swizzle(VALUES, active, 0x041F)[0, [4, 5]].tolist() == [0, 104]


def test_permlane_swaps():
    low, high = VALUES[:1], VALUES[1:]
    destination, source = lanes.permlane32_swap(low, high)
    assert destination[0, [0, 31, 32, 63]].tolist() == [100, 131, 200, 231]
    assert source[0, [0, 31, 32, 63]].tolist() == [132, 163, 232, 263]
    destination, source = lanes.permlane16_swap(low, high)
    assert destination[0, [0, 16, 32, 48]].tolist() == [100, 200, 132, 232]
    assert source[0, [0, 16, 32, 48]].tolist() == [116, 216, 148, 248]


@pytest.mark.parametrize(
    ("selection", "plain", "extended"),
    [
        ("BYTE_0", 0x44, 0x44),
        ("BYTE_1", 0xB3, 0xFFFFFFB3),
        ("BYTE_2", 0x22, 0x22),
        ("BYTE_3", 0x91, 0xFFFFFF91),
        ("WORD_0", 0xB344, 0xFFFFB344),
        ("WORD_1", 0x9122, 0xFFFF9122),
        ("DWORD", 0x9122B344, 0x9122B344),
    ],
)
def test_sdwa_sources(selection, plain, extended):
    word = np.array([0x9122B344], np.uint32)
    assert sdwa.select_source(word, selection)[0] == plain
    assert sdwa.select_source(word, selection, sign_extend=True)[0] == extended


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("BYTE_0", (0x000000EE, 0xFFFFFFEE, 0x112233EE)),
        ("BYTE_1", (0x0000EE00, 0xFFFFEE00, 0x1122EE44)),
        ("BYTE_2", (0x00EE0000, 0xFFEE0000, 0x11EE3344)),
        ("BYTE_3", (0xEE000000, 0xEE000000, 0xEE223344)),
        ("WORD_0", (0x00007DEE, 0x00007DEE, 0x11227DEE)),
        ("WORD_1", (0x7DEE0000, 0x7DEE0000, 0x7DEE3344)),
        ("DWORD", (0xABCD7DEE, 0xABCD7DEE, 0xABCD7DEE)),
    ],
)
def test_sdwa_destinations(selection, expected):
    old, result = np.array([0x11223344], np.uint32), np.array([0xABCD7DEE], np.uint32)
    made = [sdwa.merge_destination(old, result, selection, unused)[0] for unused in sdwa.UNUSED]
    assert tuple(made) == expected
