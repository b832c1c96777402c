"""Launches of Triton kernels on a GPU, by Triton's own road."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def find_arch(tensor: Any) -> str:
    """What a kernel on a tensor is compiled for: `gfx942`, or `sm90` for compute capability 9.0."""
    if tensor.device.type != "cuda":
        return ""
    import torch

    properties = torch.cuda.get_device_properties(tensor.device)
    if torch.version.hip is not None:
        return str(properties.gcnArchName).partition(":")[0]
    return f"sm{properties.major}{properties.minor}"


def launch(
    kernel: Any,
    grid: Sequence[int],
    /,
    *,
    num_warps: int = 4,
    num_stages: int | None = None,
    **arguments: Any,
) -> None:
    """Launch a `triton.jit` kernel on the GPU that holds its tensors."""
    import torch

    if 0 in grid:
        return
    options: dict[str, Any] = {"num_warps": num_warps, "enable_fp_fusion": True}
    if num_stages is not None:
        options["num_stages"] = num_stages
    tensors = [value for value in arguments.values() if isinstance(value, torch.Tensor)]
    with torch.cuda.device(tensors[0].device):
        kernel[tuple(grid)](**arguments, **options)


@contextmanager
def simulating(executor: object) -> Iterator[None]:
    """A bundle has no simulator: launches inside the block run as all others."""
    del executor
    yield


def active_executor() -> None:
    """None: kernels run by themselves."""
