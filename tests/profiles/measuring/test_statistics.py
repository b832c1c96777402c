"""Intervals over processes: how often they hold the truth, and what they are called."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocmoe.profiles.measuring.statistics import (
    MARGIN,
    Interval,
    estimate_median,
    estimate_ratio,
    find_median,
    find_percentile,
    find_spread,
    judge_ratio,
)

GROUPS = st.lists(
    st.lists(st.floats(0.5, 100.0), min_size=1, max_size=12), min_size=1, max_size=6
)  # fmt: skip


def draw_groups(rng, processes, center=20.0, between=0.02, within=0.01, samples=30):
    """Samples of processes that differ by more than the samples of one do."""
    centers = center * (1.0 + between * rng.standard_normal(processes))
    return [list(each * (1.0 + within * rng.standard_normal(samples))) for each in centers]


def test_the_median_is_that_of_the_processes_whatever_their_number_of_samples():
    assert find_median([[1.0] * 100, [2.0], [3.0]]) == 2.0
    assert find_median([[], [4.0, 6.0]]) == 5.0
    assert find_median([]) is None
    assert find_percentile([[1.0, 2.0], [3.0]], 50.0) == 2.0
    assert find_percentile([[]], 99.0) is None


@given(GROUPS)
def test_an_interval_holds_its_value_lies_within_the_samples_and_is_the_same_again(groups):
    found = estimate_median(groups)
    pooled = [us for group in groups for us in group]
    assert min(pooled) <= found.low <= found.value <= found.high <= max(pooled)
    assert estimate_median(groups) == found


@given(GROUPS, st.floats(0.1, 10.0))
def test_a_ratio_of_samples_scaled_is_the_scale(groups, scale):
    scaled = [[us * scale for us in group] for group in groups]
    assert estimate_ratio(scaled, groups).value == pytest.approx(scale)
    assert estimate_ratio(scaled, groups, paired=True).value == pytest.approx(scale)


def test_what_processes_add_widens_the_interval():
    rng = np.random.default_rng(1)
    alike, apart = (draw_groups(rng, 7, between=between) for between in (0.0, 0.05))
    assert estimate_median(apart).half_width > 3.0 * estimate_median(alike).half_width
    assert find_spread(apart) > 5.0 * find_spread(alike)


def test_intervals_of_seven_processes_miss_the_truth_about_as_rarely_as_they_say():
    rng = np.random.default_rng(2)
    found = [estimate_median(draw_groups(rng, 7)) for _ in range(200)]
    missed = sum(not each.low <= 20.0 <= each.high for each in found)
    # 5 % of 200 are 10; a bootstrap of few groups is known to miss somewhat more often.
    assert 2 <= missed <= 30


def test_samples_of_one_process_alone_would_miss_it_mostly():
    rng = np.random.default_rng(3)
    found = [estimate_median(draw_groups(rng, 1)) for _ in range(100)]
    assert sum(not each.low <= 20.0 <= each.high for each in found) > 50


def test_pairs_that_took_turns_in_a_process_cancel_what_it_adds():
    rng = np.random.default_rng(4)
    base = draw_groups(rng, 5, between=0.2)
    mine = [[us * 1.1 for us in group] for group in base]
    paired, apart = estimate_ratio(mine, base, paired=True), estimate_ratio(mine, base)
    assert paired.value == pytest.approx(1.1)
    assert judge_ratio(paired) == "SLOWER"
    assert judge_ratio(apart) == "AMBIGUOUS"


def test_the_same_kernel_twice_is_hardly_ever_called_faster_or_slower():
    rng = np.random.default_rng(5)
    words = [
        judge_ratio(estimate_ratio(*(draw_groups(rng, 5, between=0.01) for _ in range(2))))
        for _ in range(200)
    ]  # fmt: skip
    assert sum(word in ("FASTER", "SLOWER") for word in words) <= 2


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (1.03, 1.05, "SLOWER"),
        (0.90, 0.97, "FASTER"),
        (0.99, 1.01, "SAME"),
        (0.99, 1.03, "AMBIGUOUS"),
        (0.95, 1.01, "AMBIGUOUS"),
        (0.90, 1.10, "AMBIGUOUS"),
        (1.0 + MARGIN, 1.05, "AMBIGUOUS"),
    ],
)
def test_the_word_for_a_ratio(low, high, word):
    assert judge_ratio(Interval((low + high) / 2.0, low, high)) == word


def test_a_wider_margin_asks_for_more():
    ratio = Interval(1.05, 1.04, 1.06)
    assert (judge_ratio(ratio), judge_ratio(ratio, 0.05)) == ("SLOWER", "AMBIGUOUS")
