"""Packed operations: two f16 in a u32, or two f32 in a u64 (a register pair).

Operations take words whose halves are already selected and negated; `select_halves` does that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rocmoe.ops.gcn.semantics import float_arithmetic, fused, minmax
from rocmoe.ops.gcn.semantics.citation import cdna3, cdna4
from rocmoe.ops.gcn.semantics.float_format import Array, join_halves, quietly, split_halves
from rocmoe.ops.gcn.semantics.operation import ARCHS, Operation, table


def select_halves(
    words: Array, op_sel: int = 0, op_sel_hi: int = 1, neg_lo: int = 0, neg_hi: int = 0
) -> Array:
    """One source of a packed operation after its modifiers, each 0 or 1.

    op_sel, op_sel_hi: which half (0 low, 1 high) the low and the high result read.
    neg_lo, neg_hi: whether the sign of the half that the low and the high result read is flipped.
    """
    halves = split_halves(words)
    low, high = halves[op_sel], halves[op_sel_hi]
    sign = low.dtype.type(1 << (low.dtype.itemsize * 8 - 1))
    return join_halves(low ^ sign if neg_lo else low, high ^ sign if neg_hi else high)


def _packed(compute: Callable[..., Array], float_type: Any) -> Callable[..., Array]:
    @quietly
    def compute_halves(*words: Array) -> Array:
        split = [split_halves(np.asarray(word)) for word in words]
        low = compute(*(half.view(float_type) for half, _ in split))
        high = compute(*(half.view(float_type) for _, half in split))
        return join_halves(np.asarray(low), np.asarray(high))

    return compute_halves


_OF_F16: dict[str, tuple[int, Callable[..., Array]]] = {
    "add": (2, float_arithmetic.add),
    "mul": (2, float_arithmetic.multiply),
    "min": (2, minmax.minimum_number),
    "max": (2, minmax.maximum_number),
    "fma": (3, fused.fma_f16),
    "fmac": (3, fused.fma_f16),
}
_OF_F16_GFX950 = {"minimum3": minmax.minimum3, "maximum3": minmax.maximum3}
_OF_F32: dict[str, tuple[int, Callable[..., Array]]] = {
    "add": (2, float_arithmetic.add),
    "mul": (2, float_arithmetic.multiply),
    "fma": (3, fused.fma_f32),
}


def _of_f16(
    name: str, count: int, compute: Callable[..., Array], cite: str, archs: tuple[str, ...]
) -> Operation:
    packed = _packed(compute, np.float16)
    return Operation(f"v_pk_{name}_f16", ("u32",) * count, ("u32",), packed, cite, archs)


def _of_f32(name: str, count: int, compute: Callable[..., Array]) -> Operation:
    packed = _packed(compute, np.float32)
    cite = cdna3(f"V_PK_{name.upper()}_F32")
    return Operation(f"v_pk_{name}_f32", ("u64",) * count, ("u64",), packed, cite)


OPERATIONS = table(
    *(_of_f16(n, k, f, cdna3(f"V_PK_{n.upper()}_F16"), ARCHS) for n, (k, f) in _OF_F16.items()),
    *(
        _of_f16(n, 3, f, cdna4(f"V_PK_{n.upper()}_F16"), ("gfx950",))
        for n, f in _OF_F16_GFX950.items()
    ),
    *(_of_f32(n, k, f) for n, (k, f) in _OF_F32.items()),
    Operation("v_pack_b32_f16", ("f16", "f16"), ("u32",), join_halves, cdna3("V_PACK_B32_F16")),
)
