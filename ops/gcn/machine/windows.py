"""Where LDS and scratch stand in the flat address space.

The hardware says so in `src_shared_base` and its kin (CDNA3 ISA, 10.1: flat memory apertures); the
values are those that ROCm's runtime commonly sets, far from the simulated device memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SHARED_BASE = 0x0001_0000_0000_0000
PRIVATE_BASE = 0x0002_0000_0000_0000
APERTURE_BYTES = 1 << 32

APERTURES: Mapping[str, int] = MappingProxyType(
    {
        "src_shared_base": SHARED_BASE,
        "src_shared_limit": SHARED_BASE + APERTURE_BYTES - 1,
        "src_private_base": PRIVATE_BASE,
        "src_private_limit": PRIVATE_BASE + APERTURE_BYTES - 1,
    }
)
