"""The operations of one architecture by mnemonic: what the modules of `semantics` declare."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from rocmoe.ops.gcn import semantics
from rocmoe.ops.gcn.semantics.operation import Operation
from rocmoe.ops.gcn.semantics.packed_conversion import (
    SATURATING_FLOAT_OPERATIONS,
    SMALL_FLOAT_OPERATIONS,
)


@cache
def list_operations(arch: str) -> Mapping[str, Operation]:
    """Every operation that an architecture has."""
    return _collect(arch, "OPERATIONS", SMALL_FLOAT_OPERATIONS.get(arch, {}))


@cache
def list_saturating(arch: str) -> Mapping[str, Operation]:
    """Integer operations with their clamp bit set."""
    return _collect(arch, "SATURATING", {})


def list_saturating_floats(arch: str) -> Mapping[str, Operation]:
    """Conversions to floats of 8 bits with MODE.FP16_OVFL set."""
    return SATURATING_FLOAT_OPERATIONS.get(arch, MappingProxyType({}))


def _collect(arch: str, name: str, more: Mapping[str, Operation]) -> Mapping[str, Operation]:
    """The tables of a name in all modules of `semantics`, and more."""
    modules = (
        importlib.import_module(f"{semantics.__name__}.{module.name}")
        for module in pkgutil.iter_modules(semantics.__path__)
    )
    named = {**more}
    for module in modules:
        named |= getattr(module, name, {})
    return MappingProxyType({n: each for n, each in named.items() if arch in each.archs})
