"""Scalar comparisons (SOPC, and SOPK's with a constant): two values to SCC."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from rocmoe.ops.gcn.semantics.declaration import declare
from rocmoe.ops.gcn.semantics.operation import Operation, table
from rocmoe.ops.gcn.semantics.words import Array, shift_right

PREDICATES: dict[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal,
    "lg": np.not_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
}


def _bit(word: Array, index: Array) -> Array:
    return (shift_right(word, index) & word.dtype.type(1)) != 0


def _declare_comparisons() -> Iterator[Operation]:
    for name, predicate in PREDICATES.items():
        for kind, constant in (("i32", "i16"), ("u32", "u16")):
            yield declare(f"s_cmp_{name}_{kind}", f"{kind} {kind}", "bool", predicate, "SOPC")
            # The constant has the sign of the comparison: it is zero-extended for u32.
            yield declare(f"s_cmpk_{name}_{kind}", f"{kind} {constant}", "bool", predicate, "SOPK")
    for name in ("eq", "lg"):
        yield declare(f"s_cmp_{name}_u64", "u64 u64", "bool", PREDICATES[name], "SOPC")


def _declare_bits() -> Iterator[Operation]:
    for bits in (32, 64):
        sources = f"u{bits} u32"
        yield declare(f"s_bitcmp0_b{bits}", sources, "bool", lambda a, i: ~_bit(a, i), "SOPC")
        yield declare(f"s_bitcmp1_b{bits}", sources, "bool", _bit, "SOPC")


OPERATIONS = table(*_declare_comparisons(), *_declare_bits())
