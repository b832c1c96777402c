"""Inputs: drawn once in float64, rounded to the case's dtype, the same on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.errors import InputsError, RocmoeError
from rocmoe.ops.core.spec import Inputs, OpSpec

TORCH_DTYPES = {
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
    "i32": "int32",
    "i64": "int64",
}


def draw_inputs(spec: OpSpec, case: Case, draw: int = 0) -> Inputs:
    """The `draw`-th set of inputs of a case, by argument name.

    Float tensors are float64 arrays that hold only values of their argument's dtype, integer
    tensors are int64 arrays; the rest are Python scalars or None.  What a case gives is in every
    draw, and the rest of it is that of the first; `InputsError` where that does not fit it.
    """
    rng = np.random.Generator(np.random.PCG64(case.entropy(0 if case.given else draw)))
    drawn = {**spec.draw(case, rng)}
    drawn |= _read_given(spec, case, drawn)
    return {
        argument.name: _round_argument(drawn[argument.name], argument.dtype, case)
        for argument in spec.inputs
    }


def _read_given(spec: OpSpec, case: Case, drawn: Inputs) -> Inputs:
    try:
        given = spec.read_given(case)
    except RocmoeError as error:  # a second look has more rows than are given
        raise InputsError(str(error)) from None
    if absent := [name for name in given if drawn[name] is None]:
        raise InputsError(f"case {case.id!r}: it has no {absent[0]}, whose values it gives")
    return {**given}


def _round_argument(value: Any, dtype: str | None, case: Case) -> Any:
    if dtype is None or not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind != "f":
        return value.astype(np.int64)
    return round_to(value, case.dtype if dtype == "case" else dtype)


def round_to(values: NDArray[np.float64], dtype: str) -> NDArray[np.float64]:
    """The values rounded to nearest even in a dtype, as float64."""
    import torch

    kind = getattr(torch, TORCH_DTYPES[dtype])
    rounded = torch.from_numpy(np.ascontiguousarray(values)).to(kind).to(torch.float64)
    return np.asarray(rounded.numpy(), dtype=np.float64)
