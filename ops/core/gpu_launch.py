"""Launching on a GPU with little between the call and the driver.

`kernel[grid](...)` specialises every argument, and compares every global that the kernel uses, on
each call: about 40 us of Python for kernels of twenty parameters.  Here a launch that was made
before is found by what its specialisation depends on, and its launcher is called directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from rocmoe.ops.core.cache_keys import settle_key
from rocmoe.ops.core.compilation import is_tensor
from rocmoe.ops.core.errors import RocmoeError

Grid = tuple[int, int, int]

#: Launches that are remembered; sizes that vary without end make new ones.
MOST_LAUNCHES = 4096
#: Triton specialises pointers to storage below 2 GiB on AMD (backends/amd/compiler.py, 3.6 to 3.9).
SMALL_STORAGE_BYTES = 2**31


@dataclass(frozen=True)
class _Tools:
    """What each launch calls, looked up once; hip: whether pointers to small storage differ."""

    tensor: type
    current_device: Callable[[], int]
    current_stream: Callable[[int], int]
    hooks: Any
    hip: bool


#: By key: the compiled kernel.
_launches: dict[tuple[Any, ...], Any] = {}


@cache
def _find_tools() -> _Tools:
    import torch
    from triton import knobs
    from triton.runtime import driver

    return _Tools(
        torch.Tensor,
        torch.cuda.current_device,
        driver.active.get_current_stream,
        knobs.runtime,
        torch.version.hip is not None,
    )


def launch_again(
    kernel: Any,
    grid: Sequence[int],
    arguments: Mapping[str, Any],
    how: tuple[int, int | None, bool],
) -> bool:
    """Launch what `launch_first` launched before; False, with nothing done, where it did not.

    how: num_warps, num_stages and whether the launch overlaps with the one ahead.
    """
    if not _launches or 0 in grid:
        return False
    tools = _find_tools()
    key, device = _make_key(tools, kernel, arguments, how)
    compiled = _launches.get(key)
    if compiled is None or device != tools.current_device():
        return False
    x, y, z = (*grid, 1, 1)[:3]
    compiled.run(
        x,
        y,
        z,
        tools.current_stream(device),
        compiled.function,
        compiled.packed_metadata,
        None,
        tools.hooks.launch_enter_hook,
        tools.hooks.launch_exit_hook,
        *map(arguments.__getitem__, kernel.arg_names),
    )
    return True


def _make_key(
    tools: _Tools,
    kernel: Any,
    arguments: Mapping[str, Any],
    how: tuple[int, int | None, bool],
) -> tuple[tuple[Any, ...], int]:
    """What the code of a launch depends on, and the index of the device of the first tensor."""
    parts: list[Any] = [id(kernel), how, *arguments]
    device = -1
    tensor_class = tools.tensor
    for value in arguments.values():
        kind = value.__class__
        if kind is int:
            parts.append(value)
        elif kind is tensor_class:
            index = value.get_device()
            # A tensor elsewhere changes the key, and so is refused before anything runs.
            parts += (value.dtype, value.data_ptr() % 16, index)
            if device < 0:
                device = index
            if tools.hip:
                parts.append(value.untyped_storage().nbytes() < SMALL_STORAGE_BYTES)
        else:
            # 1, 1.0 and True are equal and make different code.
            parts += (kind, value)
    return tuple(parts), device


def launch_first(
    kernel: Any,
    grid: Grid,
    arguments: Mapping[str, Any],
    options: Mapping[str, Any],
) -> None:
    """Launch by Triton's own road on the device of the tensors, and remember what it compiled.

    options: num_warps, num_stages and launch_pdl where given, and what every launch has.
    Raises RocmoeError where a tensor is not on a GPU, or there is none.
    """
    import torch

    tensors = {name: value for name, value in arguments.items() if is_tensor(value)}
    for name, tensor in tensors.items():
        if tensor.device.type != "cuda":  # what torch calls HIP devices too
            raise RocmoeError(
                f"kernel {kernel.__name__} cannot run: {name} is on {tensor.device}; wanted a GPU "
                "or --device sim:ARCH"
            )
    if not tensors:
        raise RocmoeError(f"kernel {kernel.__name__} has no tensor to say where it runs")
    settle_key(kernel)
    # Triton launches on the current device, wherever the tensors are.
    with torch.cuda.device(next(iter(tensors.values())).device):
        compiled = kernel[grid](**arguments, **options)
    if compiled is None or not set(kernel.arg_names) <= set(arguments):
        return  # defaults of the kernel's own are filled in by Triton alone
    if len(_launches) >= MOST_LAUNCHES:
        _launches.clear()
    how = options["num_warps"], options.get("num_stages"), "launch_pdl" in options
    key, _ = _make_key(_find_tools(), kernel, arguments, how)
    _launches[key] = compiled
