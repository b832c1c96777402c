"""Values that move between the lanes of a wave: arrays of shape [waves, 64].

A LaneMap says from which lane each lane reads, and whether that lane exists for it.  EXEC is a bool
array [waves, 64]; what an inactive destination lane keeps is the machine's part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rocmoe.ops.gcn.semantics.float_format import Array

WAVE = 64
LANES: Array = np.arange(WAVE)
LANES.setflags(write=False)

_SWIZZLE_QUAD, _SWIZZLE_ROTATE, _SWIZZLE_FFT = 0x8000, 0xC000, 0xE000


@dataclass(frozen=True)
class LaneMap:
    """source: int64 [64], the lane read by each lane; valid: bool [64], whether there is one."""

    source: Array
    valid: Array


def read_lane(values: Array, lane: Array) -> Array:
    """v_readlane_b32: the value of lane `lane` & 63 (one a wave), whatever EXEC is; [waves]."""
    return np.asarray(values[np.arange(len(values)), np.asarray(lane).astype(np.int64) & 63])


def write_lane(values: Array, scalar: Array, lane: Array) -> Array:
    """v_writelane_b32: `values` with `scalar` in lane `lane` & 63, whatever EXEC is."""
    written: Array = values.copy()
    written[np.arange(len(values)), np.asarray(lane).astype(np.int64) & 63] = scalar
    return written


def first_active_lane(active: Array) -> Array:
    """The lowest lane of each wave that EXEC has, int64; lane 0 if EXEC is 0."""
    return np.asarray(np.argmax(active, axis=-1))


def read_first_lane(values: Array, active: Array) -> Array:
    """v_readfirstlane_b32: the value of the first active lane, or of lane 0 if EXEC is 0."""
    return read_lane(values, first_active_lane(active))


def _lanes_of_address(address: Array, offset: int) -> Array:
    return ((address.astype(np.int64) + offset) >> 2) & (WAVE - 1)


def bpermute(address: Array, values: Array, active: Array, offset: int = 0) -> Array:
    """ds_bpermute_b32: each lane reads lane (address + offset) / 4 mod 64; inactive ones give 0."""
    source = _lanes_of_address(address, offset)
    moved = np.take_along_axis(values, source, axis=-1)
    return np.where(np.take_along_axis(active, source, axis=-1), moved, values.dtype.type(0))


def permute(address: Array, values: Array, active: Array, offset: int = 0) -> Array:
    """ds_permute_b32: each active lane writes lane (address + offset) / 4 mod 64.

    The highest of several writers wins; a lane that nobody writes gets 0.
    """
    target = _lanes_of_address(address, offset)
    moved = np.zeros_like(values)
    rows = np.arange(len(values))
    for lane in range(WAVE):
        on = active[:, lane]
        moved[rows[on], target[on, lane]] = values[on, lane]
    return moved


def _reverse_five_bits(lane: Array) -> Array:
    reversed_bits = np.zeros_like(lane)
    for bit in range(5):
        reversed_bits |= ((lane >> bit) & 1) << (4 - bit)
    return reversed_bits


def _swizzle_within_32(offset: int, lane: Array) -> Array:
    low, middle, high = offset & 31, (offset >> 5) & 31, (offset >> 10) & 31
    if offset >= _SWIZZLE_FFT:
        return (_reverse_five_bits(lane) >> low.bit_count()) | (lane & low)
    if offset >= _SWIZZLE_ROTATE:
        step = -middle if high & 1 else middle
        return (lane & low) | ((lane + step) & ~low & 31)
    return ((lane & low) | middle) ^ high


def swizzle_lanes(offset: int) -> LaneMap:
    """ds_swizzle_b32: the lanes that its 16-bit offset field selects.

    Below 0x8000 a bit mask (and, or, xor) within 32 lanes; then quad permutation; from 0xc000 a
    rotation within 32 lanes; from 0xe000 the FFT order.
    """
    if _SWIZZLE_QUAD <= offset < _SWIZZLE_ROTATE:
        source = (LANES & ~3) | ((offset >> (2 * (LANES & 3))) & 3)
    else:
        source = (LANES & 32) | _swizzle_within_32(offset, LANES & 31)
    return LaneMap(source, np.ones(WAVE, np.bool_))


def swizzle(values: Array, active: Array, offset: int) -> Array:
    """ds_swizzle_b32: the selected lanes' values; inactive source lanes give 0."""
    source = swizzle_lanes(offset).source
    return np.where(active[:, source], values[:, source], values.dtype.type(0))


def _swap_halves(destination: Array, source: Array, group: int) -> tuple[Array, Array]:
    upper = (LANES & group) != 0
    new_destination = np.where(upper, source[:, LANES ^ group], destination)
    return new_destination, np.where(upper, source, destination[:, LANES ^ group])


def permlane16_swap(destination: Array, source: Array) -> tuple[Array, Array]:
    """v_permlane16_swap_b32 (gfx950): odd rows of VDST swap with the even rows of SRC0 below.

    Returns the new VDST and the new SRC0, every lane as if active.
    """
    return _swap_halves(destination, source, 16)


def permlane32_swap(destination: Array, source: Array) -> tuple[Array, Array]:
    """v_permlane32_swap_b32 (gfx950): lanes 32-63 of VDST swap with lanes 0-31 of SRC0."""
    return _swap_halves(destination, source, 32)
