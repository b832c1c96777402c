"""Backend `harm`: the deliberately wrong, or differently right, kernels of `rocmoe selftest`."""

from __future__ import annotations

from rocmoe.ops.core.harm import find_harm
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import OpSpec

NAME = "harm"
SUMMARY = "deliberately wrong kernels that the judges must catch (harm:NAME)"
DEVICES = ("cpu", "gpu")


def find_absence() -> str | None:
    """Never absent: the harms are part of rocmoe."""
    return None


def serves(op: str) -> bool:
    """Whether an op has any is found out by `find`."""
    del op
    return True


def find(spec: OpSpec, variant: str) -> Implementation | None:
    """The harm that `variant` names; `RocmoeError` for an unknown one."""
    harm = find_harm(spec.name, variant)
    return Implementation(spec.name, NAME, harm.function, variant, DEVICES)
