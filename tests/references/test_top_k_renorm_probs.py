import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references import top_k_renorm_probs as reference


def make_probs(seed, rows=16, vocabulary=111, levels=None):
    """Float32 rows that sum to one; `levels` distinct values a row, so that many tie."""
    rng = np.random.default_rng(seed)
    weights = np.exp(rng.standard_normal((rows, vocabulary)))
    if levels is not None:
        weights = rng.integers(0, levels, (rows, vocabulary)) + 1.0
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32).astype(float)


def judge(probs, renorm_probs, top_k, *, strict=False):
    inputs = {"probs": probs, "top_k": top_k}
    outputs = {"renorm_probs": np.asarray(renorm_probs, dtype=float)}
    return reference.judge(inputs, outputs, dtype="fp32", strict=strict)


def answer(probs, top_k):
    return reference.oracle(probs, top_k)["renorm_probs"]


def keep(probs, places):
    """The answer of a kernel that keeps these columns of one row."""
    kept = np.zeros_like(probs)
    kept[0, places] = probs[0, places]
    return kept / kept.sum()


@pytest.mark.parametrize("levels", [None, 5])
@pytest.mark.parametrize("top_k", [1, 2, 50, 110, 111, 112, 1 << 30])
def test_oracle_agrees_with_the_definition(top_k, levels):
    """A token is kept when fewer than k are larger."""
    probs = make_probs(0, rows=8, levels=levels)
    larger = (probs[:, None, :] > probs[:, :, None]).sum(axis=2)
    kept = np.where(larger < top_k, probs, 0)
    wanted = kept / kept.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answer(probs, top_k), wanted, rtol=1e-13)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 70),
    st.sampled_from([None, 1, 2, 6]),
    st.lists(st.integers(1, 80) | st.just(1 << 30), min_size=4, max_size=4),
)
def test_oracle_passes_its_own_strict_judge(seed, vocabulary, levels, top_k):
    probs = make_probs(seed, 4, vocabulary, levels)
    verdict = judge(probs, answer(probs, np.array(top_k)), np.array(top_k), strict=True)
    assert verdict.ok, verdict.findings


def test_top_k_is_taken_row_by_row():
    probs = np.tile(make_probs(1, rows=1), (4, 1))
    top_k = np.array([5, 1, 111, 1 << 30])
    renorm_probs = answer(probs, top_k)
    assert (renorm_probs > 0).sum(axis=1).tolist() == [5, 1, 111, 111]
    assert judge(probs, renorm_probs, top_k, strict=True).ok
    verdict = judge(probs, np.tile(renorm_probs[:1], (4, 1)), top_k)
    assert verdict.failed == ("none_kept_outside", "none_dropped_inside")


@pytest.mark.parametrize("strict", [False, True])
def test_a_cut_through_ties_is_refused_and_called_so(strict):
    probs = np.array([[0.4, 0.2, 0.2, 0.2]])
    assert judge(probs, keep(probs, [0, 1, 2, 3]), 2, strict=strict).ok
    verdict = judge(probs, keep(probs, [0, 2]), 2, strict=strict)
    assert verdict.failed == ("ties_kept",)
    assert [finding.index for finding in verdict.findings] == [(0, 1), (0, 3)]
    assert verdict.findings[0].wanted == "kept (tie cut): the equal probability 0.2 is kept"


def test_the_next_smaller_token_is_outside_however_close():
    close = np.float32(0.25)
    probs = np.array([[0.5, close, np.nextafter(close, np.float32(0)), 2.0**-26]], dtype=float)
    assert judge(probs, keep(probs, [0, 1]), 2, strict=True).ok
    assert judge(probs, keep(probs, [0, 1, 2]), 2).failed == ("none_kept_outside",)
    assert judge(probs, keep(probs, [0, 2]), 2).failed[-1] == "none_dropped_inside"


def test_one_too_few_and_one_too_many():
    probs = make_probs(2)
    few, many = (judge(probs, answer(probs, k), 10) for k in (9, 11))
    assert few.failed == ("none_dropped_inside",)
    assert many.failed == ("none_kept_outside",)
    assert (few.checks[2].observed, many.checks[1].observed) == (16, 16)


def test_fewer_positive_tokens_than_k():
    probs = np.array([[0.0, 0.75, 0.25, 0.0]])
    assert judge(probs, probs, 3, strict=True).ok
    assert judge(probs, probs + 1e-30, 3).failed[0] == "none_kept_outside"


def test_denormal_tokens_below_the_k_th_are_zero():
    probs = np.array([[0.5, 0.5, 2.0**-130, 2.0**-140]])
    assert judge(probs, keep(probs, [0, 1, 2]), 3, strict=True).ok
    assert judge(probs, keep(probs, [0, 1]), 3, strict=True).ok  # flushed
    assert judge(probs, probs, 3).failed == ("none_kept_outside",)


def test_zero_rows_give_zeros():
    probs = make_probs(3, rows=4)
    probs[1] = 0.0
    renorm_probs = answer(probs, 10)
    assert not renorm_probs[1].any()
    assert judge(probs, renorm_probs, 10, strict=True).ok
    renorm_probs[1] = np.nan
    verdict = judge(probs, renorm_probs, 10)
    assert verdict.failed == ("finite",)
    assert verdict.findings[0].index == (1, 0)


@pytest.mark.parametrize("spoil", [lambda row: row / 2, lambda row: row * np.nan])
def test_rows_that_are_no_distributions_are_not_judged_and_spoil_no_others(spoil):
    probs = make_probs(4)
    probs[3] = spoil(probs[3])
    renorm_probs = answer(probs, 10)
    assert judge(probs, renorm_probs, 10, strict=True).ok
    renorm_probs[4] = probs[4]
    assert not judge(probs, renorm_probs, 10).ok


def test_k_of_zero_is_out_of_contract():
    probs = make_probs(5, rows=2)
    top_k = np.array([0, 5])
    assert judge(probs, np.where([[True], [False]], np.nan, answer(probs, 5)), top_k).ok
    assert not judge(probs, probs, top_k).ok


def test_small_probabilities_do_not_make_the_judge_blind():
    probs = make_probs(6, rows=1, vocabulary=128256)
    assert judge(probs, np.zeros_like(probs), 500).failed == ("none_dropped_inside", "sums_to_one")
    assert judge(probs, probs, 500).failed == ("none_kept_outside",)
    kept = np.where(answer(probs, 500) > 0, probs, 0)
    assert judge(probs, kept, 500).failed == ("quotients", "sums_to_one")
