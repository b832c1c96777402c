import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references.judging.rmsnorm import Heads, half_ulp, judge_heads, normalize
from rocmoe.references.judging.verdict import Judgement

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def judge(found, values, *, dtype="bf16", slack=0.0, vanishes=False):
    """One head of the given values [D], judged."""
    values = np.asarray(values, dtype=float)[None, None, :]
    wanted = Heads(values, np.full_like(values, slack), np.full((1, 1), vanishes))
    judgement = Judgement()
    judge_heads(judgement, "q", np.asarray(found, dtype=float)[None, :], wanted, dtype=dtype)
    return judgement.verdict()


@pytest.mark.parametrize("dtype", DTYPES)
def test_half_ulp_is_half_the_gap_to_the_next_number(dtype):
    kind = DTYPES[dtype]
    values = torch.tensor([2.0**-140, 2.0**-20, 1e-5, 0.3, 1.0, 1.5, 1.99, 2.0, 60000.0]).to(kind)
    values = torch.cat((values, torch.zeros(1, dtype=kind)))
    above = torch.nextafter(values, torch.full_like(values, torch.inf)) if dtype == "fp32" else None
    if above is None:  # nextafter knows float32 alone
        above = (values.view(torch.int16) + 1).view(kind)
    gaps = (above.double() - values.double()).numpy()
    np.testing.assert_array_equal(half_ulp(values.double().numpy(), dtype), gaps / 2)


@settings(max_examples=60, deadline=None)
@given(st.floats(-7e4, 7e4), st.sampled_from(sorted(DTYPES)))
def test_the_nearest_number_passes_and_the_one_after_does_not(value, dtype):
    nearest = torch.tensor(value, dtype=torch.float64).to(DTYPES[dtype])
    assert judge([float(nearest)], [value], dtype=dtype).ok
    bits = nearest.view(torch.int32 if dtype == "fp32" else torch.int16)
    for step in (-1, 1):
        other = float((bits + step).view(DTYPES[dtype]))
        tied = abs(other - value) <= abs(float(nearest) - value)
        # The number just below a power of two is no further than half the gap above it.
        power_of_two = abs(math.frexp(value)[0]) == 0.5
        if np.isfinite(other) and not tied and not power_of_two:
            assert not judge([other], [value], dtype=dtype).ok


@pytest.mark.parametrize(
    ("found", "wanted", "ok"),
    [
        (np.inf, 65520.0, True),  # ties to even, which is past the largest number
        (65504.0, 65519.0, True),
        (np.inf, 65503.0, False),
        (np.inf, 1e6, True),
        (65504.0, 1e6, False),
        (-np.inf, 1e6, False),
        (-np.inf, -1e6, True),
    ],
)
def test_past_the_largest_number_stands_an_infinity(found, wanted, ok):
    assert judge([found], [wanted], dtype="fp16").ok == ok


def test_float16_results_keep_their_subnormal_numbers():
    assert judge([2.0**-24], [2.0**-24], dtype="fp16").ok
    assert not judge([0.0], [2.0**-24], dtype="fp16").ok
    assert judge([0.0], [2.0**-25], dtype="fp16").ok


def test_where_the_definition_gives_nan_nothing_else_stands():
    assert judge([np.nan, 1.0], [np.nan, 1.0]).ok
    verdict = judge([0.0, 1.0], [np.nan, 1.0])
    assert verdict.failed == ("nan_stays",)
    assert verdict.findings[0].wanted == "nan (head 0, element 0)"


def test_a_nan_where_a_number_is_due_is_named():
    verdict = judge([1.0, np.nan], [1.0, 2.0])
    assert verdict.failed == ("within_rounding",)
    assert verdict.findings[0].found == "nan"
    assert verdict.findings[0].wanted == "2 (head 0, element 1)"


def test_zero_stands_for_a_head_whose_squares_overflow_and_for_no_other():
    assert judge([0.0], [1.0], vanishes=True).ok
    assert judge([1.0], [1.0], vanishes=True).ok
    assert not judge([0.5], [1.0], vanishes=True).ok
    assert not judge([0.0], [1.0]).ok


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 300), st.floats(-12, 12), st.booleans())
def test_float32_stays_within_the_slack_in_any_order_of_the_sum(seed, head_dim, power, backwards):
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal((4, head_dim)) * 10.0**power).astype(np.float32)
    weight = rng.standard_normal(head_dim).astype(np.float32)
    squares = np.square(rows[:, ::-1] if backwards else rows)
    total = np.cumsum(squares, axis=1, dtype=np.float32)[:, -1:]
    mean = total / np.float32(head_dim)
    found = rows * (np.float32(1.0) / np.sqrt(mean + np.float32(1e-6))) * weight
    wanted = normalize(rows.astype(float), weight.astype(float), 1e-6)
    assert (np.abs(found - wanted.values[:, 0]) <= wanted.slack[:, 0]).all()


def test_the_slack_is_too_small_for_a_variance_in_half_precision():
    rows = np.random.default_rng(0).standard_normal((4, 128))
    wanted = normalize(rows, np.ones(128), 1e-6)
    assert (wanted.slack < 2.0**-15 * np.abs(wanted.values) + 1e-30).all()


def test_only_heads_whose_squares_leave_float32_may_vanish():
    rows = np.concatenate([np.full((1, 8), 2.0**61), np.full((1, 8), 2.0**62), np.ones((1, 8))], 1)
    assert normalize(rows, np.ones(8), 1e-6).vanishes.tolist() == [[False, True, False]]
