"""Backend `triton`: rocmoe's own Triton kernels, on a GPU or compiled for AMD and simulated."""

from __future__ import annotations

import importlib
import importlib.util
import re

from rocmoe.ops.core.errors import RocmoeError, describe_error
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import OpSpec

NAME = "triton"
SUMMARY = "portable Triton kernels, on a GPU or in the CDNA simulator"
DEVICES = ("gpu", "sim")

OLDEST = (3, 6)


def find_absence() -> str | None:
    """Why Triton cannot be used here: not installed, broken, or too old."""
    try:
        import triton
        import triton.language

        version = triton.__version__
    except ModuleNotFoundError as error:
        if error.name == "triton":
            return "triton is not installed; pip install 'rocmoe[sim]'"
        return f"triton cannot be imported: {describe_error(error)}"
    except Exception as error:  # a library it is built on may be missing or of another version
        return f"triton cannot be imported: {describe_error(error)}"
    found = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if found < OLDEST:
        return f"triton {version} is too old; wanted 3.6 or newer"
    return None


def serves(op: str) -> bool:
    """Whether there is a kernel of the op's name."""
    return importlib.util.find_spec(f"rocmoe.ops.kernels.{op}") is not None


def find(spec: OpSpec, variant: str) -> Implementation | None:
    """The op's Triton kernel, None where it has none; `RocmoeError` for a variant."""
    if variant:
        raise RocmoeError(f"backend triton has no variants, found {variant!r}; wanted triton")
    if find_absence() or not serves(spec.name):
        return None
    module = importlib.import_module(f"rocmoe.ops.kernels.{spec.name}")
    return Implementation(spec.name, NAME, getattr(module, spec.name), devices=DEVICES)
