"""What the rows of the renormalisation tables have in common."""

from __future__ import annotations


def in_parts(
    parts: int, room: int, sample: int, announce: str = "sift settle"
) -> dict[str, int | str]:
    """Parameters of three launches: programs a row that sift, the keys that a row's lists have room
    for, those sampled for its bracket, and the launches that announce the next one."""
    return {
        "parts": parts, "room": room, "sample": sample, "depth": 8, "tile": 2048,
        "sift_warps": 8, "settle_warps": 8, "block": 2048, "write_warps": 4,
        "announce": announce,
    }  # fmt: skip
