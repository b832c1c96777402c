"""Data parallel primitives: which lane each DPP control reads, and who is written.

Source: CDNA3 ISA (AMD Instinct MI300), DPP: DPP_CTRL, row_mask, bank_mask, BOUND_CTRL; gfx90a and
later add row_newbcast.  A row is 16 lanes, a bank 4.  A shift left by n reads the lane n above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.semantics.float_format import Array
from rocmoe.ops.gcn.semantics.lanes import LANES, WAVE, LaneMap

_ROW, _IN_ROW = LANES & ~15, LANES & 15
_ALL = np.ones(WAVE, np.bool_)


def quad_perm(selection: Sequence[int]) -> LaneMap:
    """Lane i of each quad reads lane selection[i] of the quad."""
    return LaneMap((LANES & ~3) + np.asarray(selection)[LANES & 3], _ALL)


def _in_range(source: Array, valid: Array) -> LaneMap:
    return LaneMap(np.where(valid, source, 0), valid)


def _row_shl(count: int) -> LaneMap:
    return _in_range(LANES + count, _IN_ROW + count < 16)


def _row_shr(count: int) -> LaneMap:
    return _in_range(LANES - count, count <= _IN_ROW)


def _row_ror(count: int) -> LaneMap:
    return LaneMap(_ROW + ((_IN_ROW - count) & 15), _ALL)


def _row_newbcast(lane: int) -> LaneMap:
    return LaneMap(_ROW + lane, _ALL)


def _row_bcast(lane: int) -> LaneMap:
    """15: the last lane of each row to the next row; 31: lane 31 to rows 2 and 3."""
    if lane == 15:
        return _in_range(_ROW - 1, LANES >= 16)
    return _in_range(np.full(WAVE, 31), LANES >= 32)


_ROW_CONTROLS: dict[str, tuple[range, Callable[[int], LaneMap]]] = {
    "row_shl": (range(1, 16), _row_shl),
    "row_shr": (range(1, 16), _row_shr),
    "row_ror": (range(1, 16), _row_ror),
    "row_newbcast": (range(16), _row_newbcast),
    "row_bcast": (range(15, 32, 16), _row_bcast),
}
_FIXED_CONTROLS = {
    "wave_shl": _in_range(LANES + 1, LANES < 63),
    "wave_rol": LaneMap((LANES + 1) & 63, _ALL),
    "wave_shr": _in_range(LANES - 1, LANES > 0),
    "wave_ror": LaneMap((LANES - 1) & 63, _ALL),
    "row_mirror": LaneMap(_ROW + 15 - _IN_ROW, _ALL),
    "row_half_mirror": LaneMap((LANES & ~7) + 7 - (LANES & 7), _ALL),
}
_CODES = {
    0x130: "wave_shl",
    0x134: "wave_rol",
    0x138: "wave_shr",
    0x13C: "wave_ror",
    0x140: "row_mirror",
    0x141: "row_half_mirror",
}
_ROW_CODES = {0x10: "row_shl", 0x11: "row_shr", 0x12: "row_ror", 0x15: "row_newbcast"}
CONTROLS = ("quad_perm", *_ROW_CONTROLS, *_FIXED_CONTROLS)


def lane_map(control: str, argument: int = 1) -> LaneMap:
    """The map of an assembler control (all but quad_perm): row_shr:3 is ("row_shr", 3)."""
    if control in _FIXED_CONTROLS:
        return _FIXED_CONTROLS[control]
    allowed, build = _ROW_CONTROLS.get(control, (range(0), _row_shl))
    if argument not in allowed:
        raise RocmoeError(f"DPP control {control}:{argument} is unknown; known: {CONTROLS}")
    return build(argument)


def lane_map_of_code(code: int) -> LaneMap:
    """The map of the 9-bit DPP_CTRL field."""
    if 0 <= code < 0x100:
        return quad_perm([(code >> (2 * lane)) & 3 for lane in range(4)])
    if code in (0x142, 0x143):
        return _row_bcast(15 if code == 0x142 else 31)
    if code in _CODES:
        return _FIXED_CONTROLS[_CODES[code]]
    if code >> 4 not in _ROW_CODES:
        raise RocmoeError(f"DPP_CTRL {code:#x} is reserved")
    return lane_map(_ROW_CODES[code >> 4], code & 15)


def written_lanes(row_mask: int = 0xF, bank_mask: int = 0xF) -> Array:
    """The lanes [64] that row_mask (a bit a row) and bank_mask (a bit a bank) let through."""
    row = (row_mask >> (LANES >> 4)) & 1
    bank = (bank_mask >> (_IN_ROW >> 2)) & 1
    return np.asarray((row & bank) != 0)


def move(
    values: Array, active: Array, lanes: LaneMap, enabled: Array, bound_ctrl: bool = False
) -> tuple[Array, Array]:
    """The DPP source of each lane, and the lanes that are written; both [waves, 64].

    A lane whose source does not exist or is inactive reads 0.  It is written only with `bound_ctrl`
    (assembler: bound_ctrl:0 or bound_ctrl:1).  `enabled` is `written_lanes(row_mask, bank_mask)`.
    """
    readable = lanes.valid & active[:, lanes.source]
    moved = np.where(readable, values[:, lanes.source], values.dtype.type(0))
    written = active & enabled
    return moved, written if bound_ctrl else written & readable
