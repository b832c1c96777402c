"""v_cmp and v_cmpx of floats, sixteen conditions, and v_cmp_class.

A condition is the set of the four relations (less, equal, greater, unordered) for which it holds.
v_cmpx computes the same bit; that it also writes EXEC is the machine's part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

import numpy as np

from rocmoe.ops.gcn.semantics.citation import cdna3
from rocmoe.ops.gcn.semantics.float_format import (
    Array,
    is_denormal,
    is_signalling,
    quietly,
)
from rocmoe.ops.gcn.semantics.operation import Operation, table

Compare = Callable[[Array, Array], Array]


def _nothing(a: Array, b: Array) -> Array:
    return np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b)), np.bool_)


def _ordered(a: Array, b: Array) -> Array:
    return cast(Array, ~(np.isnan(a) | np.isnan(b)))


def _less_or_greater(a: Array, b: Array) -> Array:
    return cast(Array, (a < b) | (a > b))


_POSITIVE: dict[str, Compare] = {
    "f": _nothing,
    "lt": np.less,
    "eq": np.equal,
    "le": np.less_equal,
    "gt": np.greater,
    "lg": _less_or_greater,
    "ge": np.greater_equal,
    "o": _ordered,
}
_NEGATED = {
    "u": "o",
    "nge": "ge",
    "nlg": "lg",
    "ngt": "gt",
    "nle": "le",
    "neq": "eq",
    "nlt": "lt",
    "tru": "f",
}


def _negation(compare: Compare) -> Compare:
    def compute(a: Array, b: Array) -> Array:
        return np.logical_not(compare(a, b))

    return compute


CONDITIONS: Mapping[str, Compare] = MappingProxyType(
    {
        name: quietly(compare)
        for name, compare in {
            **_POSITIVE,
            **{name: _negation(_POSITIVE[base]) for name, base in _NEGATED.items()},
        }.items()
    }
)


@quietly
def classify(x: Array, mask: Array) -> Array:
    """Whether bit i of `mask` (u32) is set for the class i of x.

    0 signalling NaN, 1 quiet NaN, 2 -inf, 3 -normal, 4 -denormal, 5 -0, 6 +0, 7 +denormal,
    8 +normal, 9 +inf.
    """
    negative = np.signbit(x)
    magnitude = np.select([np.isinf(x), x == 0, is_denormal(x)], [3, 0, 1], 2)
    number = np.where(negative, 5 - magnitude, 6 + magnitude)
    index = np.where(np.isnan(x), np.where(is_signalling(x), 0, 1), number)
    return cast(Array, (mask >> index.astype(np.uint32)) & np.uint32(1) != 0)


def _operations(prefix: str, kind: str) -> list[Operation]:
    made = [
        Operation(f"{prefix}_{n}_{kind}", (kind, kind), ("bool",), f, _cite(prefix, n, kind))
        for n, f in CONDITIONS.items()
    ]
    cite = _cite(prefix, "class", kind)
    return [
        *made,
        Operation(f"{prefix}_class_{kind}", (kind, "u32"), ("bool",), classify, cite),
    ]


def _cite(prefix: str, name: str, kind: str) -> str:
    return cdna3(f"{prefix}_{name}_{kind}".upper())


OPERATIONS = table(
    *(
        operation
        for prefix in ("v_cmp", "v_cmpx")
        for kind in ("f16", "f32", "f64")
        for operation in _operations(prefix, kind)
    )
)
