"""The operations that f16, f32 and f64 have in common, made into a table for one type."""

from __future__ import annotations

from rocmoe.ops.gcn.semantics import float_arithmetic as arithmetic
from rocmoe.ops.gcn.semantics.citation import cdna3
from rocmoe.ops.gcn.semantics.float_format import Compute
from rocmoe.ops.gcn.semantics.operation import Operation

_UNARY = {
    "floor": arithmetic.floor,
    "ceil": arithmetic.ceil,
    "trunc": arithmetic.trunc,
    "rndne": arithmetic.round_to_even,
    "fract": arithmetic.fract,
    "frexp_mant": arithmetic.frexp_mantissa,
}
_BINARY = {"add": arithmetic.add, "mul": arithmetic.multiply}
_SUBTRACTION = {"sub": arithmetic.subtract, "subrev": arithmetic.subtract_reversed}


def operation(name: str, sources: str, result: str, compute: Compute) -> Operation:
    """An operation of all targets; `sources` is space-separated."""
    return Operation(name, tuple(sources.split()), (result,), compute, cdna3(name.upper()))


def shared_operations(kind: str) -> list[Operation]:
    """`kind` is f16, f32 or f64; f64 has no subtraction, only addition with a negated source."""
    binary = _BINARY if kind == "f64" else {**_BINARY, **_SUBTRACTION}
    made = [operation(f"v_{n}_{kind}", kind, kind, f) for n, f in _UNARY.items()]
    return made + [operation(f"v_{n}_{kind}", f"{kind} {kind}", kind, f) for n, f in binary.items()]
