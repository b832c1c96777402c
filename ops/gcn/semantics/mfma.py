"""Matrix fused multiply-add: D = A B + C over a whole wave, whatever EXEC is.

f32 results: the products and their sum with C are float64, rounded once to f32.  That sum is within
(K + 1) 2**-53 (sum |a b| + |c|) of the exact one, so the result is within half an ulp and that of
it.  The order and rounding of the partial sums in hardware are not documented.  i32 results are
exact, modulo 2**32.  f64 results are a chain of fma over k, upwards from C.

gfx90a flushes denormals of f16 and bf16 sources, and of their results (PyTorch, "Numerical
accuracy", on AMD Instinct MI200); gfx942 and gfx950 keep them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from rocmoe.ops.gcn.semantics.float_format import Array, flush_denormals, quietly, settle_nans
from rocmoe.ops.gcn.semantics.fused import fma_f64
from rocmoe.ops.gcn.semantics.mfma_layout import (
    Layout,
    MatrixShape,
    broadcast_blocks,
    permuted_lanes,
    result_layout,
    result_layout_f64,
    source_layout,
)
from rocmoe.ops.gcn.semantics.small_float import bf8_of, decode, f32_of_bf16, fp8_of

REGISTER_BYTES = 4
_ELEMENT_BYTES = {"f64": 8, "f32": 4, "xf32": 4, "f16": 2, "bf16": 2, "i8": 1, "fp8": 1, "bf8": 1}
_RESULTS = {"f32": np.float32, "i32": np.int32, "f64": np.float64}
_FLUSHED = ("f16", "bf16")


def _round_to_xf32(x: Array) -> Array:
    """f32 with 10 mantissa bits, to nearest even; the hardware's rounding is not documented."""
    bits = x.view(np.uint32)
    odd = (bits >> np.uint32(13)) & np.uint32(1)
    rounded = (bits + np.uint32(0xFFF) + odd) & np.uint32(0xFFFFE000)
    return np.where(np.isfinite(x), rounded.view(np.float32), x)


def unpack(registers: Array, kind: str, arch: str) -> Array:
    """Registers u32 [waves, 64, n] to their elements, [waves, 64, places], as float64."""
    packed = np.ascontiguousarray(registers, "<u4")
    if kind in ("fp8", "bf8"):
        small = fp8_of(arch) if kind == "fp8" else bf8_of(arch)
        return decode(packed.view(np.uint8), small).astype(np.float64)
    if kind == "bf16":
        values = f32_of_bf16(packed.view("<u2"))
    else:
        dtype = {"f16": "<f2", "i8": "<i1", "f64": "<f8"}.get(kind, "<f4")
        values = packed.view(dtype)
    if kind == "xf32":
        values = _round_to_xf32(values)
    flushed = flush_denormals(values) if arch == "gfx90a" and kind in _FLUSHED else values
    return flushed.astype(np.float64)


@dataclass(frozen=True)
class Mfma:
    """One matrix instruction of one target."""

    name: str
    arch: str
    shape: MatrixShape
    sources: tuple[str, str]
    result: str

    @property
    def source_registers(self) -> int:
        """32-bit registers of A, and of B."""
        used = self.shape.source_places * _ELEMENT_BYTES[self.sources[0]]
        return max(used // REGISTER_BYTES, 1)

    @property
    def result_registers(self) -> int:
        """32-bit registers of C, and of D."""
        return self.shape.result_places * (2 if self.result == "f64" else 1)

    @property
    def result_places(self) -> Layout:
        of_f64 = self.result == "f64"
        return result_layout_f64(self.shape) if of_f64 else result_layout(self.shape)

    def _dense(self, elements: Array) -> Array:
        """[waves, 64, places] to [waves, block, row of A or column of B, k]."""
        shape, layout = self.shape, source_layout(self.shape)
        dense = np.empty((len(elements), shape.blocks, shape.size, shape.k))
        dense[:, layout.block, layout.outer, layout.inner] = elements
        return dense

    @quietly
    def compute(
        self, a: Array, b: Array, c: Array, cbsz: int = 0, abid: int = 0, blgp: int = 0
    ) -> Array:
        """D of A, B and C, all u32 [waves, 64, registers]; CBSZ, ABID, BLGP as encoded.

        For f64 results BLGP negates: bit 0 A, bit 1 B, bit 2 C.
        """
        elements = [unpack(r, k, self.arch) for r, k in zip((a, b), self.sources, strict=True)]
        addend = np.ascontiguousarray(c, "<u4").view(_RESULTS[self.result])
        if self.result == "f64":
            return self._chain(elements[0], elements[1], addend, blgp).view(np.uint32)
        left = self._dense(elements[0])[:, broadcast_blocks(self.shape.blocks, cbsz, abid)]
        right = self._dense(elements[1][:, permuted_lanes(blgp)])
        product = left @ right.transpose(0, 1, 3, 2)
        places = self.result_places
        total = product[:, places.block, places.outer, places.inner] + addend
        return self._round(total, addend).view(np.uint32)

    def _round(self, total: Array, addend: Array) -> Array:
        if self.result == "i32":
            return total.astype(np.int64).astype(np.int32)
        rounded = settle_nans(total.astype(np.float32), addend)
        flushes = self.arch == "gfx90a" and self.sources[0] in _FLUSHED
        return flush_denormals(rounded) if flushes else rounded

    def _chain(self, a: Array, b: Array, total: Array, negations: int) -> Array:
        left, right = (self._dense(x) for x in (a, b))
        left = -left if negations & 1 else left
        right = -right if negations & 2 else right
        total = -total if negations & 4 else total
        places = self.result_places
        for k in range(self.shape.k):
            factor = left[:, places.block, places.outer, k]
            total = fma_f64(factor, right[:, places.block, places.inner, k], total)
        return np.ascontiguousarray(total)


_BLOCKS = {32: 2, 16: 4, 4: 16}
# (size, k, whether the instruction multiplies several blocks) by type, as their targets have them.
_F32 = [(32, 1, True), (16, 1, True), (4, 1, True), (32, 2, False), (16, 4, False)]
_HALF = [(32, 4, True), (16, 4, True), (4, 4, True), (32, 8, False), (16, 16, False)]
_BF16 = [(32, 2, True), (16, 2, True), (4, 2, True), (32, 4, False), (16, 8, False)]
_I8 = [(32, 4, True), (16, 4, True), (4, 4, True)]
_F64 = [(16, 4, False)]
_SHAPES: Mapping[str, Mapping[str, list[tuple[int, int, bool]]]] = {
    "gfx90a": {
        "f32": _F32,
        "f16": _HALF,
        "bf16": _BF16,
        "bf16_1k": _HALF,
        "i8": [*_I8, (32, 8, False), (16, 16, False)],
        "f64": _F64,
    },
    "gfx942": {
        "f32": _F32,
        "f16": _HALF,
        "bf16": _HALF,
        "i8": [*_I8, (32, 16, False), (16, 32, False)],
        "f64": _F64,
        "xf32": [(16, 8, False), (32, 4, False)],
        "fp8": [(16, 32, False), (32, 16, False)],
    },
}
_WIDE_HALF = [(16, 32, False), (32, 16, False)]
_GFX950 = {
    "f32": _F32,
    "f16": [*_HALF, *_WIDE_HALF],
    "bf16": [*_HALF, *_WIDE_HALF],
    "i8": [*_I8, (32, 16, False), (16, 32, False), (32, 32, False), (16, 64, False)],
    "f64": _F64,
    "fp8": [(16, 32, False), (32, 16, False)],
}
_EIGHT_BIT = [("fp8", "fp8"), ("fp8", "bf8"), ("bf8", "fp8"), ("bf8", "bf8")]


def _result_of(kind: str) -> str:
    return {"i8": "i32", "f64": "f64"}.get(kind, "f32")


def _name(arch: str, kind: str, size: int, k: int, blocks: int) -> str:
    base = f"v_mfma_{_result_of(kind)}_{size}x{size}x{k}"
    if arch == "gfx90a":
        return base + kind
    return base + (f"_{blocks}b_" if blocks > 1 else "_") + kind


def _of_type(arch: str, kind: str, shapes: list[tuple[int, int, bool]]) -> list[Mfma]:
    made = []
    for size, k, several in shapes:
        shape = MatrixShape(size, k, _BLOCKS[size] if several else 1)
        pairs = _EIGHT_BIT if kind == "fp8" else [(kind.removesuffix("_1k"),) * 2]
        for pair in pairs:
            suffix = "_".join(pair) if kind == "fp8" else kind
            name = _name(arch, suffix, size, k, shape.blocks)
            made.append(Mfma(name, arch, shape, pair, _result_of(kind)))
    return made


def _of_arch(arch: str, types: Mapping[str, list[tuple[int, int, bool]]]) -> Mapping[str, Mfma]:
    made = [mfma for kind, shapes in types.items() for mfma in _of_type(arch, kind, shapes)]
    four_f64 = _name(arch, "f64", 4, 4, 4)
    made.append(Mfma(four_f64, arch, MatrixShape(4, 4, 4), ("f64", "f64"), "f64"))
    return MappingProxyType({mfma.name: mfma for mfma in made})


MFMA: Mapping[str, Mapping[str, Mfma]] = MappingProxyType(
    {arch: _of_arch(arch, types) for arch, types in {**_SHAPES, "gfx950": _GFX950}.items()}
)
