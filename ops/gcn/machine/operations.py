"""The operations of one architecture by mnemonic: what the modules of `semantics` declare."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from rocmoe.ops.gcn.semantics import (
    absolute_differences,
    bits,
    conversion,
    division,
    float16,
    float32,
    float64,
    float_compare,
    fused,
    integer,
    integer16,
    integer64,
    integer_compare,
    minmax,
    packed_conversion,
    packed_float,
    packed_integer,
    scalar,
    scalar_bits,
    scalar_compare,
    transcendental,
)
from rocmoe.ops.gcn.semantics.operation import Operation

_MODULES = (
    absolute_differences,
    bits,
    conversion,
    division,
    float16,
    float32,
    float64,
    float_compare,
    fused,
    integer,
    integer16,
    integer64,
    integer_compare,
    minmax,
    packed_conversion,
    packed_float,
    packed_integer,
    scalar,
    scalar_bits,
    scalar_compare,
    transcendental,
)
_SATURATING = (absolute_differences, integer, integer16, integer64, packed_integer)


@cache
def list_operations(arch: str) -> Mapping[str, Operation]:
    """Every operation that an architecture has."""
    tables = [module.OPERATIONS for module in _MODULES]
    tables.append(packed_conversion.SMALL_FLOAT_OPERATIONS.get(arch, {}))
    named = {name: operation for table in tables for name, operation in table.items()}
    return MappingProxyType({n: o for n, o in named.items() if arch in o.archs})


@cache
def list_saturating(arch: str) -> Mapping[str, Operation]:
    """Integer operations with their clamp bit set."""
    tables = [module.SATURATING for module in _SATURATING]
    named = {name: operation for table in tables for name, operation in table.items()}
    return MappingProxyType({n: o for n, o in named.items() if arch in o.archs})


def list_saturating_floats(arch: str) -> Mapping[str, Operation]:
    """Conversions to floats of 8 bits with MODE.FP16_OVFL set."""
    return packed_conversion.SATURATING_FLOAT_OPERATIONS.get(arch, MappingProxyType({}))
