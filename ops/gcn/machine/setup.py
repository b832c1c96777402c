"""What registers hold when a wave starts.

LLVM, User Guide for AMDGPU Backend: "Initial Kernel Execution State"; for gfx90a and later the
work-item's three numbers are packed into v0, ten bits each.
"""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.machine.launch import Launch
from rocmoe.ops.gcn.machine.machine import EXEC, WAVE, Machine
from rocmoe.ops.gcn.machine.modes import check_mode
from rocmoe.ops.gcn.program import Kernel

#: Scalar registers that come before the address of the kernel's arguments.
_BEFORE_KERNARG = {
    "user_sgpr_private_segment_buffer": 4,
    "user_sgpr_dispatch_ptr": 2,
    "user_sgpr_queue_ptr": 2,
}


def set_up(machine: Machine, kernel: Kernel, launch: Launch) -> None:
    """Fill v0, EXEC, and the scalar registers of user data and workgroup numbers.

    Raises RocmoeError for a mode that is not simulated.
    """
    check_mode(kernel)
    _set_lanes(machine, kernel, launch)
    following = _set_user_data(machine, kernel)
    _set_workgroup(machine, kernel, launch, following)


def _set_lanes(machine: Machine, kernel: Kernel, launch: Launch) -> None:
    lane = machine.placement.slot[:, None] * WAVE + np.arange(WAVE)
    machine.set_mask(EXEC, lane < launch.lanes)
    width, height, _ = launch.block
    x, y, z = lane % width, lane // width % height, lane // (width * height)
    asked = kernel.descriptor.system_vgpr_workitem_id
    packed = x | (y << 10 if asked > 0 else 0) | (z << 20 if asked > 1 else 0)
    machine.set_vector(0, packed.astype(np.uint32), np.ones((1, WAVE), np.bool_))


def _set_user_data(machine: Machine, kernel: Kernel) -> int:
    """The number of the first scalar register behind the user data.

    What is asked for and not simulated keeps its place and is never set: compilers ask for more
    than they read, and a read finds garbage, no address, which initcheck and memcheck tell of.
    """
    descriptor = kernel.descriptor
    at = 0
    if descriptor.user_sgpr_private_segment_buffer:
        for number, dword in enumerate(machine.memory.private_segment):
            machine.set_scalar(number, np.array([dword], np.uint32))
    for name, dwords in _BEFORE_KERNARG.items():
        at += dwords * getattr(descriptor, name)
    if descriptor.user_sgpr_kernarg_segment_ptr:
        machine.set_scalar64(at, np.array([machine.memory.kernarg_address], np.uint64))
        at += 2
    at += 2 * descriptor.user_sgpr_dispatch_id
    if descriptor.user_sgpr_flat_scratch_init:
        machine.set_scalar64(at, np.zeros(1, np.uint64))
        at += 2
    at += descriptor.user_sgpr_private_segment_size
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
    at += descriptor.system_sgpr_workgroup_info
    if descriptor.enable_private_segment:
        machine.set_scalar(at, np.zeros(1, np.uint32))
