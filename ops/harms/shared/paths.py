"""Kernels that are harmed on one of their dispatch paths alone: one dtype, one range of sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.core.spec import Argument
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    Kernel,
    WriteInto,
    edit_inputs,
    read_dense,
    write_where,
)

#: Whether a call takes the harmed path: inputs -> bool.
Applies = Callable[[Inputs], bool]

#: Bytes of the widest load.
VECTOR_BYTES = 16


def choose_path(applies: Applies, harmed: Kernel, run: Kernel) -> Kernel:
    """A kernel that is `harmed` on the calls to which it applies."""

    def choose(**inputs: Any) -> Any:
        return (harmed if applies(inputs) else run)(**inputs)

    return choose


def list_layout_harms(
    run: Kernel, names: tuple[str, ...], path: str, applies: Applies
) -> tuple[Harm, ...]:
    """Kernels that misread where the rows of some inputs lie, on one path; `path` ends names."""
    readings = (
        ("ignore_stride", "the row stride is ignored", read_dense),
        ("misread_offset", "vector loads start at the aligned address below", read_aligned),
    )
    return tuple(
        Harm(f"{name}_{path}", f"{text}, on one path",
             choose_path(applies, edit_inputs(run, _read(names, reading)), run))
        for name, text, reading in readings
    )  # fmt: skip


def read_aligned(tensor: Any) -> Any:
    """A tensor as vector loads see it that start at the aligned address below its own."""
    return tensor.roll(1, dims=-1) if tensor.data_ptr() % VECTOR_BYTES else tensor


def leave_rows_from(first: int, run: Kernel, outputs: tuple[Argument, ...], name: str) -> WriteInto:
    """A kernel of a fixed grid without a loop: rows from `first` on of one output are left."""
    at = [output.name for output in outputs].index(name)

    def find_written(inputs: Inputs, *answer: Any) -> dict[str, Any]:
        import torch

        rows = torch.arange(len(answer[at]), device=answer[at].device) < first
        return {name: rows[:, None].expand_as(answer[at])}

    return write_where(run, outputs, find_written)


def _read(names: tuple[str, ...], reading: Callable[[Any], Any]) -> Callable[[Inputs], Inputs]:
    return lambda inputs: {name: reading(inputs[name]) for name in names}
