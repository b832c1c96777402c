"""Kernel descriptors: what the loader sets up before the first instruction of a kernel.

LLVM, User Guide for AMDGPU Backend: "AMDHSA Kernel Descriptor" (64 bytes, fields of
COMPUTE_PGM_RSRC1 to 3 on GFX90A and GFX942) and "AMDHSA Kernel Assembler Directives" (defaults).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields

from rocmoe.ops.core.errors import RocmoeError

DESCRIPTOR_BYTES = 64
_LAYOUT = struct.Struct("<IIIxxxxq20xIIIHHxxxx")

#: Directives of other architectures, or of the assembler itself, that say nothing to a wave here.
IGNORED_DIRECTIVES = frozenset(("reserve_vcc", "reserve_flat_scratch", "reserve_xnack_mask"))
#: Directives that had another name before the architecture got flat scratch.
_ALIASES = {"system_sgpr_private_segment_wavefront_offset": "enable_private_segment"}


@dataclass(frozen=True)
class KernelDescriptor:
    """Fields by the names of their `.amdhsa_` directives; sizes are bytes, the rest counts or bits.

    next_free_vgpr, next_free_sgpr: one past the last register used. Read from a descriptor's bytes
    they are the number allocated, which is at least that. accum_offset: the first accumulator's
    place in the unified register file.
    """

    group_segment_fixed_size: int = 0
    private_segment_fixed_size: int = 0
    kernarg_size: int = 0
    user_sgpr_count: int = 0
    user_sgpr_private_segment_buffer: int = 0
    user_sgpr_dispatch_ptr: int = 0
    user_sgpr_queue_ptr: int = 0
    user_sgpr_kernarg_segment_ptr: int = 0
    user_sgpr_dispatch_id: int = 0
    user_sgpr_flat_scratch_init: int = 0
    user_sgpr_private_segment_size: int = 0
    user_sgpr_kernarg_preload_length: int = 0
    user_sgpr_kernarg_preload_offset: int = 0
    uses_dynamic_stack: int = 0
    enable_private_segment: int = 0
    system_sgpr_workgroup_id_x: int = 1
    system_sgpr_workgroup_id_y: int = 0
    system_sgpr_workgroup_id_z: int = 0
    system_sgpr_workgroup_info: int = 0
    system_vgpr_workitem_id: int = 0
    next_free_vgpr: int = 0
    next_free_sgpr: int = 0
    accum_offset: int = 4
    float_round_mode_32: int = 0
    float_round_mode_16_64: int = 0
    float_denorm_mode_32: int = 0
    float_denorm_mode_16_64: int = 3
    dx10_clamp: int = 1
    ieee_mode: int = 1
    fp16_overflow: int = 0
    tg_split: int = 0
    exception_fp_ieee_invalid_op: int = 0
    exception_fp_denorm_src: int = 0
    exception_fp_ieee_div_zero: int = 0
    exception_fp_ieee_overflow: int = 0
    exception_fp_ieee_underflow: int = 0
    exception_fp_ieee_inexact: int = 0
    exception_int_div_zero: int = 0


_NAMES = tuple(field.name for field in fields(KernelDescriptor))
_REQUIRED = ("next_free_vgpr", "next_free_sgpr", "accum_offset")

#: Dwords that each user SGPR directive occupies, in the order the loader fills them.
USER_SGPR_DWORDS = {
    "user_sgpr_private_segment_buffer": 4,
    "user_sgpr_dispatch_ptr": 2,
    "user_sgpr_queue_ptr": 2,
    "user_sgpr_kernarg_segment_ptr": 2,
    "user_sgpr_dispatch_id": 2,
    "user_sgpr_flat_scratch_init": 2,
    "user_sgpr_private_segment_size": 1,
}

#: Fields of a word of the descriptor: name, first bit, bits.
_RSRC1 = (
    ("float_round_mode_32", 12, 2),
    ("float_round_mode_16_64", 14, 2),
    ("float_denorm_mode_32", 16, 2),
    ("float_denorm_mode_16_64", 18, 2),
    ("dx10_clamp", 21, 1),
    ("ieee_mode", 23, 1),
    ("fp16_overflow", 26, 1),
)
_RSRC2 = (
    ("enable_private_segment", 0, 1),
    ("user_sgpr_count", 1, 5),
    ("system_sgpr_workgroup_id_x", 7, 1),
    ("system_sgpr_workgroup_id_y", 8, 1),
    ("system_sgpr_workgroup_id_z", 9, 1),
    ("system_sgpr_workgroup_info", 10, 1),
    ("system_vgpr_workitem_id", 11, 2),
    ("exception_fp_ieee_invalid_op", 24, 1),
    ("exception_fp_denorm_src", 25, 1),
    ("exception_fp_ieee_div_zero", 26, 1),
    ("exception_fp_ieee_overflow", 27, 1),
    ("exception_fp_ieee_underflow", 28, 1),
    ("exception_fp_ieee_inexact", 29, 1),
    ("exception_int_div_zero", 30, 1),
)
_PROPERTIES = (
    *((name, bit, 1) for bit, name in enumerate(USER_SGPR_DWORDS)),
    ("uses_dynamic_stack", 11, 1),
)
_PRELOAD = (
    ("user_sgpr_kernarg_preload_length", 0, 7),
    ("user_sgpr_kernarg_preload_offset", 7, 9),
)


def is_known(name: str) -> bool:
    """Whether `.amdhsa_NAME` is a directive of GFX90A, GFX942 or GFX950."""
    return name in _NAMES or name in IGNORED_DIRECTIVES or name in _ALIASES


def known_names() -> tuple[str, ...]:
    return (*_NAMES, *IGNORED_DIRECTIVES, *_ALIASES)


def build_descriptor(values: Mapping[str, int]) -> KernelDescriptor:
    """The descriptor that directives ask for; `user_sgpr_count`, if not given, is their sum.

    Raises RocmoeError where one is missing that has no default.
    """
    missing = [name for name in _REQUIRED if name not in values]
    if missing:
        raise RocmoeError(f".amdhsa_{missing[0]} is missing, which has no default")
    given = {_ALIASES.get(name, name): value for name, value in values.items()}
    kept = {name: value for name, value in given.items() if name not in IGNORED_DIRECTIVES}
    if "user_sgpr_count" not in kept:
        dwords = sum(count for name, count in USER_SGPR_DWORDS.items() if kept.get(name))
        kept["user_sgpr_count"] = dwords + kept.get("user_sgpr_kernarg_preload_length", 0)
    return KernelDescriptor(**kept)


def decode_descriptor(data: bytes) -> tuple[KernelDescriptor, int]:
    """The descriptor in 64 bytes, and the distance in bytes from it to the kernel's first
    instruction. Raises RocmoeError for another number of bytes."""
    if len(data) != DESCRIPTOR_BYTES:
        raise RocmoeError(f"a kernel descriptor has {DESCRIPTOR_BYTES} bytes, found {len(data)}")
    group, private, kernarg, entry, rsrc3, rsrc1, rsrc2, properties, preload = _LAYOUT.unpack(data)
    values = {
        **_split(rsrc1, _RSRC1),
        **_split(rsrc2, _RSRC2),
        **_split(properties, _PROPERTIES),
        **_split(preload, _PRELOAD),
    }
    descriptor = KernelDescriptor(
        group_segment_fixed_size=group,
        private_segment_fixed_size=private,
        kernarg_size=kernarg,
        next_free_vgpr=((rsrc1 & 63) + 1) * 8,
        next_free_sgpr=((rsrc1 >> 6 & 15) // 2 + 1) * 16,
        accum_offset=((rsrc3 & 63) + 1) * 4,
        tg_split=rsrc3 >> 16 & 1,
        **values,
    )
    return descriptor, entry


def _split(word: int, layout: tuple[tuple[str, int, int], ...]) -> dict[str, int]:
    return {name: word >> first & (1 << bits) - 1 for name, first, bits in layout}
