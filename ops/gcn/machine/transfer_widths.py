"""What a memory instruction moves a lane: how many bytes, and where in its registers they go.

CDNA4 ISA, 9.1 table "Buffer instructions" and 10.1 table "Flat, global and scratch opcodes".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Width:
    """size: bytes a lane. signed: short values extend their sign. half: only 16 bits of the
    register are meant, those from bit `shift` on."""

    size: int
    signed: bool = False
    half: bool = False
    shift: int = 0

    @property
    def dwords(self) -> int:
        """Registers that it takes."""
        return -(-self.size // 4)


DWORD = Width(4)
_DWORDS = {
    "dword": DWORD,
    "dwordx2": Width(8),
    "dwordx3": Width(12),
    "dwordx4": Width(16),
}
#: Behind `load_`, without `lds_`.
LOADS: Mapping[str, Width] = MappingProxyType(
    {
        **_DWORDS,
        "ubyte": Width(1),
        "sbyte": Width(1, signed=True),
        "ushort": Width(2),
        "sshort": Width(2, signed=True),
        "ubyte_d16": Width(1, half=True),
        "ubyte_d16_hi": Width(1, half=True, shift=16),
        "sbyte_d16": Width(1, signed=True, half=True),
        "sbyte_d16_hi": Width(1, signed=True, half=True, shift=16),
        "short_d16": Width(2, half=True),
        "short_d16_hi": Width(2, half=True, shift=16),
    }
)
#: Behind `store_`.
STORES: Mapping[str, Width] = MappingProxyType(
    {
        **_DWORDS,
        "byte": Width(1),
        "short": Width(2),
        "byte_d16_hi": Width(1, half=True, shift=16),
        "short_d16_hi": Width(2, half=True, shift=16),
    }
)
#: What can go to LDS rather than to registers.
LDS_LOADS = frozenset(("ubyte", "sbyte", "ushort", "sshort", "dword", "dwordx3", "dwordx4"))
