"""Segments that accesses touch, against sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.gcn.counting.traffic import count_segments

LANES = np.arange(64, dtype=np.int64)
ALL = np.ones((1, 64), np.bool_)


@pytest.mark.parametrize(
    ("addresses", "size", "of_64", "of_128"),
    [
        (4096 + 4 * LANES, 4, 4, 2),  # neighbours
        (4096 + 16 * LANES, 16, 16, 8),
        (4096 + 0 * LANES, 4, 1, 1),  # a broadcast
        (4096 + 512 * LANES, 2, 64, 64),  # a column
        (4096 + 4 * (63 - LANES), 4, 4, 2),  # backwards
        (4100 + 16 * LANES, 16, 17, 9),  # crosses a line
        (4096 + 128 * (LANES % 2), 4, 2, 2),  # to and fro
    ],
)
def test_patterns(addresses, size, of_64, of_128):
    assert count_segments(addresses[None], ALL, size, 64) == of_64
    assert count_segments(addresses[None], ALL, size, 128) == of_128


def test_lanes_that_access_nothing_touch_nothing():
    addresses = (4096 + 512 * LANES)[None]
    assert count_segments(addresses, LANES[None] < 3, 4, 64) == 3
    assert count_segments(addresses, ALL & False, 4, 64) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4, 8, 16]), st.floats(0, 1))
def test_any_accesses(seed, size, share):
    random = np.random.default_rng(seed)
    addresses = random.integers(0, 2000, (3, 64))
    active = random.random((3, 64)) < share
    touched = sum(
        len({(int(a) + octet) // 64 for a in row[on] for octet in range(size)})
        for row, on in zip(addresses, active, strict=True)
    )
    assert count_segments(addresses, active, size, 64) == touched
