"""Sub-dword addressing: which part of a source is read, and how a result is merged.

Source: CDNA3 ISA (AMD Instinct MI300), SDWA: SRC0_SEL, DST_SEL, DST_U.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from rocmoe.ops.gcn.semantics.float_format import Array

# By assembler name: the lowest bit and the width.
SELECTIONS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "BYTE_0": (0, 8),
        "BYTE_1": (8, 8),
        "BYTE_2": (16, 8),
        "BYTE_3": (24, 8),
        "WORD_0": (0, 16),
        "WORD_1": (16, 16),
        "DWORD": (0, 32),
    }
)
UNUSED = ("UNUSED_PAD", "UNUSED_SEXT", "UNUSED_PRESERVE")


def _mask(width: int) -> Array:
    return np.array((1 << width) - 1, np.uint32)


def select_source(words: Array, selection: str, sign_extend: bool = False) -> Array:
    """The selected part of u32 words, moved down and zero- or sign-extended to 32 bits."""
    low, width = SELECTIONS[selection]
    part = (words >> np.uint32(low)) & _mask(width)
    if not sign_extend or width == 32:
        return np.asarray(part)
    sign = np.uint32(1 << (width - 1))
    return np.asarray((part ^ sign) - sign)


def merge_destination(old: Array, result: Array, selection: str, unused: str) -> Array:
    """`result` put into the selected part of the destination (u32).

    unused: UNUSED_PAD clears the other bits, UNUSED_SEXT fills those above with the sign and clears
    those below, UNUSED_PRESERVE keeps those of `old`.
    """
    low, width = SELECTIONS[selection]
    placed = (result & _mask(width)) << np.uint32(low)
    if unused == "UNUSED_PRESERVE":
        return np.asarray((old & ~(_mask(width) << np.uint32(low))) | placed)
    if unused == "UNUSED_SEXT" and low + width < 32:
        sign = np.uint32(1 << (low + width - 1))
        above = ~_mask(low + width)
        return np.asarray(np.where(placed & sign, placed | above, placed))
    return np.asarray(placed)
