"""FlyDSL's kernels run on a GPU alone: a bundle has no simulator."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from rocmoe.ops.core.simulator import Simulator


def explain_no_simulation() -> str:
    """Why none is simulated."""
    return "a bundle has no simulator; rocmoe bundle run has"


def simulating_launchers(
    simulator: Simulator, names: Mapping[int, str]
) -> AbstractContextManager[None]:
    """Never called: what would be active is a simulator."""
    del simulator, names
    raise RuntimeError(explain_no_simulation())
