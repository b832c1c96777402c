"""Codes of 8, 6 or 4 bits, one after the other from the lowest bit of a lane's registers on.

Source: CDNA4 ISA (AMD Instinct MI350), V_CVT_SCALEF32_PK32_F32_FP6 and its relatives, whose pseudo
code places element i at bit 6 i.
"""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.semantics.float_format import Array

_REGISTER_BYTES = 4


def unpack_codes(registers: Array, bits: int) -> Array:
    """u32 [..., n] to u8 [..., 32 n / bits]."""
    octets: Array = np.ascontiguousarray(registers, "<u4").view(np.uint8)
    if bits == 8:
        return octets
    # As many codes as end together with a byte: four of 6 bits in three bytes, two of 4 in one.
    size, count = (3, 4) if bits == 6 else (1, 2)
    groups = octets.reshape(*octets.shape[:-1], -1, size).astype(np.uint32)
    words = sum(groups[..., at] << np.uint32(8 * at) for at in range(size))
    shifts = np.arange(count, dtype=np.uint32) * np.uint32(bits)
    codes = (np.asarray(words)[..., None] >> shifts) & np.uint32((1 << bits) - 1)
    return np.asarray(codes.astype(np.uint8).reshape(*octets.shape[:-1], -1))


def pack_codes(codes: Array, bits: int) -> Array:
    """u8 [..., 32 n / bits] to u32 [..., n]."""
    size, count = {8: (1, 1), 6: (3, 4), 4: (1, 2)}[bits]
    groups = codes.reshape(*codes.shape[:-1], -1, count).astype(np.uint32)
    words = np.asarray(sum(groups[..., at] << np.uint32(bits * at) for at in range(count)))
    shifts = np.arange(size, dtype=np.uint32) * np.uint32(8)
    octets = ((words[..., None] >> shifts) & np.uint32(0xFF)).astype(np.uint8)
    flat = np.ascontiguousarray(octets.reshape(*codes.shape[:-1], -1))
    return flat.view("<u4")
