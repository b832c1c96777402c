"""What every worker needs; importing this module imports it, once for all that are forked.

It is imported in the start server alone, which runs nothing itself.  The collector of cycles, which
finds nothing to free while modules load, is off for that long.  What was imported is frozen: it
would not be freed either, and the collector of a worker that looks at it would copy its pages
(Python's documentation of `gc.freeze`).

Entering a dispatch mode, as poisoned allocations do, makes a torch that does not ask the mode
whether to import its compiler too, which takes over a second.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys


def preload() -> None:
    """Import torch, its compiler where that cannot be avoided later, and the worker."""
    gc.disable()
    try:
        from torch.utils._python_dispatch import TorchDispatchMode

        if not hasattr(TorchDispatchMode, "_should_skip_dynamo"):
            importlib.import_module("torch._dynamo")
        importlib.import_module("rocmoe.profiles.worker")
    finally:
        gc.freeze()
        gc.enable()


def leave_at_once() -> None:
    """End the start server without taking torch apart, which takes it half a second.

    Elsewhere nothing is done.  Workers, which are forked, end without the functions of `atexit`.
    """
    if any("multiprocessing.forkserver" in argument for argument in sys.orig_argv):
        atexit.register(os._exit, 0)


preload()
leave_at_once()
