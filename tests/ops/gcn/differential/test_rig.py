"""The comparison itself: what it takes for equal, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402

from . import kernels  # noqa: E402
from .rig import INTEGERS, TYPES, Finding, compare, fill, fit, simulate  # noqa: E402

F16, BF16, F32 = (TYPES[name] for name in ("float16", "bfloat16", "float32"))
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("found", "wanted", "ulp"),
    [
        ([0.0, NAN, INF], [-0.0, NAN, INF], 0),
        ([1 + 2.0**-23], [1.0], 1),
        ([1 - 2.0**-24], [1.0], 1),
        ([2.0**-126 + 2.0**-149], [2.0**-126], 1),
    ],
)
def test_equal_values_pass(found, wanted, ulp):
    compare(torch.tensor(found), np.array(wanted, np.float32), F32, ulp)


@pytest.mark.parametrize(
    ("found", "wanted", "ulp"),
    [
        ([1.0, 1 + 2.0**-23], [1.0, 1.0], 0),
        ([1 + 2.0**-22], [1.0], 1),
        ([NAN], [1.0], 4),
        ([1.0], [NAN], 4),
        ([INF], [3.4e38], 4),
        ([3.4e38], [INF], 4),
        ([INF], [-INF], 4),
    ],
)
def test_other_values_are_refused(found, wanted, ulp):
    with pytest.raises(Finding, match=r"^1 of \d differ, first at \(.*, wanted "):
        compare(torch.tensor(found), np.array(wanted, np.float32), F32, ulp)


def test_values_are_rounded_to_their_type():
    values = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, 1e39])
    assert fit(values, BF16).tolist() == [1.0, 1 + 2.0**-6, INF]
    assert fit(np.array([65519.0, 65520.0]), F16).tolist() == [65504.0, INF]


@pytest.mark.parametrize("kind", INTEGERS, ids=lambda kind: kind.name)
def test_inputs_hold_the_limits_of_their_type(kind):
    values = fill(np.random.default_rng(0), kind, 2000).numpy()
    limits = np.iinfo(kind.numpy)
    assert (values.min(), values.max()) == (limits.min, limits.max)
    assert np.mean(np.abs(values.astype(np.float64)) < 2.0 ** (kind.bits // 2)) > 0.2


@pytest.mark.parametrize("watched", [False, True])
def test_a_wrong_kernel_is_told_of(watched):
    """Out of bounds by one: memcheck is always there."""
    x, y = torch.zeros(63, dtype=torch.int32), torch.zeros(64, dtype=torch.int32)
    with pytest.raises(Finding, match=r"memcheck: .* workgroup 0, wave 0, lane 63"):
        simulate(
            kernels.scan_tile, (1,), "gfx942", family="rig", watched=watched, x=x, y=y, ROWS=1,
            COLUMNS=64, AXIS=1, HOW="sum", REVERSE=False, num_warps=1,
        )  # fmt: skip
