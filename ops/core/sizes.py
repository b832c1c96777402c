"""Arithmetic of sizes on the host.

What Triton offers for it can also run at compile time, and takes a microsecond a call on the host,
of which a sort makes eight.
"""

from __future__ import annotations


def divide_up(size: int, part: int) -> int:
    """How many parts hold a size, the last one perhaps not full."""
    return -(-size // part)


def grow_to_power_of_2(size: int) -> int:
    """The smallest power of two, 1 and up, that is no smaller than a size."""
    return 1 << max(0, size - 1).bit_length()
