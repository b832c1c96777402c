"""The one place where a Triton kernel is launched: on a GPU, in the simulator, or to be recorded.

Kernels of rocmoe call `launch`; what it does depends on where their tensors are, and on the
context managers around the call.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from operator import index
from typing import Any, Protocol

from rocmoe.ops.core.compilation import CompiledKernel, compile_kernel
from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.gpu_launch import launch_again, launch_first

Grid = tuple[int, int, int]


class Executor(Protocol):
    """What runs compiled code where there is no GPU; `arch`: what to compile for."""

    @property
    def arch(self) -> str: ...

    def launch(self, compiled: CompiledKernel, grid: Grid, arguments: Mapping[str, Any], /) -> None:
        """Run all workgroups; arguments: by parameter name, constants among them."""


@dataclass(frozen=True)
class Recorded:
    """A launch that was compiled, and did not run; block: lanes."""

    compiled: CompiledKernel
    grid: Grid
    block: Grid


class Recorder:
    """An executor that runs nothing."""

    def __init__(self, arch: str) -> None:
        self.arch = arch
        self.launches: list[Recorded] = []

    def launch(self, compiled: CompiledKernel, grid: Grid, arguments: Mapping[str, Any], /) -> None:
        del arguments
        self.launches.append(Recorded(compiled, grid, compiled.block))


#: Innermost last. Not a context variable: a candidate may launch from a thread of its own.
_executors: list[Executor] = []


def active_executor() -> Executor | None:
    """What launches are given to now: that of the innermost block around, None outside of any."""
    return _executors[-1] if _executors else None


def find_arch(tensor: Any) -> str:
    """What a kernel on a tensor is compiled for: `gfx942`, or `sm90` for compute capability 9.0.

    Empty where nothing compiles it: in Triton's interpreter.
    """
    if _executors:
        return _executors[-1].arch
    return _find_gpu_arch(tensor.device.index or 0) if tensor.device.type == "cuda" else ""


@cache
def _find_gpu_arch(index: int) -> str:
    import torch

    properties = torch.cuda.get_device_properties(index)
    if torch.version.hip is not None:
        # Features of the target may follow: gfx942:sramecc+:xnack-
        return str(properties.gcnArchName).partition(":")[0]
    return f"sm{properties.major}{properties.minor}"


@contextmanager
def simulating(executor: Executor) -> Iterator[None]:
    """Give every launch inside the block to `executor`."""
    _executors.append(executor)
    try:
        with _redirected():
            yield
    finally:
        _executors.remove(executor)


@contextmanager
def _redirected() -> Iterator[None]:
    """Inside the block `kernel[grid](...)`, as users write it, comes here too."""
    jit = sys.modules.get("triton.runtime.jit")
    if jit is None:
        yield
        return
    own = jit.JITFunction.run
    autotuner = sys.modules["triton.runtime.autotuner"].Autotuner
    own_tuning = autotuner.run

    def tune(kernel: Any, *positional: Any, **named: Any) -> Any:
        if len(kernel.configs) > 1:
            raise RocmoeError(
                f"kernel {kernel.base_fn.__name__} is autotuned among {len(kernel.configs)} "
                "configurations, which takes a GPU to time them; wanted one"
            )
        return own_tuning(kernel, *positional, **named)

    def run(kernel: Any, *positional: Any, grid: Any, warmup: bool = False, **named: Any) -> None:
        arguments = dict(zip(kernel.arg_names, positional, strict=False))
        arguments |= {name: value for name, value in named.items() if name in kernel.arg_names}
        options = {name: value for name, value in named.items() if name not in kernel.arg_names}
        complete = _add_defaults(kernel, arguments)
        sizes = _check_grid(kernel, grid(complete) if callable(grid) else grid)
        if 0 not in sizes and not warmup:
            _execute(kernel, sizes, arguments, {"enable_fp_fusion": True, **options})

    jit.JITFunction.run, autotuner.run = run, tune
    try:
        yield
    finally:
        jit.JITFunction.run, autotuner.run = own, own_tuning


@contextmanager
def recording(arch: str) -> Iterator[list[Recorded]]:
    """Compile every launch inside the block for `arch` and list it; nothing runs."""
    recorder = Recorder(arch)
    with simulating(recorder):
        yield recorder.launches


def launch(
    kernel: Any,
    grid: Sequence[int],
    /,
    *,
    num_warps: int = 4,
    num_stages: int | None = None,
    overlap: bool = False,
    **arguments: Any,
) -> None:
    """Launch a `triton.jit` kernel on a grid of one to three sizes; nothing runs if one is zero.

    arguments: by the kernel's parameter names, constants among them.  num_stages: Triton's default
    for the target if None.  overlap: start before the launch ahead has ended, as
    `ops.kernels.shared.overlap` says.  Inside `simulating` or `recording` the kernel is compiled
    for their architecture; else tensors on a GPU run there.  Raises RocmoeError for an argument
    that the kernel does not have, and where nothing can run it.
    """
    if not _executors and launch_again(kernel, grid, arguments, (num_warps, num_stages, overlap)):
        return
    if strange := [name for name in arguments if name not in kernel.arg_names]:
        raise unknown(f"argument of kernel {kernel.__name__}", strange[0], kernel.arg_names)
    sizes = _check_grid(kernel, grid)
    if 0 in sizes:
        return
    # Said outright, since Triton's default is to change.
    options: dict[str, Any] = {"num_warps": num_warps, "enable_fp_fusion": True}
    if num_stages is not None:
        options["num_stages"] = num_stages
    if overlap:
        options["launch_pdl"] = True
    if _executors:
        _execute(kernel, sizes, arguments, options)
    elif _is_interpreted(kernel):
        kernel[sizes](**arguments)
    else:
        launch_first(kernel, sizes, arguments, options)


def _execute(
    kernel: Any, grid: Grid, arguments: Mapping[str, Any], options: Mapping[str, Any]
) -> None:
    executor = _executors[-1]
    compiled = compile_kernel(kernel, executor.arch, arguments, options)
    executor.launch(compiled, grid, _add_defaults(kernel, arguments))


def _check_grid(kernel: Any, grid: Sequence[int]) -> Grid:
    try:
        sizes = tuple(index(size) for size in grid)
    except TypeError:
        raise RocmoeError(
            f"grid {grid!r} of kernel {kernel.__name__}; wanted a list of whole numbers"
        ) from None
    if not 1 <= len(sizes) <= 3 or min(sizes) < 0:
        raise RocmoeError(
            f"grid {sizes} of kernel {kernel.__name__}; wanted one to three sizes from 0 up"
        )
    x, y, z = (*sizes, 1, 1)[:3]
    return x, y, z


def _add_defaults(kernel: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {p.name: p.default for p in kernel.params if p.has_default}
    return {**defaults, **arguments}


def _is_interpreted(kernel: Any) -> bool:
    """Whether the kernel was made under TRITON_INTERPRET=1 and so runs in Python."""
    from triton.runtime.jit import JITFunction

    if isinstance(kernel, JITFunction):
        return False
    from triton.runtime.interpreter import InterpretedFunction

    return isinstance(kernel, InterpretedFunction)
