"""What registers hold when a wave starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.instruction import parse_instruction
from rocmoe.ops.gcn.machine.arena import Arena
from rocmoe.ops.gcn.machine.fault import FaultLog
from rocmoe.ops.gcn.machine.launch import Launch, Slot
from rocmoe.ops.gcn.machine.machine import EXEC, GARBAGE, Machine, Placement
from rocmoe.ops.gcn.machine.setup import set_up
from rocmoe.ops.gcn.program import Kernel, Program
from rocmoe.ops.gcn.target import Target

PLAIN = KernelDescriptor(user_sgpr_kernarg_segment_ptr=1, user_sgpr_count=2)


def _start(
    descriptor: KernelDescriptor,
    grid: tuple[int, int, int] = (1, 1, 1),
    block: tuple[int, int, int] = (64, 1, 1),
) -> Machine:
    """All workgroups at once; the kernarg segment holds 0x100, 0x101, 0x102 ..."""
    kernel = Kernel("kernel", 0, 1, descriptor)
    program = Program(
        "test.s", Target("gfx942"), (parse_instruction("s_endpgm"),), {}, (kernel,), {}, {}
    )
    words = b"".join((0x100 + at).to_bytes(4, "little") for at in range(16))
    launch = Launch(grid, block, (Slot(0, words),))
    arena = Arena((), len(words))
    arena.fill_kernarg(launch.slots)
    groups = np.repeat(np.arange(launch.workgroups), launch.waves)
    slots = np.tile(np.arange(launch.waves), launch.workgroups)
    machine = Machine(program, arena, Placement(groups, groups, slots), 0, 0, FaultLog())
    set_up(machine, kernel, launch)
    return machine


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (0, [5, 63, 0, 36]),  # x alone
        (1, [5, 63, 0 | 1 << 10, 36 | 1 << 10]),
        (2, [5, 63, 0 | 1 << 10, 36 | 1 << 10]),
    ],
)
def test_numbers_of_the_lanes(asked: int, words: list[int]) -> None:
    machine = _start(replace(PLAIN, system_vgpr_workitem_id=asked), block=(64, 2, 1))
    found = machine.vector(0)
    assert [found[0][5], found[0][63], found[1][0], found[1][36]] == words


def test_numbers_in_three_dimensions() -> None:
    machine = _start(replace(PLAIN, system_vgpr_workitem_id=2), block=(5, 3, 6))
    found = machine.vector(0).reshape(-1)
    lane = 4 + 5 * (2 + 3 * 4)
    assert found[lane] == 4 | 2 << 10 | 4 << 20
    assert found[64] == 4 | 0 << 10 | 4 << 20  # 64 = 4 + 5 * (0 + 3 * 4)
    assert machine.scalar64(EXEC).tolist() == [0xFFFFFFFFFFFFFFFF, (1 << 26) - 1]


def test_workgroups() -> None:
    descriptor = replace(
        PLAIN, system_sgpr_workgroup_id_y=1, system_sgpr_workgroup_id_z=1, user_sgpr_count=4
    )
    machine = _start(descriptor, grid=(2, 3, 2))
    assert machine.scalar(4).tolist() == [0, 1] * 6
    assert machine.scalar(5).tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert machine.scalar(6).tolist() == [0] * 6 + [1] * 6


def test_workgroup_number_that_is_not_asked_for() -> None:
    descriptor = replace(PLAIN, system_sgpr_workgroup_id_x=0, system_sgpr_workgroup_id_z=1)
    machine = _start(descriptor, grid=(1, 1, 3))
    assert machine.scalar(2).tolist() == [0, 1, 2]
    assert set(machine.scalar(3)) == {GARBAGE}


@pytest.mark.parametrize(
    ("asked", "at"),
    [
        ({}, 0),
        ({"user_sgpr_private_segment_buffer": 1, "user_sgpr_count": 6}, 4),
        ({"user_sgpr_dispatch_ptr": 1, "user_sgpr_queue_ptr": 1, "user_sgpr_count": 6}, 4),
    ],
)
def test_address_of_the_arguments(asked: dict[str, int], at: int) -> None:
    machine = _start(replace(PLAIN, **asked))
    assert machine.scalar64(at).tolist() == [machine.memory.kernarg_address]
    assert machine.scalar(at + 2).tolist() == [0]  # the workgroup's number


def test_preloaded_arguments() -> None:
    descriptor = replace(
        PLAIN,
        user_sgpr_dispatch_id=1,
        user_sgpr_count=7,
        user_sgpr_kernarg_preload_length=3,
        user_sgpr_kernarg_preload_offset=2,
    )
    machine = _start(descriptor, grid=(2, 1, 1))
    assert [int(machine.scalar(at)[1]) for at in (4, 5, 6, 7)] == [0x102, 0x103, 0x104, 1]


def test_scratch_offset_is_behind_the_workgroup() -> None:
    descriptor = replace(PLAIN, system_sgpr_workgroup_info=1, enable_private_segment=1)
    machine = _start(descriptor, grid=(2, 1, 1))
    assert machine.scalar(2).tolist() == [0, 1]
    assert set(machine.scalar(3)) == {GARBAGE}
    assert machine.scalar(4).tolist() == [0, 0]


def test_all_else_is_garbage() -> None:
    machine = _start(PLAIN)
    assert {int(machine.vector(number)[0][9]) for number in range(1, 512)} == {GARBAGE}
    assert {int(machine.scalar(number)[0]) for number in range(3, 126)} == {GARBAGE}


@pytest.mark.parametrize("block", [(0, 1, 1), (1025, 1, 1), (64, 4, 5)])
def test_refuses_workgroups(block: tuple[int, int, int]) -> None:
    lanes = block[0] * block[1] * block[2]
    with pytest.raises(RocmoeError, match=f"^a workgroup of {lanes} lanes; wanted 1 to 1024$"):
        _start(PLAIN, block=block)


def test_refuses_other_roundings() -> None:
    with pytest.raises(RocmoeError, match="starts with rounding mode 0xc; simulated is 0"):
        _start(replace(PLAIN, float_round_mode_16_64=3))
