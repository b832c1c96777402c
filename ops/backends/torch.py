"""Backend `torch`: the vectorised torch implementation that every op declares."""

from __future__ import annotations

from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import OpSpec

NAME = "torch"
SUMMARY = "vectorised torch, on the CPU or a GPU"


def find_absence() -> str | None:
    """Never absent: torch is a dependency."""
    return None


def find(spec: OpSpec, variant: str) -> Implementation | None:
    """The op's own torch implementation; there are no variants."""
    del variant
    return Implementation(spec.name, NAME, spec.run_torch)
