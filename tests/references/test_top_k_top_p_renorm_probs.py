import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references import top_k_top_p_renorm_probs as reference

ORDERS = ("joint", "top_k_first")


def make_probs(seed, rows=16, vocabulary=111, levels=None):
    """Float32 rows that sum to one; `levels` distinct values a row, so that many tie."""
    rng = np.random.default_rng(seed)
    weights = np.exp(rng.standard_normal((rows, vocabulary)))
    if levels is not None:
        weights = rng.integers(0, levels, (rows, vocabulary)) + 1.0
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32).astype(float)


def judge(probs, renorm_probs, top_k, top_p, order, *, strict=False):
    inputs = {"probs": probs, "top_k": top_k, "top_p": top_p, "filter_apply_order": order}
    outputs = {"renorm_probs": np.asarray(renorm_probs, dtype=float)}
    return reference.judge(inputs, outputs, dtype="fp32", strict=strict)


def answer(probs, top_k, top_p, order):
    return reference.oracle(probs, top_k, top_p, order)["renorm_probs"]


def keep(probs, places):
    """The answer of a kernel that keeps these columns of one row."""
    kept = np.zeros_like(probs)
    kept[0, places] = probs[0, places]
    return kept / kept.sum()


def filter_with_torch(probs, top_k, top_p, order):
    """Float64, by pairwise comparison: no sort and no threshold."""
    p = torch.from_numpy(probs)

    def is_above(values):
        return values[:, None, :] > values[:, :, None]

    by_rank = is_above(p).sum(dim=2) < top_k
    base = p
    if order == "top_k_first":
        base = p * by_rank
        base = base / base.sum(dim=1, keepdim=True)
    above = (is_above(base) * base[:, None, :]).sum(dim=2)
    by_mass = (above < top_p) | (above == 0) | torch.tensor(top_p >= 1)
    kept = p * by_rank * by_mass
    return (kept / kept.sum(dim=1, keepdim=True)).numpy()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("levels", [None, 5])
@pytest.mark.parametrize(
    ("top_k", "top_p"), [(1, 0.9), (10, 0.5), (10, 0.99), (60, 0.3), (111, 0.8), (9, 1.0), (9, 0.0)]
)
def test_oracle_agrees_with_pairwise_comparison(top_k, top_p, levels, order):
    probs = make_probs(0, rows=8, levels=levels)
    wanted = filter_with_torch(probs, top_k, top_p, order)
    np.testing.assert_allclose(answer(probs, top_k, top_p, order), wanted, rtol=1e-13)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 70),
    st.sampled_from([None, 1, 2, 6]),
    st.lists(st.integers(1, 80) | st.just(1 << 30), min_size=4, max_size=4),
    st.lists(st.floats(0, 1, width=32) | st.sampled_from([0.0, 0.5, 1.0]), min_size=4, max_size=4),
    st.sampled_from(ORDERS),
)
def test_oracle_passes_its_own_strict_judge(seed, vocabulary, levels, top_k, top_p, order):
    probs = make_probs(seed, 4, vocabulary, levels)
    filters = np.array(top_k), np.array(top_p)
    verdict = judge(probs, answer(probs, *filters, order), *filters, order, strict=True)
    assert verdict.ok, verdict.findings


def test_the_two_orders_are_two_functions():
    probs = np.array([[0.4, 0.3, 0.2, 0.1]])
    two, one = keep(probs, [0, 1]), keep(probs, [0])
    assert judge(probs, two, 2, 0.55, "joint", strict=True).ok
    assert judge(probs, one, 2, 0.55, "top_k_first", strict=True).ok
    assert judge(probs, one, 2, 0.55, "joint").failed == ("mass_reached",)
    assert judge(probs, two, 2, 0.55, "top_k_first").failed == ("none_kept_outside",)


@pytest.mark.parametrize("order", ORDERS)
def test_either_filter_alone_keeps_too_many(order):
    probs = make_probs(1)
    for top_k, top_p in ((10, 1.0), (111, 0.5)):
        wide = answer(probs, top_k, top_p, order)
        assert "none_kept_outside" in judge(probs, wide, 3, 0.2, order).failed


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_ties_at_the_k_th_are_never_cut(order, strict):
    probs = np.array([[0.4, 0.2, 0.2, 0.1, 0.1]])
    assert judge(probs, keep(probs, [0, 1, 2]), 2, 1.0, order, strict=strict).ok
    verdict = judge(probs, keep(probs, [0, 2]), 2, 1.0, order, strict=strict)
    assert verdict.failed == ("ties_kept",)


@pytest.mark.parametrize(("order", "top_p"), [("joint", 0.5), ("top_k_first", 0.6)])
def test_ties_where_the_mass_reaches_p_may_be_cut_but_not_under_strict(order, top_p):
    probs = np.array([[0.4, 0.2, 0.2, 0.1, 0.1]])
    assert judge(probs, keep(probs, [0, 2]), 3, top_p, order).ok
    assert judge(probs, keep(probs, [0]), 3, top_p, order).failed == ("mass_reached",)
    verdict = judge(probs, keep(probs, [0, 2]), 3, top_p, order, strict=True)
    assert verdict.failed == ("ties_kept",)


def test_p_that_the_k_largest_do_not_reach_keeps_them_all_jointly():
    probs = np.array([[0.4, 0.3, 0.2, 0.1]])
    assert judge(probs, keep(probs, [0, 1]), 2, 0.95, "joint", strict=True).ok
    assert not judge(probs, keep(probs, [0]), 2, 0.95, "joint").ok


def test_p_of_one_after_top_k_still_divides():
    probs = make_probs(2)
    kept = np.where(answer(probs, 9, 1.0, "joint") > 0, probs, 0)
    for order in ORDERS:
        assert judge(probs, kept, 9, 1.0, order).failed == ("quotients", "sums_to_one")


def test_probabilities_that_one_quotient_stands_for_may_be_kept_together_in_sequence():
    """Two neighbouring float32 numbers may give the same float32 quotient."""
    upper = np.float32(0.3)
    lower = float(np.nextafter(upper, np.float32(0)))
    probs = np.array([[float(upper), lower, 0.2, 1.0 - 0.2 - lower - float(upper)]])
    both, one = keep(probs, [0, 1]), keep(probs, [0])
    assert judge(probs, both, 3, 0.2, "top_k_first").ok
    assert judge(probs, one, 3, 0.2, "top_k_first", strict=True).ok
    assert judge(probs, both, 3, 0.2, "joint").failed == ("none_kept_outside",)


@pytest.mark.parametrize("order", ORDERS)
def test_zero_rows_and_rows_that_are_no_distributions(order):
    probs = make_probs(3, rows=4)
    probs[1], probs[2] = 0.0, np.nan
    renorm_probs = answer(probs, 10, 0.5, order)
    assert not renorm_probs[1].any()
    assert np.isnan(renorm_probs[2]).all()
    assert judge(probs, renorm_probs, 10, 0.5, order, strict=True).ok
    renorm_probs[1, 5] = np.nan
    assert judge(probs, renorm_probs, 10, 0.5, order).failed == ("finite",)
