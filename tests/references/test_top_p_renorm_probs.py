import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references import top_p_renorm_probs as reference
from rocmoe.references.judging.support import accumulation_error


def make_probs(seed, rows=16, vocabulary=111, levels=None):
    """Float32 rows that sum to one; `levels` distinct values a row, so that many tie."""
    rng = np.random.default_rng(seed)
    weights = np.exp(rng.standard_normal((rows, vocabulary)))
    if levels is not None:
        weights = rng.integers(0, levels, (rows, vocabulary)) + 1.0
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32).astype(float)


def judge(probs, renorm_probs, top_p, *, strict=False):
    inputs = {"probs": probs, "top_p": top_p}
    outputs = {"renorm_probs": np.asarray(renorm_probs, dtype=float)}
    return reference.judge(inputs, outputs, dtype="fp32", strict=strict)


def answer(probs, top_p):
    return reference.oracle(probs, top_p)["renorm_probs"]


def keep(probs, places):
    """The answer of a kernel that keeps these columns of one row."""
    kept = np.zeros_like(probs)
    kept[0, places] = probs[0, places]
    return kept / kept.sum()


def renormalise_by_definition(row, top_p):
    """Token by token, with exact sums."""
    kept = [
        p if top_p >= 1 or p == max(row) or math.fsum(q for q in row if q > p) < top_p else 0.0
        for p in row
    ]
    total = math.fsum(kept) or 1.0
    return [p / total for p in kept]


@pytest.mark.parametrize("levels", [None, 5])
@pytest.mark.parametrize("top_p", [-1.0, 0.0, 0.1, 0.5, 0.9, 1.0, 1.5])
def test_oracle_agrees_with_the_definition(top_p, levels):
    probs = make_probs(0, rows=8, levels=levels)
    wanted = [renormalise_by_definition(row, top_p) for row in probs.tolist()]
    np.testing.assert_allclose(answer(probs, top_p), wanted, rtol=1e-13)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 70),
    st.sampled_from([None, 1, 2, 6]),
    st.lists(st.floats(-0.5, 1.5, width=32) | st.sampled_from([0.0, 0.5, 1.0]), min_size=4,
             max_size=4),
)  # fmt: skip
def test_oracle_passes_its_own_strict_judge(seed, vocabulary, levels, top_p):
    probs = make_probs(seed, 4, vocabulary, levels)
    verdict = judge(probs, answer(probs, np.array(top_p)), np.array(top_p), strict=True)
    assert verdict.ok, verdict.findings


def test_top_p_is_taken_row_by_row():
    probs = np.tile(make_probs(1, rows=1), (3, 1))
    top_p = np.array([0.0, 0.5, 1.0])
    renorm_probs = answer(probs, top_p)
    kept = (renorm_probs > 0).sum(axis=1)
    assert kept[0] == 1 < kept[1] < kept[2] == 111
    assert judge(probs, renorm_probs, top_p, strict=True).ok
    assert not judge(probs, np.tile(renorm_probs[:1], (3, 1)), top_p).ok


def test_the_token_that_crosses_p_is_kept_however_large():
    probs = np.array([[0.5, 0.4, 0.1]])
    assert judge(probs, keep(probs, [0, 1]), 0.6, strict=True).ok
    verdict = judge(probs, keep(probs, [0]), 0.6)
    assert verdict.failed == ("mass_reached",)
    assert verdict.findings[0].index == (0, 1)
    assert verdict.findings[0].found == "0 (the kept mass is 0.5)"


def test_nothing_below_the_boundary_is_kept():
    probs = np.array([[0.5, 0.4, 0.1]])
    verdict = judge(probs, keep(probs, [0, 1, 2]), 0.6)
    assert verdict.failed == ("none_kept_outside",)
    assert verdict.findings[0].index == (0, 2)
    assert verdict.findings[0].wanted == "0: the probability 0.1 is below 0.4"


def test_nothing_above_the_boundary_is_dropped():
    probs = np.array([[0.3, 0.3, 0.25, 0.15]])
    verdict = judge(probs, keep(probs, [0, 2]), 0.7)
    assert verdict.failed == ("none_dropped_inside",)
    assert verdict.findings[0].index == (0, 1)


def test_ties_at_the_boundary_may_be_cut_by_rank_but_not_under_strict():
    probs = np.array([[0.4, 0.15, 0.15, 0.15, 0.15]])
    assert judge(probs, keep(probs, [0, 1, 2, 3, 4]), 0.6, strict=True).ok
    for places in ([0, 1, 2], [0, 3, 4], [0, 1, 2, 4]):
        assert judge(probs, keep(probs, places), 0.6).ok
        verdict = judge(probs, keep(probs, places), 0.6, strict=True)
        assert verdict.failed == ("ties_kept",)
        assert "tie cut" in verdict.findings[0].wanted


def test_a_cut_through_ties_must_still_reach_p():
    probs = np.array([[0.4, 0.15, 0.15, 0.15, 0.15]])
    assert judge(probs, keep(probs, [0, 1]), 0.6).failed == ("mass_reached",)
    assert judge(probs, keep(probs, [0]), 0.6).failed == ("mass_reached",)


def test_ties_above_the_boundary_are_never_cut():
    probs = np.array([[0.3, 0.3, 0.2, 0.2]])
    assert not judge(probs, keep(probs, [0, 2, 3]), 0.7).ok


@pytest.mark.parametrize("top_p", [0.0, -1.0])
def test_p_of_zero_keeps_the_maxima(top_p):
    probs = np.array([[0.2, 0.35, 0.1, 0.35]])
    assert judge(probs, keep(probs, [1, 3]), top_p, strict=True).ok
    assert judge(probs, keep(probs, [3]), top_p).ok
    assert judge(probs, np.zeros((1, 4)), top_p).failed == ("mass_reached", "sums_to_one")
    assert judge(probs, keep(probs, [0]), top_p).failed[0] == "none_kept_outside"


def test_p_of_zero_does_not_blur_a_flat_row():
    probs = np.full((1, 4096), 1 / 4096) * (1 + np.linspace(-1, 1, 4096) * 1e-3)
    probs = (probs / probs.sum()).astype(np.float32).astype(float)
    assert judge(probs, keep(probs, [4095]), 0.0, strict=True).ok
    assert not judge(probs, keep(probs, [4094, 4095]), 0.0).ok


@pytest.mark.parametrize("top_p", [1.0, 2.0])
def test_p_of_one_keeps_all_down_to_the_smallest(top_p):
    probs = np.array([[0.75, 0.25 - 2.0**-40, 2.0**-40, 0.0]])
    assert judge(probs, keep(probs, [0, 1, 2]), top_p, strict=True).ok
    assert judge(probs, keep(probs, [0, 1]), top_p).failed == ("none_dropped_inside",)


def test_within_the_accumulation_error_either_choice_passes():
    probs = np.array([[0.4, 0.3, 0.2, 0.1]]).astype(np.float32).astype(float)
    band = accumulation_error(4)
    mass = probs[0, :2].sum()
    for share in (-0.9, 0.0, 0.9):
        for places in ([0, 1], [0, 1, 2]):
            assert judge(probs, keep(probs, places), mass + share * band, strict=True).ok
    assert not judge(probs, keep(probs, [0, 1]), mass + 1.1 * band).ok
    assert not judge(probs, keep(probs, [0, 1, 2]), mass - 1.1 * band).ok


def test_where_float32_adds_exactly_mass_equal_to_p_is_not_below_it():
    probs = np.array([[0.5, 0.25, 0.125, 0.125]])
    assert judge(probs, keep(probs, [0, 1]), 0.75, strict=True).ok
    assert judge(probs, keep(probs, [0, 1, 2, 3]), 0.75).failed == ("none_kept_outside",)
    assert judge(probs, keep(probs, [0]), 0.75).failed == ("mass_reached",)
    inexact = 0.75 + 2.0**-25  # no multiple of 2^-24: 1 - p rounds
    assert judge(probs, keep(probs, [0, 1]), inexact).ok


def test_quotients_may_be_off_by_rounding_only():
    probs = make_probs(2)
    limit = accumulation_error(111)
    verdict = judge(probs, answer(probs, 0.9) * (1 + 0.9 * limit), 0.9)
    assert verdict.ok
    assert 0.8 < verdict.error_ratio < 1.0
    failed = judge(probs, answer(probs, 0.9) * (1 + 1.2 * limit), 0.9).failed
    assert failed == ("quotients", "sums_to_one")


def test_a_quotient_is_judged_beside_those_that_cancel_it_in_the_sum():
    probs = make_probs(3)
    renorm_probs = answer(probs, 0.9)
    first, second = np.flatnonzero(renorm_probs[4])[:2]
    renorm_probs[4, first] += 1e-4
    renorm_probs[4, second] -= 1e-4
    verdict = judge(probs, renorm_probs, 0.9)
    assert verdict.failed == ("quotients",)
    assert {finding.index for finding in verdict.findings} == {(4, first), (4, second)}


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_named_where_it_stands(wrong):
    probs = make_probs(4)
    renorm_probs = answer(probs, 0.5)
    place = (7, int(np.flatnonzero(renorm_probs[7] == 0)[0]))
    renorm_probs[place] = wrong
    verdict = judge(probs, renorm_probs, 0.5)
    assert verdict.failed == ("finite",)
    assert verdict.findings[0].index == place


def test_zero_rows_give_zeros():
    probs = make_probs(5, rows=4)
    probs[2] = 0.0
    renorm_probs = answer(probs, 0.5)
    assert not renorm_probs[2].any()
    assert judge(probs, renorm_probs, 0.5, strict=True).ok
    for wrong in (np.nan, 1.0, 1 / 111):
        spoiled = renorm_probs.copy()
        spoiled[2] = wrong
        verdict = judge(probs, spoiled, 0.5)
        assert not verdict.ok
        assert verdict.findings[0].index[0] == 2


def test_denormal_probabilities_may_be_flushed_if_kept_and_are_zero_if_not():
    probs = np.array([[0.5, 0.5, 2.0**-140, 0.0]])
    assert judge(probs, keep(probs, [0, 1]), 1.0, strict=True).ok
    assert judge(probs, keep(probs, [0, 1, 2]), 1.0, strict=True).ok
    assert judge(probs, keep(probs, [0, 1, 2]), 0.75).failed == ("none_kept_outside",)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: row * 0.75,
        lambda row: row * 64.0,
        lambda row: np.where(row == row.max(), np.nan, row),
        lambda row: np.where(row == row.max(), np.inf, row),
        lambda row: np.where(row == row.max(), -row, row),
    ],
)
def test_rows_that_are_no_distributions_are_not_judged_and_spoil_no_others(spoil):
    probs = make_probs(6)
    probs[3] = spoil(probs[3])
    renorm_probs = answer(probs, 0.5)
    assert np.isnan(renorm_probs[3]).all()
    assert judge(probs, renorm_probs, 0.5, strict=True).ok
    renorm_probs[4] = probs[4]
    assert not judge(probs, renorm_probs, 0.5).ok


@pytest.mark.parametrize("vocabulary", [32000, 128256])
def test_small_probabilities_do_not_make_the_judge_blind(vocabulary):
    probs = make_probs(7, rows=1, vocabulary=vocabulary)
    renorm_probs = answer(probs, 0.9)
    assert renorm_probs.max() < 5e-3, "the case on which a tolerance of 1e-3 accepts anything"
    assert judge(probs, np.zeros_like(probs), 0.9).failed[0] == "none_dropped_inside"
    assert judge(probs, probs, 0.9).failed == ("none_kept_outside",)
    assert judge(probs, renorm_probs * 0.9, 0.9).failed == ("quotients", "sums_to_one")
    assert judge(probs, np.where(renorm_probs > 0, 1 / vocabulary, 0), 0.9).failed[0] == "quotients"


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda probs, right: np.where(right > 0, probs, 0), "quotients"),
        (lambda probs, right: np.roll(right, 1, axis=0), "none_kept_outside"),
        (lambda probs, right: np.roll(right, 1, axis=1), "none_dropped_inside"),
        (lambda probs, right: np.sqrt(right), "quotients"),
        (lambda probs, right: -right, "quotients"),
        (lambda probs, right: right + 1e-30, "none_kept_outside"),
    ],
)
def test_harms_are_refused(spoil, check):
    probs = make_probs(8)
    assert check in judge(probs, spoil(probs, answer(probs, 0.6)), 0.6).failed


def test_no_rows():
    probs = np.zeros((0, 111))
    assert judge(probs, answer(probs, 0.5), 0.5, strict=True).ok
