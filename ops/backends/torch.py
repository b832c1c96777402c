"""Backend `torch`: the vectorised torch implementation that every op declares."""

from __future__ import annotations

from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import OpSpec

NAME = "torch"
SUMMARY = "vectorised torch, on the CPU or a GPU"
DEVICES = ("cpu", "gpu")


def find_absence() -> str | None:
    """Never absent: torch is a dependency."""
    return None


def serves(op: str) -> bool:
    """Every op declares one."""
    del op
    return True


def find(spec: OpSpec, variant: str) -> Implementation | None:
    """The op's own torch implementation, or a variant that it declares; else `RocmoeError`."""
    if not variant:
        return Implementation(spec.name, NAME, spec.run_torch, devices=DEVICES)
    if not spec.torch_variants:
        raise RocmoeError(
            f"backend torch has no variants of {spec.name}, found {variant!r}; wanted torch"
        )
    if variant not in spec.torch_variants:
        raise unknown(f"torch variant of {spec.name}", variant, spec.torch_variants)
    return Implementation(spec.name, NAME, spec.torch_variants[variant], variant, DEVICES)
