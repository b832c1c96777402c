"""Transcendental instructions as inexact as the hardware's may be.

The simulator's are correctly rounded; the ISA documents only promise 1 ulp for f32, and 2**29 ulp
for f64 (`semantics.transcendental`).  A kernel must be right for any result within that, so here
each is moved by the bound, up or down by a hash of its bits: the same value always the same way.
Powers of two and what is not a normal number stay, as exact results do on hardware.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.operations import list_operations
from rocmoe.ops.gcn.machine.step import Run
from rocmoe.ops.gcn.machine.vector import lower_operation
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics import transcendental
from rocmoe.ops.gcn.semantics.words import Array

#: By result type: the bound in ulp, bits of the mantissa.
_BOUNDS = {
    "f32": (int(transcendental.F32_ULP_BOUND), 23),
    "f64": (int(transcendental.F64_ULP_BOUND), 52),
}
_HASH = np.uint64(0x9E3779B97F4A7C15)


def lower(program: Program, instruction: Instruction) -> Run | None:
    """What such an instruction does, inexactly; None for any other."""
    if instruction.name not in transcendental.OPERATIONS:
        return None
    operation = list_operations(program.target.architecture)[instruction.name]
    kind = operation.results[0]
    if kind not in _BOUNDS:
        return None
    exact = operation.compute

    def compute(*sources: Array) -> Array:
        return disturb(np.asarray(exact(*sources)), kind)

    return lower_operation(program, instruction, replace(operation, compute=compute))


def disturb(values: Array, kind: str) -> Array:
    """Floats of type `kind` (f32 or f64), each moved by its bound."""
    bound, mantissa = _BOUNDS[kind]
    unsigned = np.dtype(f"u{values.dtype.itemsize}").type
    bits = np.ascontiguousarray(values).view(unsigned)
    fraction = bits & unsigned((1 << mantissa) - 1)
    up = (bits.astype(np.uint64) * _HASH) >> np.uint64(63) != 0
    # So far inside a binade that the step stays in it.
    room = (fraction >= unsigned(bound)) & (fraction <= unsigned((1 << mantissa) - 1 - bound))
    normal = np.isfinite(values) & (np.abs(values) >= np.finfo(values.dtype).tiny)
    moved = np.where(up, bits + unsigned(bound), bits - unsigned(bound))
    return np.where(room & normal, moved, bits).view(values.dtype)
