"""The record of an operation: operand types, the function of their values, and its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

ARCHS = ("gfx90a", "gfx942", "gfx950")


@dataclass(frozen=True)
class Operation:
    """What one mnemonic computes, lane by lane or wave by wave.

    name: without its encoding suffix (_e32, _e64, _dpp, _sdwa).
    sources, results: operand types such as u32, i16, f32, bf16 (its bits, as uint16), u64; `bool`
    is a lane's bit of a mask, a carry, or SCC.
    compute: arrays of those types, of any shapes that broadcast, to one array or a tuple of them;
    it never raises, warns, or changes its arguments.
    cite: the section of AMD's ISA document that defines it.
    """

    name: str
    sources: tuple[str, ...]
    results: tuple[str, ...]
    compute: Callable[..., Any]
    cite: str
    archs: tuple[str, ...] = ARCHS


def table(*operations: Operation) -> Mapping[str, Operation]:
    """Operations by name; a name given twice is an error of this source."""
    named = {operation.name: operation for operation in operations}
    if len(named) != len(operations):
        raise ValueError("an operation is declared twice")
    return MappingProxyType(named)
