"""What the start server loads, what the program that asks it does not, and how it ends."""

import gc
import importlib
import os
import subprocess
import sys

from rocmoe.profiles.pool import PRELOADED


def test_the_program_loads_neither_torch_nor_what_only_workers_need():
    named = "{'torch', 'triton', 'scipy', 'rocmoe.profiles.worker', 'rocmoe.ops.gcn.machine.run'}"
    code = f"import sys, rocmoe.profiles.validation; print(*{named} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_only_the_start_server_leaves_without_taking_torch_apart(monkeypatch):
    assert "rocmoe.profiles.preload" in PRELOADED
    try:
        preload = importlib.import_module("rocmoe.profiles.preload")
        gc.unfreeze()
        preload.preload()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 100_000, "torch and the worker"
    finally:
        gc.unfreeze()
    assert "rocmoe.profiles.worker" in sys.modules
    registered = []
    monkeypatch.setattr("atexit.register", lambda *arguments: registered.append(arguments))
    preload.leave_at_once()
    assert registered == []
    served = "from multiprocessing.forkserver import main; main(5, 7, ['__main__'])"
    monkeypatch.setattr("sys.orig_argv", [sys.executable, "-c", served])
    preload.leave_at_once()
    assert registered == [(os._exit, 0)]
