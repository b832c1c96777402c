"""Integer comparisons of vectors (VOPC): v_cmp to a lane's bit, v_cmpx to EXEC's as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from rocmoe.ops.gcn.semantics.declaration import declare
from rocmoe.ops.gcn.semantics.operation import Operation, table
from rocmoe.ops.gcn.semantics.words import Array

KINDS = ("i16", "u16", "i32", "u32", "i64", "u64")

PREDICATES: dict[str, Callable[[Array, Array], Array]] = {
    "f": lambda a, b: np.zeros(np.broadcast(a, b).shape, np.bool_),
    "lt": np.less,
    "eq": np.equal,
    "le": np.less_equal,
    "gt": np.greater,
    "ne": np.not_equal,
    "ge": np.greater_equal,
    "t": lambda a, b: np.ones(np.broadcast(a, b).shape, np.bool_),
}


def _twice(
    predicate: Callable[[Array, Array], Array],
) -> Callable[[Array, Array], tuple[Array, Array]]:
    def compute(a: Array, b: Array) -> tuple[Array, Array]:
        bits = predicate(a, b)
        return bits, bits.copy()

    return compute


def _declare_comparisons() -> Iterator[Operation]:
    """What inactive lanes get (a 0 bit) is the machine's."""
    for kind in KINDS:
        sources = f"{kind} {kind}"
        for name, predicate in PREDICATES.items():
            yield declare(f"v_cmp_{name}_{kind}", sources, "bool", predicate, "VOPC")
            yield declare(f"v_cmpx_{name}_{kind}", sources, "bool bool", _twice(predicate), "VOPC")


OPERATIONS = table(*_declare_comparisons())
