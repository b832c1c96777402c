"""The record of a pattern, and the list of all of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Pattern:
    """Contents of one kind of input: logits, expert ids, probabilities, drafts, hidden states.

    `fill(rng, ...)` takes the sizes that its module states and gives float64 or int64 values.
    `source` names the upstream report or test that the pattern repeats; empty for plain contents.
    """

    name: str
    summary: str
    fill: Callable[..., NDArray[Any]]
    source: str = ""


def table(*patterns: Pattern) -> Mapping[str, Pattern]:
    """The patterns of one kind by name."""
    return MappingProxyType({pattern.name: pattern for pattern in patterns})


def list_patterns() -> Mapping[str, Mapping[str, Pattern]]:
    """All patterns by kind; the kinds are the modules of this package that hold `PATTERNS`."""
    package = importlib.import_module("rocmoe.ops.core.patterns")
    kinds = {}
    for module in pkgutil.iter_modules(package.__path__):
        patterns = getattr(
            importlib.import_module(f"{package.__name__}.{module.name}"), "PATTERNS", None
        )
        if patterns is not None:
            kinds[module.name] = patterns
    return kinds
