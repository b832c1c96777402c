"""Kernel arguments that the runtime fills: the sizes of the grid and of its workgroups.

LLVM, User Guide for AMDGPU Backend: "Code Object V5 Metadata", argument value kinds.  Those that
are not here point to what is not simulated (host calls, the heap, queues) and stay zero, the null
address.
"""

from __future__ import annotations

from collections.abc import Mapping

from rocmoe.ops.gcn.machine.launch import Launch, Slot
from rocmoe.ops.gcn.program import Kernel

#: HIP dispatches every grid in three dimensions.
_DIMENSIONS = 3


def list_hidden(kernel: Kernel, launch: Launch) -> tuple[Slot, ...]:
    """The arguments that the kernel's metadata says the runtime fills, those that are not zero."""
    if kernel.metadata is None:
        return ()
    values = _list_values(launch)
    return tuple(
        Slot(argument.offset, values[argument.value_kind].to_bytes(argument.size, "little"))
        for argument in kernel.metadata.arguments
        if argument.value_kind in values
    )


def _list_values(launch: Launch) -> Mapping[str, int]:
    """By value kind; workgroups are all full, so there is no remainder."""
    values = {
        "hidden_grid_dims": _DIMENSIONS,
        "hidden_dynamic_lds_size": launch.lds_bytes,
    }
    for axis, count, size in zip("xyz", launch.grid, launch.block, strict=True):
        values[f"hidden_block_count_{axis}"] = count
        values[f"hidden_group_size_{axis}"] = size
    return values
