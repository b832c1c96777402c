"""The model of LDS banks: cycles of access patterns."""

import numpy as np
import pytest

from rocmoe.ops.gcn.counting.banks import count_cycles

LANES = np.arange(64, dtype=np.int64)
ALL = np.ones((1, 64), np.bool_)


@pytest.mark.parametrize(
    ("addresses", "size", "banks", "cycles", "least"),
    [
        (4 * LANES, 4, 32, 2, 2),  # each bank once, in two groups of 32 lanes
        (0 * LANES, 4, 32, 2, 2),  # one dword for all
        (8 * LANES, 4, 32, 4, 2),  # every other bank, twice
        (128 * LANES, 4, 32, 64, 2),  # one bank alone
        (132 * LANES, 4, 32, 2, 2),  # a padded column
        (8 * LANES, 8, 32, 4, 4),
        (16 * LANES, 16, 32, 8, 8),
        (12 * LANES, 12, 32, 8, 8),
        (256 * LANES, 16, 32, 64, 8),
        (4 * LANES, 4, 64, 1, 1),  # gfx950 serves a wave at once
        (256 * LANES, 4, 64, 64, 1),
        (LANES, 1, 32, 2, 2),  # bytes of the same dwords
    ],
)
def test_patterns(addresses, size, banks, cycles, least):
    assert count_cycles(addresses[None], ALL, size, banks) == (cycles, least)


def test_lanes_that_access_nothing_take_no_cycle():
    addresses = (128 * LANES)[None]
    assert count_cycles(addresses, LANES[None] < 5, 4, 32) == (5, 1)
    assert count_cycles(addresses, ALL & False, 4, 32) == (0, 0)
    # An address of a lane that is not active may be anything.
    wild = np.where(LANES < 5, 128 * LANES, -(2**60))[None]
    assert count_cycles(wild, LANES[None] < 5, 4, 32) == (5, 1)
