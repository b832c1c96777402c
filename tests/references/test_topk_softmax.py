import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references import topk_softmax as reference


def make_logits(seed, tokens=16, experts=40):
    return (
        np.random.default_rng(seed)
        .standard_normal((tokens, experts))
        .astype(np.float32)
        .astype(float)
    )


def judge(logits, outputs, *, topk=4, renormalize=True, strict=False):
    inputs = {"gating_output": logits, "topk": topk, "renormalize": renormalize}
    return reference.judge(inputs, outputs, dtype="fp32", strict=strict)


def answer(logits, topk=4, renormalize=True):
    return reference.oracle(logits, topk, renormalize)


@pytest.mark.parametrize("renormalize", [True, False])
def test_oracle_agrees_with_scipy_softmax_and_a_full_sort(renormalize):
    logits = make_logits(0)
    outputs = answer(logits, renormalize=renormalize)
    probabilities = scipy.special.softmax(logits, axis=1)
    wanted = -np.sort(-probabilities, axis=1)[:, :4]
    if renormalize:
        wanted = wanted / wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(outputs["topk_weights"], wanted, rtol=1e-13)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40), st.booleans(), st.data())
def test_oracle_passes_its_own_strict_judge(seed, experts, topk, renormalize, data):
    topk = min(topk, experts)
    logits = np.round(make_logits(seed, 8, experts) * data.draw(st.sampled_from([1, 4, 64])))
    outputs = answer(logits, topk, renormalize)
    verdict = judge(logits, outputs, topk=topk, renormalize=renormalize, strict=True)
    assert verdict.ok, verdict.findings


def test_either_of_two_tied_experts_may_be_chosen_but_strict_wants_the_lowest():
    logits = np.array([[1.0, 3.0, 1.0, 0.0]])
    ids = np.array([[1, 2]], dtype=np.int32)
    outputs = {"topk_weights": answer(logits, 2)["topk_weights"], "topk_ids": ids}
    assert judge(logits, outputs, topk=2).ok
    assert judge(logits, outputs, topk=2, strict=True).failed == ("lowest_index_wins_ties",)


def test_any_order_of_slots_passes_but_strict_wants_them_descending():
    logits = make_logits(1)
    outputs = {name: value[:, ::-1] for name, value in answer(logits).items()}
    assert judge(logits, outputs).ok
    assert judge(logits, outputs, strict=True).failed == ("descending",)


def test_logits_that_float32_cannot_tell_apart_are_interchangeable():
    logits = np.array([[0.0, -200.0, -300.0]])  # both probabilities are zero in float32
    outputs = {"topk_weights": np.array([[1.0, 0.0]]), "topk_ids": np.array([[0, 2]], np.int32)}
    assert judge(logits, outputs, topk=2).ok


def test_a_lost_tied_expert_is_named():
    logits = np.array([[2.0, 2.0, 1.0, 0.0]])
    outputs = {"topk_weights": answer(logits, 2)["topk_weights"], "topk_ids": np.array([[0, 2]])}
    verdict = judge(logits, outputs, topk=2)
    assert "selection_is_top_k" in verdict.failed
    finding = verdict.findings[0]
    assert (finding.output, finding.index) == ("topk_ids", (0, 1))
    assert finding.found.startswith("expert 2")
    assert finding.wanted.startswith("expert 1")


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda w, i: (w, np.where(i == i[:, :1], i[:, 1:2], i)), "ids_unique"),
        (lambda w, i: (w, i - 40), "ids_in_range"),
        (lambda w, i: (w, np.where(i == i.max(), 40, i)), "ids_in_range"),
        (lambda w, i: (w * (1 + 1e-5), i), "weights"),
        (lambda w, i: (np.where(w == w.max(), np.nan, w), i), "weights"),
        (lambda w, i: (w[:, ::-1], i), "weights"),
    ],
)
def test_harms_are_refused(spoil, check):
    logits = make_logits(2)
    outputs = answer(logits)
    weights, ids = spoil(outputs["topk_weights"], outputs["topk_ids"])
    verdict = judge(logits, {"topk_weights": weights, "topk_ids": ids})
    assert check in verdict.failed


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_without_a_specified_answer_may_hold_any_weights_but_only_usable_ids(bad):
    logits = make_logits(3)
    logits[2, 5] = bad
    outputs = answer(logits)
    outputs["topk_weights"][2] = np.nan
    outputs["topk_ids"][2] = [7, 5, 1, 0]
    assert judge(logits, outputs).ok
    outputs["topk_ids"][2, 0] = -1
    assert "ids_in_range" in judge(logits, outputs).failed


def test_weights_may_be_off_by_rounding_only():
    logits = make_logits(4)
    outputs = answer(logits)
    near = {**outputs, "topk_weights": outputs["topk_weights"] * (1 + 2e-6)}
    verdict = judge(logits, near)
    assert verdict.ok
    assert 0.2 < verdict.error_ratio < 1.0


def erase(logits, ids, topk):
    inputs = {"gating_output": logits, "topk": topk, "renormalize": True}
    outputs = {"topk_weights": np.full(np.shape(ids), np.nan), "topk_ids": np.array(ids)}
    (form,) = reference.erase_unspecified(inputs, outputs).values()
    return form.tolist()


def test_choices_that_are_as_good_have_one_canonical_form_and_others_have_not():
    logits = np.array([[3.0, 2.0, 2.0, 0.0], [3.0, 2.0, 1.0, 0.0], [np.nan, 1.0, 2.0, 3.0]])
    form = [[-1, 0], [0, 1], [-1, -1]]
    assert erase(logits, [[0, 1], [0, 1], [2, 3]], 2) == form
    assert erase(logits, [[2, 0], [1, 0], [0, 1]], 2) == form
    assert erase(logits, [[1, 2], [0, 2], [0, 1]], 2) == [[-1, -1], [-1, 0], [-1, -1]]


def test_logits_that_float32_cannot_tell_apart_have_one_canonical_form():
    logits = np.array([[2.0**-30, 0.0, -5.0]])
    assert erase(logits, [[0]], 1) == erase(logits, [[1]], 1) == [[-1]]
