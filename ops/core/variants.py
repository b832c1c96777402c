"""Tables that say which variant of a kernel runs, and with which launch parameters, and why.

Each op with Triton kernels has one table; its rows are tried from the top, and the last one fits
everything.  What was chosen is never silent: `noting` collects it for the artifact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rocmoe.ops.core.errors import RocmoeError


@dataclass(frozen=True, eq=False)
class Variant:
    """A row of a table: what to run, and on what.  Rows are told apart by identity.

    name: of the way to compute it.  why: the measurement or the limit behind the row.  arch: what
    the architecture's name begins with (`gfx9`, `sm90`), empty for any.  most, least: bounds of the
    sizes that `choose` is given.  parameters: what the host function reads:
    rows a program, warps.
    """

    name: str
    why: str
    arch: str = ""
    most: Mapping[str, int] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, int | str] = field(default_factory=dict)

    def __getitem__(self, parameter: str) -> Any:
        return self.parameters[parameter]

    def __str__(self) -> str:
        words = [f"{name}={value}" for name, value in self.parameters.items()]
        return " ".join([self.name, *words])

    def fits(self, arch: str, sizes: Mapping[str, int]) -> bool:
        """Whether the row is for an architecture and these sizes."""
        return (
            arch.startswith(self.arch)
            and all(sizes[name] <= most for name, most in self.most.items())
            and all(sizes[name] >= least for name, least in self.least.items())
        )


_listeners: list[list[str]] = []
#: With its table, whose identity is of no other while it is kept here.
_chosen: dict[tuple[int, str, tuple[tuple[str, int], ...]], tuple[Variant, Sequence[Variant]]] = {}


def choose(table: Sequence[Variant], arch: str, **sizes: int) -> Variant:
    """The first row of a table that fits; RocmoeError where none does."""
    key = (id(table), arch, tuple(sizes.items()))
    if key not in _chosen:
        _chosen[key] = _search(table, arch, sizes), table
    variant, _ = _chosen[key]
    note(variant)
    return variant


def note(chosen: Variant | str) -> None:
    """Tell the blocks of `noting` around what was chosen."""
    for listener in _listeners:
        listener.append(str(chosen))


def _search(table: Sequence[Variant], arch: str, sizes: Mapping[str, int]) -> Variant:
    for variant in table:
        if variant.fits(arch, sizes):
            return variant
    told = ", ".join(f"{name}={size}" for name, size in sizes.items())
    raise RocmoeError(f"no kernel variant serves {told} on {arch}; found {len(table)} others")


@contextmanager
def noting() -> Iterator[list[str]]:
    """Collect what is chosen inside the block, in order, with the launch parameters."""
    chosen: list[str] = []
    _listeners.append(chosen)
    try:
        yield chosen
    finally:
        _listeners.remove(chosen)
