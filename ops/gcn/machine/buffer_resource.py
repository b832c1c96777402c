"""Buffer resources: the four scalar registers that describe memory to buffer instructions.

CDNA4 ISA (AMD Instinct MI350), 9.1.8, table "Buffer resource descriptor"; bits count from the
resource's first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rocmoe.ops.gcn.semantics.words import Array

_SWIZZLE = np.uint32(1 << (63 - 32))
_ADD_THREAD = np.uint32(1 << (119 - 96))
_FORMAT = np.uint32(15 << (111 - 96))
_STRIDE = np.uint32(0x3FFF << (48 - 32))
_PRIVATE_BASE = 0x7000_0000_0000

#: The resource of scratch as gfx90a's runtime makes it: swizzled by thread in elements of 4 bytes,
#: 64 threads each, so that byte b of lane t lies at b // 4 * 256 + t * 4 + b % 4 of the wave's.
#: Its base is that of no device memory.
PRIVATE_SEGMENT = (
    _PRIVATE_BASE & 0xFFFFFFFF,
    _PRIVATE_BASE >> 32 | int(_SWIZZLE),
    0xFFFFFFFF,
    int(_ADD_THREAD) | 3 << (117 - 96),
)


@dataclass(frozen=True)
class BufferResource:
    """words: u32 [waves] each, one a scalar register."""

    words: tuple[Array, Array, Array, Array]

    @property
    def base(self) -> Array:
        """Byte address, int64 [waves]."""
        low, high = self.words[0].astype(np.int64), self.words[1].astype(np.int64)
        return low | (high & 0xFFFF) << 32

    @property
    def stride(self) -> Array:
        """Bytes of a record, int64 [waves]."""
        return ((self.words[1] & _STRIDE) >> np.uint32(48 - 32)).astype(np.int64)

    @property
    def records(self) -> Array:
        """Bytes, or records where an index is given; int64 [waves]."""
        return self.words[2].astype(np.int64)

    @property
    def is_swizzled(self) -> bool:
        """Whether any wave's is, or adds the lane's number to the index."""
        return bool(((self.words[1] & _SWIZZLE) | (self.words[3] & _ADD_THREAD)).any())

    @property
    def is_private_segment(self) -> bool:
        """Whether every wave's is that of scratch."""
        pairs = zip(self.words, PRIVATE_SEGMENT, strict=True)
        return all(bool((word == np.uint32(given)).all()) for word, given in pairs)

    @property
    def is_unbound(self) -> bool:
        """Whether any wave's has no data format: all of it is out of range."""
        return not bool((self.words[3] & _FORMAT).all())

    @property
    def unbound(self) -> Array:
        """bool [waves]."""
        return (self.words[3] & _FORMAT) == 0
