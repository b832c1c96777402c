"""What every worker needs of torch; importing this module imports it, once for all that are forked.

Entering a dispatch mode, as poisoned allocations do, makes a torch that does not ask the mode
whether to import its compiler too, which takes over a second.
"""

from __future__ import annotations

import importlib


def preload() -> None:
    """Import torch, and its compiler where that cannot be avoided later."""
    from torch.utils._python_dispatch import TorchDispatchMode

    if not hasattr(TorchDispatchMode, "_should_skip_dynamo"):
        importlib.import_module("torch._dynamo")


preload()
