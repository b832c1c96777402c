"""Backends by name, and the implementation that a selector such as `torch` or `harm:NAME` means."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterable
from functools import cache
from typing import Protocol, cast

from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.library import Library
from rocmoe.ops.core.spec import OpSpec

#: Backends that only run when they are named: they are not libraries that may be installed.
ON_REQUEST = ("assembly", "harm", "user")

#: Names backends that are turned off, with commas.
DISABLE = "ROCMOE_DISABLE"


class Backend(Protocol):
    """What each module of rocmoe.ops.backends offers.

    DEVICES: the kinds of device that its implementations run on, among cpu, gpu, sim.
    """

    NAME: str
    SUMMARY: str
    DEVICES: tuple[str, ...]

    def find_absence(self) -> str | None:
        """Why the library cannot be used here, None when it can."""

    def serves(self, op: str) -> bool:
        """Whether the library has an op; true where only `find` can tell. Imports no library."""

    def find(self, spec: OpSpec, variant: str) -> Implementation | None:
        """The implementation of an op, None where the library does not have it."""


@cache
def list_backends() -> tuple[str, ...]:
    """The names of all backends: the modules of rocmoe.ops.backends, sorted."""
    package = importlib.import_module("rocmoe.ops.backends")
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__)))


def load_backend(name: str) -> Backend:
    """A backend's module; an unknown name is a `RocmoeError` with the nearest."""
    if name not in list_backends():
        raise unknown("backend", name, list_backends())
    return cast(Backend, importlib.import_module(f"rocmoe.ops.backends.{name}"))


def find_library(name: str) -> Library | None:
    """What a backend takes its functions from, None for one that is part of rocmoe."""
    library: Library | None = getattr(load_backend(name), "LIBRARY", None)
    return library


def list_disabled(words: Iterable[str] = ()) -> list[str]:
    """The backends turned off by $ROCMOE_DISABLE and by words `!NAME`, sorted.

    Raises `RocmoeError` for an unknown one, naming the nearest, and for a part of one.
    """
    named = [word.strip() for word in os.environ.get(DISABLE, "").split(",")]
    off = {word: DISABLE for word in named if word}
    off |= {word.removeprefix("!"): f"--backend {word!r}" for word in words}
    for name, source in off.items():
        if ":" in name:
            raise RocmoeError(f"{source}: {name} is a part of a backend; wanted a whole one")
        if name not in list_backends():
            raise RocmoeError(f"{source}: {unknown('backend', name, list_backends())}")
    return sorted(off)


def split_selector(selector: str) -> tuple[str, str]:
    """(backend, variant) of a selector `BACKEND` or `BACKEND:VARIANT`, the backend checked."""
    name, _, variant = selector.partition(":")
    load_backend(name)
    return name, variant
