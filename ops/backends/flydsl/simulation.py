"""Calls of FlyDSL's launchers on CPU tensors, whose kernels run in the simulator.

FlyDSL compiles, and its own host code works out the launch; only the runtime below is another
(see `host_runtime`).  Two of its names are replaced for the time of a call, by those of flydsl
0.4.2 (python/flydsl/compiler/jit_executor.py): `ExecutionEngine`, which looks up the runtime, and
`CallState`, which every call passes through.
"""

from __future__ import annotations

import ctypes
import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any

from rocmoe.ops.backends.flydsl.host_runtime import HostRuntime
from rocmoe.ops.backends.flydsl.simulated_launch import simulate
from rocmoe.ops.backends.flydsl.toolchain import explain_no_toolchain, laid_out_rocm
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.simulator import Simulator
from rocmoe.ops.gcn.objdump import find_objdumps

EXECUTOR = "flydsl.compiler.jit_executor"
#: What a machine of the architecture has (ROCm, gpu-specs.rst): MI250X (a die), MI300X, MI355X.
COMPUTE_UNITS = {"gfx90a": 110, "gfx942": 304, "gfx950": 256}

#: The architecture that FlyDSL's own caches hold code for; they do not tell them apart.
_compiled_for: set[str] = set()


def explain_no_simulation() -> str | None:
    """Why FlyDSL's kernels cannot be simulated here, None where they can; imports FlyDSL."""
    executor = importlib.import_module(EXECUTOR)
    for name in ("ExecutionEngine", "CallState"):
        if not hasattr(executor, name):
            return f"{EXECUTOR} has no {name}, by which 0.4.2 is simulated; run on a GPU"
    lanes = importlib.import_module("flydsl.runtime.device").get_warp_size()
    if lanes != 64:
        return f"its kernels are made for waves of {lanes} lanes here; set FLYDSL_GPU_ARCH=gfx942"
    if not find_objdumps():
        return "its code objects are read by llvm-objdump, which is not here: apt install llvm"
    return explain_no_toolchain()


@contextmanager
def simulating_launchers(simulator: Simulator, names: Mapping[int, str]) -> Iterator[None]:
    """Inside the block every launcher of FlyDSL runs its kernels in a simulator.

    names: of tensors, by the address of their first element.  Raises RocmoeError for a second
    architecture in one process.
    """
    if others := _compiled_for - {simulator.arch}:
        found = f"{simulator.arch} after {', '.join(others)}"
        raise RocmoeError(f"FlyDSL compiles for one architecture a process, found {found}")
    _compiled_for.add(simulator.arch)
    import torch

    executor = importlib.import_module(EXECUTOR)
    units = SimpleNamespace(multi_processor_count=COMPUTE_UNITS[simulator.arch])
    replacements = (
        (executor, "ExecutionEngine", _make_engine(executor.ExecutionEngine)),
        (executor.CallState, "__call__", _make_call(executor.CallState.__call__, simulator, names)),
        (torch.cuda, "get_device_properties", lambda device=None: units),
        (torch.cuda, "current_stream", lambda device=None: None),
    )
    with ExitStack() as stack:
        rocm = stack.enter_context(laid_out_rocm())
        arch = {"ARCH": simulator.arch, "FLYDSL_GPU_ARCH": simulator.arch}
        stack.enter_context(_environment({**arch, "ROCM_PATH": rocm}))
        for owner, name, value in replacements:
            stack.enter_context(_replaced(owner, name, value))
        yield


@cache
def find_runtime() -> HostRuntime:
    """That of this process: host code keeps its functions for good."""
    return HostRuntime()


def _make_engine(engine_class: Callable[..., Any]) -> Callable[..., Any]:
    """Makes engines whose code calls `find_runtime` in place of HIP."""

    def make(module: Any, *, opt_level: int, shared_libs: Sequence[str]) -> Any:
        kept = [library for library in shared_libs if "fly_jit_runtime" not in library]
        engine = engine_class(module, opt_level=opt_level, shared_libs=kept)
        for name, function in find_runtime().functions.items():
            engine.raw_register_runtime(name, ctypes.cast(function, ctypes.c_void_p))
        return engine

    return make


def _make_call(
    call: Callable[..., Any], simulator: Simulator, names: Mapping[int, str]
) -> Callable[..., Any]:
    def run(state: Any, arguments: tuple[Any, ...]) -> None:
        runtime = find_runtime()
        try:
            call(state, arguments)
        finally:
            launches = runtime.take()
        for launch in launches:
            simulate(launch, arguments, simulator, names)

    return run


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
