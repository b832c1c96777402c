from __future__ import annotations

from typing import Any

import numpy as np
import pytest

LANES = np.arange(64, dtype=np.uint32)
OLD = 0xDEADBEEF
EXECS = ((1 << 64) - 1, 0x00FF_0F0F_8000_5A01, 0)


def _active(bits: int) -> np.ndarray:
    return np.array([bool(bits >> lane & 1) for lane in range(64)])


def _prepare(bench: Any, bits: int) -> np.ndarray:
    """v2: a value of each lane and wave, 100 up; v4: what stays where nothing is written."""
    values = 100 + LANES + 64 * np.arange(4, dtype=np.uint32)[:, None]
    bench.set_exec(np.uint64(bits))
    bench.set(2, values)
    bench.set(4, OLD)
    return values


@pytest.mark.parametrize("bits", EXECS)
def test_bpermute(bench: Any, bits: int) -> None:
    """Only address bits 2 to 7 count; a source lane that is not in EXEC gives zero."""
    values, active = _prepare(bench, bits), _active(bits)
    source = (LANES * 5 + 3) % 64
    bench.set(1, source * 4 + 3 + (LANES << 20))
    bench.run("ds_bpermute_b32 v4, v1, v2 offset:8")
    source = (source + 2 + (source * 4 + 3) % 4 // 4) % 64
    expected = np.where(active, np.where(active[source], values[:, source], 0), OLD)
    np.testing.assert_array_equal(bench.get(4), expected)
    assert bench.listener.before == []


@pytest.mark.parametrize("bits", EXECS)
def test_permute(bench: Any, bits: int) -> None:
    """Lanes 2k and 2k + 1 both send to k; the higher one of those in EXEC wins."""
    values, active = _prepare(bench, bits), _active(bits)
    bench.set(1, (LANES // 2) * 4 + (1 << 12))
    bench.run("ds_permute_b32 v4, v1, v2 offset:4")
    expected = np.full((4, 64), OLD)
    expected[:, active] = 0
    for lane in range(64):
        target = (lane // 2 + 1) % 64
        if active[lane] and active[target]:
            expected[:, target] = values[:, lane]
    np.testing.assert_array_equal(bench.get(4), expected)


@pytest.mark.parametrize("bits", EXECS)
@pytest.mark.parametrize(
    ("offset", "source"),
    [
        ("swizzle(SWAP,16)", LANES ^ 16),
        ("swizzle(REVERSE,8)", LANES ^ 7),
        ("swizzle(BROADCAST,4,2)", (LANES & ~np.uint32(3)) | 2),
        ("swizzle(QUAD_PERM,3,0,1,2)", (LANES & ~np.uint32(3)) | ((LANES + 3) & 3)),
        ('swizzle(BITMASK_PERM,"01pi1")', (LANES & 36) | 9 | (LANES & 2 ^ 2)),
        ("swizzle(ROTATE,0,1)", (LANES & 32) | ((LANES + 1) & 31)),
        ("0x801F", LANES & ~np.uint32(3) | np.array([3, 3, 1, 0], np.uint32)[LANES & 3]),
        ("0x041F", LANES ^ 1),
    ],
)
def test_swizzle(bench: Any, offset: str, source: np.ndarray, bits: int) -> None:
    values, active = _prepare(bench, bits), _active(bits)
    bench.run(f"ds_swizzle_b32 v4, v2 offset:{offset}")
    expected = np.where(active, np.where(active[source], values[:, source], 0), OLD)
    np.testing.assert_array_equal(bench.get(4), expected)
