"""What registers hold when a wave starts.

LLVM, User Guide for AMDGPU Backend: "Initial Kernel Execution State"; for gfx90a and later the
work-item's three numbers are packed into v0, ten bits each.
"""

from __future__ import annotations

import numpy as np

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.machine.launch import Launch
from rocmoe.ops.gcn.machine.machine import EXEC, WAVE, Machine
from rocmoe.ops.gcn.program import Kernel

_MAX_LANES = 1024


def set_up(machine: Machine, kernel: Kernel, launch: Launch) -> None:
    """Fill v0, EXEC, and the scalar registers of user data and workgroup numbers.

    Raises RocmoeError for what the simulated runtime does not give, such as a dispatch pointer.
    """
    if not 0 < launch.lanes <= _MAX_LANES:
        raise RocmoeError(f"a workgroup of {launch.lanes} lanes; wanted 1 to {_MAX_LANES}")
    _set_lanes(machine, launch)
    following = _set_user_data(machine, kernel)
    _set_workgroup(machine, kernel, launch, following)


def _set_lanes(machine: Machine, launch: Launch) -> None:
    lane = machine.placement.slot[:, None] * WAVE + np.arange(WAVE)
    machine.set_mask(EXEC, lane < launch.lanes)
    width, height, _ = launch.block
    x, y, z = lane % width, lane // width % height, lane // (width * height)
    every = np.ones((1, WAVE), np.bool_)
    machine.set_vector(0, (x | y << 10 | z << 20).astype(np.uint32), every)


def _set_user_data(machine: Machine, kernel: Kernel) -> int:
    """The number of the first scalar register behind the user data."""
    descriptor = kernel.descriptor
    refused = {
        "user_sgpr_dispatch_ptr": "a dispatch pointer",
        "user_sgpr_queue_ptr": "a queue pointer",
        "user_sgpr_dispatch_id": "a dispatch id",
        "user_sgpr_private_segment_size": "the size of its private segment",
    }
    for name, words in refused.items():
        if getattr(descriptor, name):
            raise RocmoeError(f"kernel {kernel.name} asks for {words}, which is not simulated")
    at = 0
    if descriptor.user_sgpr_private_segment_buffer:
        # Only code with scratch uses it, and that is refused where it comes to do so.
        at += 4
    if descriptor.user_sgpr_kernarg_segment_ptr:
        machine.set_scalar64(at, np.array([machine.memory.kernarg_address], np.uint64))
        at += 2
    if descriptor.user_sgpr_flat_scratch_init:
        machine.set_scalar64(at, np.zeros(1, np.uint64))
        at += 2
    offset = descriptor.user_sgpr_kernarg_preload_offset
    for dword in range(descriptor.user_sgpr_kernarg_preload_length):
        word = machine.memory.kernarg_dword(offset + dword)
        machine.set_scalar(at, np.array([word], np.uint32))
        at += 1
    return max(at, descriptor.user_sgpr_count)


def _set_workgroup(machine: Machine, kernel: Kernel, launch: Launch, following: int) -> None:
    descriptor, workgroup = kernel.descriptor, machine.placement.workgroup
    width, height, _ = launch.grid
    numbers = {
        "system_sgpr_workgroup_id_x": workgroup % width,
        "system_sgpr_workgroup_id_y": workgroup // width % height,
        "system_sgpr_workgroup_id_z": workgroup // (width * height),
    }
    at = following
    for name, values in numbers.items():
        if getattr(descriptor, name):
            machine.set_scalar(at, values.astype(np.uint32))
            at += 1
    if descriptor.enable_private_segment:
        machine.set_scalar(at, np.zeros(1, np.uint32))
