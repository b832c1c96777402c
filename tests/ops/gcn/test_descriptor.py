"""Kernel descriptors from directives and from bytes."""

from __future__ import annotations

import struct

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.descriptor import KernelDescriptor, build_descriptor, decode_descriptor

REQUIRED = {"next_free_vgpr": 9, "next_free_sgpr": 20, "accum_offset": 12}

# Laid out by the user guide's table: LDS, scratch, kernarg, entry, rsrc3, rsrc1, rsrc2, properties.
BYTES = struct.pack(
    "<IIIxxxxq20xIIIHHxxxx", 512, 0, 280, 0x1180, 2, 0x00AF0041, 0x0000089E, 0x000B, 0
)


def test_defaults_are_the_assemblers() -> None:
    built = build_descriptor(REQUIRED)
    assert built == KernelDescriptor(next_free_vgpr=9, next_free_sgpr=20, accum_offset=12)
    assert (built.system_sgpr_workgroup_id_x, built.system_sgpr_workgroup_id_y) == (1, 0)
    assert (built.float_denorm_mode_32, built.float_denorm_mode_16_64) == (0, 3)
    assert (built.dx10_clamp, built.ieee_mode) == (1, 1)


def test_user_sgprs_are_counted_where_no_count_is_given() -> None:
    given = {
        **REQUIRED,
        "user_sgpr_private_segment_buffer": 1,
        "user_sgpr_kernarg_segment_ptr": 1,
        "user_sgpr_private_segment_size": 1,
        "user_sgpr_kernarg_preload_length": 3,
    }
    assert build_descriptor(given).user_sgpr_count == 4 + 2 + 1 + 3
    assert build_descriptor({**given, "user_sgpr_count": 12}).user_sgpr_count == 12


def test_the_old_name_of_enable_private_segment_is_read() -> None:
    old = "system_sgpr_private_segment_wavefront_offset"
    assert build_descriptor({**REQUIRED, old: 1}).enable_private_segment == 1


@pytest.mark.parametrize("name", REQUIRED)
def test_what_has_no_default_must_be_there(name: str) -> None:
    given = {other: value for other, value in REQUIRED.items() if other != name}
    with pytest.raises(RocmoeError, match=f".amdhsa_{name} is missing"):
        build_descriptor(given)


def test_decodes_bytes() -> None:
    descriptor, entry = decode_descriptor(BYTES)
    assert entry == 0x1180
    assert descriptor == KernelDescriptor(
        group_segment_fixed_size=512,
        kernarg_size=280,
        user_sgpr_count=15,
        user_sgpr_private_segment_buffer=1,
        user_sgpr_dispatch_ptr=1,
        user_sgpr_kernarg_segment_ptr=1,
        system_sgpr_workgroup_id_x=1,
        system_vgpr_workitem_id=1,
        next_free_vgpr=16,
        next_free_sgpr=16,
        accum_offset=12,
        float_denorm_mode_32=3,
        float_denorm_mode_16_64=3,
    )


def test_refuses_another_number_of_bytes() -> None:
    with pytest.raises(RocmoeError, match="64 bytes, found 63"):
        decode_descriptor(BYTES[1:])
