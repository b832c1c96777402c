"""No simulator: what names one finds that nothing was simulated."""

from __future__ import annotations

from typing import Any


class Watch:
    """What a simulator would look at."""


class Simulated:
    """What would have become of one launch."""


class Simulator:
    """Cannot be made."""

    watch: Any
    inexact: bool

    def __init__(self, arch: str, watch: Watch) -> None:
        del watch
        raise RuntimeError(f"a bundle has no simulator of {arch}; rocmoe bundle run has")

    def take(self) -> list[Simulated]:
        """Never called."""
        return []
