"""Sparse matrix instructions of gfx942 (gfx950 has them too): D = A B + D, half of A left out.

Of every four neighbours in a row of A two are stored, and two bits each tell which.  Source: AMD's
amd_matrix_instruction_calculator (CDNA3), layouts of A, B, D and of the compression index, which
lies in one register: 8 bits of a lane for 16-bit elements, 16 for 8-bit ones; ABID selects which
while CBSZ is 0.  Results are rounded as those of `mfma`.  gfx950's wider ones are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from rocmoe.ops.gcn.semantics.float_format import Array, quietly, settle_nans
from rocmoe.ops.gcn.semantics.mfma import unpack
from rocmoe.ops.gcn.semantics.mfma_layout import (
    WAVE,
    MatrixShape,
    result_layout,
    source_layout,
)

SPARSE_ARCHS = ("gfx942", "gfx950")
_OF_FOUR = 4
_STORED = 2


@dataclass(frozen=True)
class Smfmac:
    """shape: that of the whole product, as if A were dense."""

    name: str
    arch: str
    shape: MatrixShape
    sources: tuple[str, str]
    result: str

    @property
    def groups(self) -> int:
        """Fours of A in one lane."""
        return self.shape.source_places // _OF_FOUR

    @property
    def index_bits(self) -> int:
        """Bits of a lane's compression indices."""
        return self.groups * _STORED * 2

    @property
    def source_registers(self) -> tuple[int, int]:
        """32-bit registers of A and of B."""
        element = 1 if self.sources[0] in ("i8", "fp8", "bf8") else 2
        of_b = self.shape.source_places * element // 4
        return of_b // 2, of_b

    @property
    def result_registers(self) -> int:
        return self.shape.result_places

    def _gather(self, stored: Array, index: Array) -> tuple[Array, Array]:
        """Elements of A that are stored, and the k that each belongs to, [waves, row, places]."""
        layout = source_layout(self.shape)
        places = np.arange(stored.shape[-1])
        shifts = (2 * places).astype(np.uint32)
        of_four = (index[..., None] >> shifts) & np.uint32(3)
        k = layout.inner[:, places // _STORED * _OF_FOUR] + of_four.astype(np.int64)
        # Lanes of one row of A, in the order of k.
        lanes = np.arange(WAVE).reshape(-1, self.shape.size).T
        rows = (len(stored), self.shape.size, -1)
        return stored[:, lanes].reshape(rows), k[:, lanes].reshape(rows)

    @quietly
    def compute(
        self, a: Array, b: Array, d: Array, index: Array, cbsz: int = 0, abid: int = 0
    ) -> Array:
        """D of A, B and D, u32 [waves, 64, registers], and the indices, u32 [waves, 64]."""
        segment = 0 if cbsz else abid % (32 // self.index_bits)
        indices = index >> np.uint32(segment * self.index_bits)
        left, k = self._gather(unpack(a, self.sources[0], self.arch), indices)
        layout, places = source_layout(self.shape), result_layout(self.shape)
        right = np.empty((len(left), self.shape.k, self.shape.size))
        right[:, layout.inner, layout.outer] = unpack(b, self.sources[1], self.arch)
        chosen = right[np.arange(len(left))[:, None, None], k]
        product = (left[:, :, None] @ chosen)[:, :, 0]
        integer = self.result == "i32"
        addend = np.ascontiguousarray(d, "<u4").view(np.int32 if integer else np.float32)
        total = product[:, places.outer, places.inner] + addend
        if integer:
            return total.astype(np.int64).astype(np.int32).view(np.uint32)
        return settle_nans(total.astype(np.float32), addend).view(np.uint32)


_HALF, _EIGHT = ((16, 32), (32, 16)), ((16, 64), (32, 32))
_KINDS = (
    *(((kind, kind), "f32", _HALF) for kind in ("f16", "bf16")),
    (("i8", "i8"), "i32", _EIGHT),
    *(((a, b), "f32", _EIGHT) for a in ("fp8", "bf8") for b in ("fp8", "bf8")),
)


def _of_arch(arch: str) -> Mapping[str, Smfmac]:
    made = {}
    for sources, result, shapes in _KINDS:
        for size, k in shapes:
            of = "_".join(sources) if "8" in sources[0] and result == "f32" else sources[0]
            name = f"v_smfmac_{result}_{size}x{size}x{k}_{of}"
            made[name] = Smfmac(name, arch, MatrixShape(size, k), sources, result)
    return MappingProxyType(made)


SMFMAC: Mapping[str, Mapping[str, Smfmac]] = MappingProxyType(
    {arch: _of_arch(arch) for arch in SPARSE_ARCHS}
)
