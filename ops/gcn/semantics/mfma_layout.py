"""Where the elements of A, B, C and D of a matrix instruction lie: lane and place in the lane.

Source: CDNA3 ISA (AMD Instinct MI300), matrix arithmetic instructions, and AMD's
amd_matrix_instruction_calculator for the two f64 shapes.  A is M x K, B is K x N with N = M here;
B lies as A does with column for row.  A place counts elements (not registers) of one lane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rocmoe.ops.gcn.semantics.float_format import Array

WAVE = 64
_LANES = np.arange(WAVE)[:, None]


class Layout(NamedTuple):
    """Indices [64, places]: block, row of A (column of B), and k; or block, row and column."""

    block: Array
    outer: Array
    inner: Array


@dataclass(frozen=True)
class MatrixShape:
    """`blocks` independent products of size x k with k x size; size is 4, 16 or 32."""

    size: int
    k: int
    blocks: int = 1

    @property
    def source_places(self) -> int:
        """Elements of A, or of B, in one lane."""
        return self.size * self.k * self.blocks // WAVE

    @property
    def result_places(self) -> int:
        """Elements of C, or of D, in one lane."""
        return self.size * self.size * self.blocks // WAVE


def _layout(block: Array, outer: Array, inner: Array) -> Layout:
    block, outer, inner = np.broadcast_arrays(block, outer, inner)
    return Layout(block, outer, inner)


def source_layout(shape: MatrixShape) -> Layout:
    """Block, row and k of every element of A (for B: block, column and k)."""
    group = _LANES // shape.size
    place = np.arange(shape.source_places)[None, :]
    k = group // shape.blocks * shape.source_places + place
    return _layout(group % shape.blocks, _LANES % shape.size, k)


def result_layout(shape: MatrixShape) -> Layout:
    """Block, row and column of every element of C and D of 32-bit results."""
    place = np.arange(shape.result_places)[None, :]
    column = _LANES % shape.size
    if shape.size == 4:
        return _layout(_LANES // 4, place, column)
    rows_of_a_group = 4 * (WAVE // shape.size)
    of_a_block = shape.size * shape.size // WAVE
    in_block = place % of_a_block
    row = in_block // 4 * rows_of_a_group + 4 * (_LANES // shape.size) + in_block % 4
    return _layout(place // of_a_block, row, column)


def result_layout_f64(shape: MatrixShape) -> Layout:
    """Block, row and column of every element of C and D of f64 results."""
    place = np.arange(shape.result_places)[None, :]
    column = _LANES % shape.size
    if shape.size == 4:
        return _layout(_LANES // 4 % 4, _LANES // 16 + 0 * place, column)
    return _layout(0 * place, 4 * place + _LANES // 16, column)


def broadcast_blocks(blocks: int, cbsz: int, abid: int) -> Array:
    """Which block of A each block uses: CBSZ joins 2**cbsz blocks, ABID picks one of each group."""
    index = np.arange(blocks)
    return (index >> cbsz << cbsz) + abid if cbsz else index


_BROADCAST_16 = {4: 0, 5: 16, 6: 32, 7: 48}


def permuted_lanes(blgp: int) -> Array:
    """Which lane of B each lane uses: BLGP 0 to 7."""
    lanes = np.arange(WAVE)
    if blgp in _BROADCAST_16:
        return lanes % 16 + _BROADCAST_16[blgp]
    return {0: lanes, 1: lanes % 32, 2: lanes % 32 + 32, 3: (lanes + 16) % WAVE}[blgp]
