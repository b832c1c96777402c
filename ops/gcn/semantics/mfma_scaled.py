"""gfx950's matrix instructions of 8, 6 and 4 bits, V_MFMA_F32_*_F8F6F4 and V_MFMA_SCALE_F32_*.

CBSZ and BLGP name the formats of A and B.  Sources of the layout: AMD's composable_kernel
(test/mx_mfma_op/mx_mfma_op.hpp, and scale_mapping_16x16x128.txt, which lists what a GPU did), and
AMD's emulator rocjitsu (ROCm/rocm-systems, shared/mma/layout.h).  A lane has 32 elements of a row
of A or of a column of B: of 4 and 6 bits those of one block of 32, of 8 bits two runs of 16, since
the registers are filled as two instructions of half the depth would.  Scales: each lane has one of
a block of 32, E8M0, in the byte that OP_SEL (low bit) and OP_SEL_HI select; the lane is the
block's number times the rows, plus the row, for every format.

Results are rounded as those of `mfma`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from rocmoe.ops.gcn.semantics.code_packing import unpack_codes
from rocmoe.ops.gcn.semantics.float_format import Array, quietly, settle_nans
from rocmoe.ops.gcn.semantics.mfma_layout import WAVE, Layout, MatrixShape, result_layout
from rocmoe.ops.gcn.semantics.scaled_conversion import NAN_SCALE
from rocmoe.ops.gcn.semantics.small_float import (
    BF6,
    BF8_OCP,
    FP4,
    FP6,
    FP8_OCP,
    SmallFloat,
    decode,
)

#: By the code in CBSZ and BLGP.
FORMATS = (FP8_OCP, BF8_OCP, FP6, BF6, FP4)
#: Elements that share a scale, and elements of one lane.
BLOCK = 32
_RUN = 16
_BIAS = 127


def source_layout_of(shape: MatrixShape, small: SmallFloat) -> Layout:
    """Row and k of every element of A (for B: column and k) at [lane, place]."""
    lanes, place = np.arange(WAVE)[:, None], np.arange(BLOCK)[None, :]
    group = lanes // shape.size
    if small.bits == 8:
        k = place // _RUN * (shape.k // 2) + group * _RUN + place % _RUN
    else:
        k = group * BLOCK + place
    return Layout(*np.broadcast_arrays(0 * k, lanes % shape.size, k))


def scale_factors(scales: Array) -> Array:
    """The f64 that E8M0 codes (u8) stand for."""
    powers = np.ldexp(1.0, scales.astype(np.int32) - _BIAS)
    return np.where(scales == NAN_SCALE, np.nan, powers)


@dataclass(frozen=True)
class MicroscaledMfma:
    name: str
    shape: MatrixShape

    @property
    def result_registers(self) -> int:
        """32-bit registers of C, and of D."""
        return self.shape.result_places

    @property
    def blocks(self) -> int:
        """Blocks of 32 in a row of A, or a column of B."""
        return self.shape.k // BLOCK

    def _dense(self, registers: Array, small: SmallFloat) -> Array:
        """[waves, row of A or column of B, k]."""
        values = decode(unpack_codes(registers, small.bits), small).astype(np.float64)
        layout = source_layout_of(self.shape, small)
        dense = np.empty((len(registers), self.shape.size, self.shape.k))
        dense[:, layout.outer, layout.inner] = values
        return dense

    def _scale(self, dense: Array, scales: Array | None) -> Array:
        if scales is None:
            return dense
        by_block = scale_factors(scales).reshape(-1, self.blocks, self.shape.size)
        return np.asarray(dense * np.repeat(by_block.transpose(0, 2, 1), BLOCK, axis=2))

    @quietly
    def compute(
        self,
        a: Array,
        b: Array,
        c: Array,
        formats: tuple[SmallFloat, SmallFloat],
        scales: tuple[Array, Array] | None = None,
    ) -> Array:
        """D of A, B and C, all u32 [waves, 64, registers]; scales: of A and B, u8 [waves, 64]."""
        of_a, of_b = scales or (None, None)
        left = self._scale(self._dense(a, formats[0]), of_a)
        right = self._scale(self._dense(b, formats[1]), of_b)
        product = left @ right.transpose(0, 2, 1)
        places = result_layout(self.shape)
        addend = np.ascontiguousarray(c, "<u4").view(np.float32)
        total = product[:, places.outer, places.inner] + addend
        return settle_nans(total.astype(np.float32), addend).view(np.uint32)


MICROSCALED: Mapping[str, MicroscaledMfma] = MappingProxyType(
    {
        name: MicroscaledMfma(name, MatrixShape(size, k))
        for size, k in ((16, 128), (32, 64))
        for name in (
            f"v_mfma_f32_{size}x{size}x{k}_f8f6f4",
            f"v_mfma_scale_f32_{size}x{size}x{k}_f8f6f4",
        )
    }
)
