import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references import topk_sigmoid as reference


def make_logits(seed, tokens=16, experts=40, scale=1.0):
    values = scale * np.random.default_rng(seed).standard_normal((tokens, experts))
    return values.astype(np.float32).astype(float)


def make_bias(seed, experts=40, scale=0.3):
    return make_logits(seed, 1, experts, scale)[0]


def answer(logits, topk=4, renormalize=True, bias=None):
    return reference.oracle(logits, topk, renormalize, bias)


def judge(logits, outputs, *, topk=4, renormalize=True, bias=None, strict=False):
    inputs = {
        "gating_output": logits,
        "topk": topk,
        "renormalize": renormalize,
        "correction_bias": bias,
    }
    return reference.judge(inputs, outputs, dtype="fp32", strict=strict)


@pytest.mark.parametrize("renormalize", [True, False])
@pytest.mark.parametrize("bias", [None, make_bias(9)])
def test_oracle_agrees_with_torch_in_float64(renormalize, bias):
    logits = make_logits(0)
    outputs = answer(logits, renormalize=renormalize, bias=bias)
    scores = torch.sigmoid(torch.from_numpy(logits))
    keys = scores if bias is None else scores + torch.from_numpy(bias)
    ids = keys.topk(4).indices
    weights = scores.gather(1, ids)
    if renormalize:
        weights = weights / weights.sum(dim=1, keepdim=True)
    np.testing.assert_array_equal(outputs["topk_ids"], ids)
    np.testing.assert_allclose(outputs["topk_weights"], weights, rtol=1e-13)


def test_sigmoid_agrees_with_scipy_at_all_magnitudes():
    logits = np.array([[-np.inf, -800.0, -40.0, -1e-300, 0.0, 3.0, 40.0, 800.0]])
    np.testing.assert_allclose(reference.sigmoid(logits), scipy.special.expit(logits), rtol=1e-13)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from([0.0, 0.5, 4096.0, None]),
    st.sampled_from([1, 4, 64]),
)
def test_oracle_passes_its_own_strict_judge(seed, experts, topk, renormalize, spread, scale):
    topk = min(topk, experts)
    logits = np.round(make_logits(seed, 8, experts, scale))
    bias = None if spread is None else make_bias(seed, experts, spread)
    outputs = answer(logits, topk, renormalize, bias)
    verdict = judge(logits, outputs, topk=topk, renormalize=renormalize, bias=bias, strict=True)
    assert verdict.ok, verdict.findings


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.booleans())
def test_judge_survives_any_output(seed, renormalize, strict):
    rng = np.random.default_rng(seed)
    logits = make_logits(seed, 6, 12, 100.0)
    logits[rng.random(logits.shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
    garbage = rng.choice([0, 1, 11, 12, -1, -65538, 2147450879], (6, 4)).astype(np.int32)
    weights = rng.choice([0.0, np.nan, np.inf, -np.inf, 0.5], (6, 4))
    outputs = {"topk_weights": weights, "topk_ids": garbage}
    assert not judge(logits, outputs, renormalize=renormalize, strict=strict).ok


def test_saturated_scores_are_interchangeable_though_their_logits_differ():
    logits = np.array([[30.0, 18.0, 25.0, 0.0]])
    ids = np.array([[1, 2]], np.int32)
    assert judge(logits, {"topk_weights": np.full((1, 2), 0.5), "topk_ids": ids}, topk=2).ok


def test_scores_that_float32_tells_apart_are_not_interchangeable():
    logits = np.array([[8.0, 8.1, 0.0]])
    outputs = {"topk_weights": np.array([[1.0]]), "topk_ids": np.array([[0]], np.int32)}
    assert judge(logits, outputs, topk=1).failed == ("selection_is_top_k",)


def test_a_large_bias_takes_digits_from_the_key_but_none_from_the_weight():
    logits, bias = np.array([[1.0, 1.0001, -1.0]]), np.full(3, 4096.0)
    scores = reference.sigmoid(logits)
    either = {"topk_weights": scores[:, :1], "topk_ids": np.array([[0]], np.int32)}
    assert judge(logits, either, topk=1, renormalize=False, bias=bias).ok
    third = {"topk_weights": scores[:, 2:], "topk_ids": np.array([[2]], np.int32)}
    verdict = judge(logits, third, topk=1, renormalize=False, bias=bias)
    assert verdict.failed == ("selection_is_top_k",)
    cancelled = (np.float32(scores) + np.float32(4096.0)) - np.float32(4096.0)
    lossy = {**either, "topk_weights": cancelled[:, :1].astype(float)}
    verdict = judge(logits, lossy, topk=1, renormalize=False, bias=bias)
    assert verdict.failed == ("weights",)


def test_the_bias_chooses_and_does_not_weigh():
    logits, bias = np.array([[2.0, 1.0, 0.0]]), np.array([0.0, 0.0, 1.0])
    outputs = answer(logits, 2, False, bias)
    np.testing.assert_array_equal(outputs["topk_ids"], [[2, 0]])
    np.testing.assert_allclose(outputs["topk_weights"], scipy.special.expit([[0.0, 2.0]]))
    biased = {**outputs, "topk_weights": outputs["topk_weights"] + bias[[[2, 0]]]}
    assert judge(logits, biased, topk=2, renormalize=False, bias=bias).failed == ("weights",)


def test_chosen_scores_of_nearly_zero_have_no_specified_shares():
    logits = np.full((1, 4), -200.0)
    outputs = {"topk_weights": np.full((1, 2), np.nan), "topk_ids": np.array([[0, 1]], np.int32)}
    assert judge(logits, outputs, topk=2).ok
    assert judge(logits, outputs, topk=2, renormalize=False).failed == ("weights",)


def test_small_scores_keep_their_digits():
    logits = make_logits(5, scale=1.0) - 20.0
    outputs = answer(logits)
    lossy = 0.5 * np.tanh(np.float32(0.5) * np.float32(logits)) + np.float32(0.5)
    weights = np.take_along_axis(lossy.astype(float), outputs["topk_ids"].astype(int), axis=1)
    assert (
        "weights" in judge(logits, {**outputs, "topk_weights": weights}, renormalize=False).failed
    )
    assert judge(logits, answer(logits, renormalize=False), renormalize=False).ok


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_without_a_specified_answer_need_usable_ids_only(bad):
    logits = make_logits(3)
    logits[2, 5] = bad
    outputs = answer(logits, bias=make_bias(3))
    outputs["topk_ids"][2] = [7, 5, 1, 0]
    assert judge(logits, outputs, bias=make_bias(3)).ok
    outputs["topk_ids"][2, 0] = -1
    assert judge(logits, outputs, bias=make_bias(3)).failed == ("ids_in_range",)


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda w, i: (w, np.where(i == i[:, :1], i[:, 1:2], i)), "ids_unique"),
        (lambda w, i: (w, i - 40), "ids_in_range"),
        (lambda w, i: (w * (1 + 1e-5), i), "weights"),
        (lambda w, i: (w[:, ::-1], i), "weights"),
        (lambda w, i: (np.where(w == w.max(), np.nan, w), i), "weights"),
    ],
)
def test_harms_are_refused(spoil, check):
    logits, bias = make_logits(2), make_bias(2)
    outputs = answer(logits, bias=bias)
    weights, ids = spoil(outputs["topk_weights"], outputs["topk_ids"])
    assert check in judge(logits, {"topk_weights": weights, "topk_ids": ids}, bias=bias).failed


@pytest.mark.parametrize(
    ("bias", "ids", "form"),
    [
        (None, [[2, 0, 1]], [[-1, -1, 0]]),
        (None, [[3, 0, 2]], [[-1, -1, 0]]),
        (np.array([0.0, 9.0, 8.0, 0.0]), [[2, 1, 0]], [[0, 1, 2]]),
    ],
)
def test_only_experts_that_no_tie_can_displace_are_in_the_canonical_form(bias, ids, form):
    inputs = {"gating_output": np.array([[3.0, 1.0, 1.0, 1.0]]), "topk": 3, "renormalize": True}
    outputs = {"topk_weights": np.zeros((1, 3)), "topk_ids": np.array(ids)}
    erased = reference.erase_unspecified({**inputs, "correction_bias": bias}, outputs)
    assert {name: value.tolist() for name, value in erased.items()} == {"topk_ids": form}


def test_saturated_scores_have_one_canonical_form():
    inputs = {"gating_output": np.array([[40.0, 50.0, 0.0]]), "topk": 1, "renormalize": True}
    forms = [
        reference.erase_unspecified(
            {**inputs, "correction_bias": None},
            {"topk_weights": np.ones((1, 1)), "topk_ids": np.array([[expert]])},
        )["topk_ids"]
        for expert in (0, 1)
    ]
    assert forms[0] == forms[1] == -1
