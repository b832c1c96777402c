"""exp, log, rcp, rsq, sqrt, sin and cos.

Results are rounded to nearest even from a correctly rounded operation (rcp, sqrt) or from a float64
evaluation that is right to about 2**-52 (exp, log, rsq, sin, cos of f16 and f32: the rounding can
only differ from the exact one within that distance of a tie).  v_rsq_f64 is within 1.1 ulp.
The hardware is less exact: F32_ULP_BOUND, F16_ULP_BOUND and F64_ULP_BOUND are what the ISA
documents state for it.  They also state that exp, log, rcp, rsq and sqrt of f32 flush denormals, so
both the source and the result are flushed here; f16 and f64 keep theirs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rocmoe.ops.gcn.semantics.citation import cdna3
from rocmoe.ops.gcn.semantics.float_format import (
    Array,
    flush_denormals,
    quietly,
    settle_nans,
)
from rocmoe.ops.gcn.semantics.operation import Operation, table

F32_ULP_BOUND = 1.0
F16_ULP_BOUND = 0.51
F64_ULP_BOUND = 2.0**29
MAX_REVOLUTIONS = 256.0

Evaluate = Callable[[Array], Array]


def _reciprocal(x: Array) -> Array:
    return np.asarray(1.0 / x)


def _reciprocal_square_root(x: Array) -> Array:
    return np.asarray(1.0 / np.sqrt(x))


def _sine_of_quarter(revolutions: Array) -> Array:
    """sin(2 pi r) for |r| <= 1/4, odd."""
    return np.asarray(np.sin(2.0 * np.pi * revolutions))


def _sine(x: Array) -> Array:
    """sin(2 pi x); 0 out of +-256 revolutions."""
    rest = x - np.rint(x)
    folded = np.where(np.abs(rest) > 0.25, np.copysign(0.5, rest) - rest, rest)
    signed = np.where(folded == 0, np.copysign(0.0, x), _sine_of_quarter(folded))
    return np.where(np.isfinite(x) & (np.abs(x) > MAX_REVOLUTIONS), 0.0, signed)


def _cosine(x: Array) -> Array:
    """cos(2 pi x); 1 out of +-256 revolutions."""
    rest = np.abs(x - np.rint(x))
    value = _sine_of_quarter(0.25 - rest)
    return np.where(np.isfinite(x) & (np.abs(x) > MAX_REVOLUTIONS), 1.0, value)


def _evaluate(evaluate: Evaluate, x: Array) -> Array:
    value = np.asarray(evaluate(np.asarray(x, np.float64)))
    return settle_nans(value.astype(x.dtype), x)


def _keeping_denormals(evaluate: Evaluate) -> Evaluate:
    @quietly
    def compute(x: Array) -> Array:
        return _evaluate(evaluate, x)

    return compute


def _flushing_denormals(evaluate: Evaluate) -> Evaluate:
    @quietly
    def compute(x: Array) -> Array:
        flushed = _evaluate(evaluate, flush_denormals(x))
        return settle_nans(flush_denormals(flushed), x)

    return compute


_FUNCTIONS: dict[str, Evaluate] = {
    "exp": np.exp2,
    "log": np.log2,
    "rcp": _reciprocal,
    "rsq": _reciprocal_square_root,
    "sqrt": np.sqrt,
    "sin": _sine,
    "cos": _cosine,
}
_KEEP = ("sin", "cos")
_OF_F64 = ("rcp", "rsq", "sqrt")


def _operation(name: str, kind: str, compute: Evaluate) -> Operation:
    mnemonic = f"v_{name}_{kind}"
    return Operation(mnemonic, (kind,), (kind,), compute, cdna3(mnemonic.upper()))


def _of_f32(name: str) -> Evaluate:
    function = _FUNCTIONS[name]
    return _keeping_denormals(function) if name in _KEEP else _flushing_denormals(function)


OPERATIONS = table(
    *(_operation(name, "f32", _of_f32(name)) for name in _FUNCTIONS),
    _operation("rcp_iflag", "f32", _of_f32("rcp")),
    *(_operation(name, "f16", _keeping_denormals(f)) for name, f in _FUNCTIONS.items()),
    *(_operation(name, "f64", _keeping_denormals(_FUNCTIONS[name])) for name in _OF_F64),
)
