"""The record of a harmed kernel: how it differs from the right one, and whether that is wrong."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rocmoe.ops.core.errors import unknown


@dataclass(frozen=True)
class Harm:
    """A kernel of the canonical signature, harmed in one way.

    right: True for a kernel that differs from the reference in a way the contract leaves open.
    strict_only: the harm is allowed by default and refused under `--strict`.
    """

    name: str
    summary: str
    function: Callable[..., Any]
    right: bool = False
    strict_only: bool = False


def list_harmed_ops() -> tuple[str, ...]:
    """The ops that have harmed kernels, sorted."""
    package = importlib.import_module("rocmoe.ops.harms")
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg))


def load_harms(op: str) -> dict[str, Harm]:
    """The harmed kernels of an op by name, an empty dict where it has none."""
    if op not in list_harmed_ops():
        return {}
    harms: tuple[Harm, ...] = importlib.import_module(f"rocmoe.ops.harms.{op}").HARMS
    return {harm.name: harm for harm in harms}


def find_harm(op: str, name: str) -> Harm:
    """One harmed kernel; `RocmoeError` with the nearest name for an unknown one."""
    harms = load_harms(op)
    if name not in harms:
        raise unknown(f"harm of {op}", name, harms)
    return harms[name]
