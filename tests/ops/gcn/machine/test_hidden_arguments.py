"""What the runtime adds to the arguments of a launch."""

from __future__ import annotations

from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.machine.hidden_arguments import list_hidden
from rocmoe.ops.gcn.machine.launch import Launch
from rocmoe.ops.gcn.metadata import read_kernels
from rocmoe.ops.gcn.program import Kernel

LAUNCH = Launch(grid=(3, 5, 7), block=(128, 2, 1), slots=(), lds_bytes=4096)
SIZES = {
    ".kernarg_segment_size": 64,
    ".kernarg_segment_align": 8,
    ".group_segment_fixed_size": 0,
    ".private_segment_fixed_size": 0,
    ".wavefront_size": 64,
    ".sgpr_count": 8,
    ".vgpr_count": 8,
    ".max_flat_workgroup_size": 256,
}


def _list(*arguments: tuple[int, int, str]) -> dict[int, bytes]:
    """The bytes that are filled in, by offset, of arguments (offset, size, kind)."""
    described = [
        {".offset": offset, ".size": size, ".value_kind": kind} for offset, size, kind in arguments
    ]
    kernel = {".name": "kernel", ".symbol": "kernel.kd", ".args": described, **SIZES}
    (metadata,) = read_kernels({"amdhsa.kernels": [kernel]}, "test.s")
    slots = list_hidden(Kernel("kernel", 0, 1, KernelDescriptor(), metadata), LAUNCH)
    return {slot.offset: slot.value for slot in slots if isinstance(slot.value, bytes)}


def test_sizes_of_the_launch_are_filled_in_where_the_metadata_says() -> None:
    assert _list(
        (0, 8, "global_buffer"),
        (8, 4, "hidden_block_count_x"),
        (12, 4, "hidden_block_count_y"),
        (16, 4, "hidden_block_count_z"),
        (20, 2, "hidden_group_size_x"),
        (22, 2, "hidden_group_size_y"),
        (24, 2, "hidden_group_size_z"),
        (26, 2, "hidden_grid_dims"),
        (28, 4, "hidden_dynamic_lds_size"),
    ) == {
        8: b"\3\0\0\0",
        12: b"\5\0\0\0",
        16: b"\7\0\0\0",
        20: b"\x80\0",
        22: b"\2\0",
        24: b"\1\0",
        26: b"\3\0",
        28: b"\0\x10\0\0",
    }


def test_what_the_caller_gives_and_what_points_outside_stays_as_it_is() -> None:
    assert (
        _list(
            (0, 8, "by_value"),
            (8, 2, "hidden_remainder_x"),
            (16, 8, "hidden_global_offset_y"),
            (24, 8, "hidden_hostcall_buffer"),
            (32, 8, "hidden_none"),
        )
        == {}
    )


def test_a_kernel_without_metadata_has_none() -> None:
    assert list_hidden(Kernel("kernel", 0, 1, KernelDescriptor()), LAUNCH) == ()
