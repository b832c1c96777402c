"""Bytes as words of 1 to 16 bytes, gathered from and scattered to any places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rocmoe.ops.gcn.semantics.words import Array

#: The type that moves words of a size fastest; 16 bytes go as a pair of doubles, bits unchanged.
_UNITS = {1: "u1", 2: "<u2", 4: "<u4", 8: "<u8", 16: "<c16"}


def allocate(size: int) -> Array:
    """u8 zeros, at least `size`, that start at a multiple of 16 and are a multiple of it."""
    octets = np.zeros(-(-size // 16) * 16 + 16, np.uint8)
    start = -octets.ctypes.data % 16
    return octets[start : start + octets.size - 16]


class Storage:
    """octets: u8 [bytes], contiguous; what is stored goes there.

    Words are lists of u32 arrays, one a dword, in the shape of the places (int64, in bytes) they
    are at; a word of 1 or 2 bytes fills up with zeros. Places need no alignment.
    """

    def __init__(self, octets: Array) -> None:
        self.octets = octets

    def units(self, size: int) -> Array:
        """All aligned words of 1, 2, 4, 8 or 16 bytes."""
        return self.octets[: self.octets.size // size * size].view(_UNITS[size])

    def load(self, places: Array, size: int) -> list[Array]:
        if _aligned(places, size):
            words = self.units(size).take(places >> (size.bit_length() - 1))
        else:
            words = self._unaligned(size)[places]
        if size == 4:
            return [words.view(np.uint32)]
        if size < 4:
            return [words.view(f"<u{size}").astype(np.uint32)]
        dwords = words.view(np.uint32).reshape(*places.shape, size // 4)
        return [np.ascontiguousarray(dwords[..., at]) for at in range(size // 4)]

    def store(self, places: Array, size: int, dwords: Sequence[Array]) -> None:
        """Of several words at one place, the last stays."""
        words = self._join(places, size, dwords)
        if _aligned(places, size):
            self.units(size)[places >> (size.bit_length() - 1)] = words.view(_UNITS[size])
        else:
            self._unaligned(size)[places] = words.view(f"V{size}")

    def _join(self, places: Array, size: int, dwords: Sequence[Array]) -> Array:
        """Words of one element each, from dwords; of a shorter word the low bytes count."""
        if size <= 4:
            return np.ascontiguousarray(dwords[0].astype(f"<u{size}"))
        joined = np.empty((*places.shape, size // 4), np.uint32)
        for at, dword in enumerate(dwords):
            joined[..., at] = dword
        return joined.view(f"V{size}")[..., 0]

    def _unaligned(self, size: int) -> Array:
        """The words that start at every byte. NumPy asks no alignment of a void type."""
        shape = (max(self.octets.size - size + 1, 0),)
        return np.ndarray(shape, f"V{size}", self.octets, 0, (1,))


def _aligned(places: Array, size: int) -> bool:
    return size in _UNITS and not int(np.bitwise_or.reduce(places, axis=None)) & (size - 1)
