"""Declaring integer operations: types as words of a line, results brought to their type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rocmoe.ops.gcn.semantics.citation import cdna4
from rocmoe.ops.gcn.semantics.operation import ARCHS, Operation
from rocmoe.ops.gcn.semantics.words import DTYPES, Array, saturate

Function = Callable[..., Any]

GFX942_ON = ("gfx942", "gfx950")
GFX950_ONLY = ("gfx950",)


def declare(
    name: str,
    sources: str,
    results: str,
    function: Function,
    section: str,
    archs: tuple[str, ...] = ARCHS,
) -> Operation:
    """An operation whose `function` may compute in any integer type.

    Sources come in the order of the assembly, then the old destination where it is read, then
    EXEC, then the carry or SCC.  Results are the destination, then EXEC, then the carry or SCC.
    What exceeds a result's type wraps.  VOP3P and SDWA selections of halves are already made.
    The pseudo code followed is that of the CDNA4 document, in whose `section` the name stands.
    """
    kinds = tuple(results.split())
    return Operation(
        name=name,
        sources=tuple(sources.split()),
        results=kinds,
        compute=_finish(function, kinds),
        archs=archs,
        cite=cdna4(f"{section} Instructions, {name.upper()}"),
    )


def declare_saturating(
    name: str,
    sources: str,
    results: str,
    function: Function,
    section: str,
    archs: tuple[str, ...] = ARCHS,
) -> Operation:
    """The operation with its clamp bit set: what exceeds the first result's type saturates.

    `function` is given int64 values and must stay exact in them; a flag is passed as it is.
    """
    kind = results.split()[0]

    def clamp(*operands: Array) -> Any:
        exact = function(*(operand.astype(np.int64) for operand in operands))
        if isinstance(exact, tuple):
            return saturate(exact[0], kind), *exact[1:]
        return saturate(exact, kind)

    return declare(name, sources, results, clamp, section, archs)


def _finish(function: Function, kinds: tuple[str, ...]) -> Function:
    dtypes = tuple(DTYPES[kind] for kind in kinds)

    def compute(*operands: Array) -> Any:
        arrays = [np.atleast_1d(operand) for operand in operands]
        shape = np.broadcast(*operands).shape
        values = function(*arrays)
        if len(dtypes) == 1:
            return _conform(values, dtypes[0], shape)
        return tuple(_conform(*each, shape) for each in zip(values, dtypes, strict=True))

    return compute


def _conform(value: Array, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    typed = value.astype(dtype, copy=False)
    if not shape:
        return typed.reshape(shape)
    return typed if typed.shape == shape else np.broadcast_to(typed, shape).copy()
