import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references import grouped_topk as reference

SCORING_FUNCS = tuple(reference.SCORINGS)


def make_logits(seed, tokens=16, experts=48, scale=1.0):
    values = scale * np.random.default_rng(seed).standard_normal((tokens, experts))
    return values.astype(np.float32).astype(float)


def make_inputs(logits, bias=None, topk=4, groups=4, kept=2, **more):
    return {
        "gating_output": np.asarray(logits, float),
        "correction_bias": None if bias is None else np.asarray(bias, float),
        "topk": topk,
        "renormalize": True,
        "num_expert_group": groups,
        "topk_group": kept,
        "scoring_func": "sigmoid",
        "routed_scaling_factor": 2.5,
        "num_fused_shared_experts": 0,
        **more,
    }


def judge(inputs, outputs, strict=False):
    return reference.judge(inputs, outputs, dtype="fp32", strict=strict)


def route(row, inputs):
    """One row's weights and ids, in plain Python from the definition."""
    e = np.exp
    if inputs["scoring_func"] == "softmax":
        scores = [e(x) / sum(e(y) for y in row) for x in row]
    elif inputs["scoring_func"] == "sigmoid":
        scores = [1 / (1 + e(-x)) for x in row]
    else:
        scores = [np.log1p(e(x)) ** 0.5 for x in row]
    bias = inputs["correction_bias"]
    keys = list(scores if bias is None else np.add(scores, bias))
    size = len(row) // inputs["num_expert_group"]
    groups = [range(g, g + size) for g in range(0, len(row), size)]
    used = 1 if bias is None else 2
    best = sorted(groups, key=lambda g: -sum(sorted(keys[i] for i in g)[-used:]))
    pool = sorted(i for g in best[: inputs["topk_group"]] for i in g)
    shared = inputs["num_fused_shared_experts"]
    ids = sorted(pool, key=lambda i: -keys[i])[: inputs["topk"] - shared]
    total, factor = sum(scores[i] for i in ids), inputs["routed_scaling_factor"]
    weights = [scores[i] for i in ids] + [total / factor] * shared
    if inputs["renormalize"]:
        weights = [w / total for w in weights]
    return [w * factor for w in weights], [*ids, *range(len(row), len(row) + shared)]


@pytest.mark.parametrize("scoring_func", SCORING_FUNCS)
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("renormalize", "shared"), [(True, 0), (False, 0), (True, 1), (False, 2)])
@pytest.mark.parametrize(("groups", "kept"), [(1, 1), (4, 2), (48, 6)])
def test_oracle_agrees_with_the_definition(scoring_func, biased, renormalize, shared, groups, kept):
    inputs = make_inputs(
        make_logits(1, 6),
        make_logits(2, 1)[0] if biased else None,
        topk=4 + shared,
        groups=groups,
        kept=kept,
        scoring_func=scoring_func,
        renormalize=renormalize,
        num_fused_shared_experts=shared,
    )
    outputs = reference.oracle(**inputs)
    weights, ids = zip(*(route(row, inputs) for row in inputs["gating_output"]), strict=True)
    np.testing.assert_array_equal(outputs["topk_ids"], ids)
    np.testing.assert_allclose(outputs["topk_weights"], weights, rtol=1e-13)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_oracle_passes_its_own_strict_judge(seed, data):
    groups, size = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 6))
    kept = data.draw(st.integers(1, groups))
    shared = data.draw(st.integers(0, 2))
    scale = data.draw(st.sampled_from([1, 4, 64]))
    spread = data.draw(st.sampled_from([None, 0.0, 0.5, 4096.0]))
    inputs = make_inputs(
        np.round(make_logits(seed, 8, groups * size, scale)),
        None if spread is None else make_logits(seed, 1, groups * size, spread)[0],
        topk=data.draw(st.integers(1, kept * size)) + shared,
        groups=groups,
        kept=kept,
        num_fused_shared_experts=shared,
        scoring_func=data.draw(st.sampled_from(SCORING_FUNCS)),
        renormalize=data.draw(st.booleans()),
    )
    verdict = judge(inputs, reference.oracle(**inputs), strict=True)
    assert verdict.ok, verdict.findings


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(3, 1), (3, 2), (4, 2)]), st.booleans())
def test_a_choice_passes_exactly_if_some_set_of_groups_explains_it(seed, shape, biased):
    groups, kept = shape
    logits = np.random.default_rng(seed).integers(0, 3, (1, 2 * groups)).astype(float)
    bias = np.zeros(2 * groups) if biased else None
    inputs = make_inputs(logits, bias, topk=2, groups=groups, kept=kept, renormalize=False)
    scores = reference.sigmoid(logits[0])
    for ids in itertools.permutations(range(2 * groups), 2):
        weights = 2.5 * scores[list(ids)][None]
        outputs = {"topk_weights": weights, "topk_ids": np.array([ids], np.int32)}
        failed = judge(inputs, outputs).failed
        assert bool(failed) != is_explained(set(ids), scores, groups, kept, biased), (ids, failed)


def is_explained(ids, keys, groups, kept, biased):
    """Whether any set of `kept` best groups has `ids` as best experts, by trying all sets."""
    pairs = keys.reshape(groups, 2)
    score = (pairs.sum(axis=1) if biased else pairs.max(axis=1)).round(12)
    for chosen in itertools.combinations(range(groups), kept):
        others = [score[g] for g in range(groups) if g not in chosen]
        if others and max(others) > min(score[g] for g in chosen):
            continue
        pool = {2 * g + i for g in chosen for i in (0, 1)}
        rest = [keys[i] for i in pool - ids]
        if ids <= pool and (not rest or max(rest) <= min(keys[i] for i in ids)):
            return True
    return False


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([0, 2]))
def test_judge_survives_any_output(seed, strict, shared):
    rng = np.random.default_rng(seed)
    logits = make_logits(seed, 6, 12, 100.0)
    logits[rng.random(logits.shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
    inputs = make_inputs(
        logits,
        rng.choice([None, 1]) and np.zeros(12),
        scoring_func=rng.choice(SCORING_FUNCS),
        num_fused_shared_experts=shared,
        renormalize=bool(rng.integers(2)),
    )
    outputs = {
        "topk_weights": rng.choice([0.0, np.nan, np.inf, -np.inf, 0.5], (6, 4)),
        "topk_ids": rng.choice([0, 1, 5, 11, 12, -1, 2147450879], (6, 4)).astype(np.int32),
    }
    assert not judge(inputs, outputs, strict).ok


# Four groups of two: scores by sum are 8, 8, 4 and 2 tenths of a probability, if unbiased.
TIED = np.log(np.array([[4.0, 4.0, 4.0, 4.0, 2.0, 2.0, 1.0, 1.0]]))


def test_either_of_two_tied_groups_may_be_kept_but_strict_wants_the_lowest():
    inputs = make_inputs(TIED, topk=2, kept=1, scoring_func="softmax")
    outputs = reference.oracle(**inputs)
    np.testing.assert_array_equal(outputs["topk_ids"], [[0, 1]])
    second = {**outputs, "topk_ids": np.array([[2, 3]], np.int32)}
    assert judge(inputs, second).ok
    assert "lowest_group_wins_ties" in judge(inputs, second, strict=True).failed


def test_experts_of_both_tied_groups_are_one_group_too_many():
    inputs = make_inputs(TIED, topk=2, kept=1, scoring_func="softmax")
    outputs = {**reference.oracle(**inputs), "topk_ids": np.array([[0, 2]], np.int32)}
    verdict = judge(inputs, outputs)
    assert "groups_are_top" in verdict.failed
    assert {finding.index for finding in verdict.findings} >= {(0, 0), (0, 1)}


def test_a_lost_group_is_named():
    inputs = make_inputs(TIED, topk=3, kept=2, scoring_func="softmax")
    outputs = {**reference.oracle(**inputs), "topk_ids": np.array([[0, 1, 4]], np.int32)}
    verdict = judge(inputs, outputs)
    finding = next(f for f in verdict.findings if f.check == "groups_are_top")
    assert finding.index == (0, 2)
    assert finding.found.startswith("expert 4 (group 2")
    assert finding.wanted.startswith("an expert of the 2 best groups")


def test_a_kept_group_that_is_left_unused_is_missed():
    """The second group must be kept, so its better expert cannot be passed over."""
    logits = np.array([[9.0, 8.0, 7.0, 6.0, 1.0, 0.0, 1.0, 0.0]]) / 4
    inputs = make_inputs(logits, topk=3, kept=2, renormalize=False)
    scores = 2.5 * reference.sigmoid(logits)[:, [0, 1, 3]]
    outputs = {"topk_weights": scores, "topk_ids": np.array([[0, 1, 3]], np.int32)}
    verdict = judge(inputs, outputs)
    assert verdict.failed == ("selection_is_top_k",)
    assert verdict.findings[0].wanted.startswith("expert 2")


def test_a_bias_makes_the_sum_of_two_the_score_of_a_group():
    keys = np.array([[0.9, 0.1, 0.6, 0.6]])
    logits = np.log(keys / (1 - keys))
    ids = {}
    for name, bias in (("sum", np.zeros(4)), ("best", None)):
        inputs = make_inputs(logits, bias, topk=1, groups=2, kept=1)
        outputs = reference.oracle(**inputs)
        ids[name] = outputs["topk_ids"].tolist()
        other = {**outputs, "topk_ids": 2 - outputs["topk_ids"]}
        assert "groups_are_top" in judge(inputs, other).failed
    assert ids == {"sum": [[2]], "best": [[0]]}


def test_excluded_groups_are_minus_infinity_and_not_zero():
    logits, bias = make_logits(4), np.full(48, -2.0)
    inputs = make_inputs(logits, bias, topk=8, kept=1)
    ids = reference.oracle(**inputs)["topk_ids"]
    assert (ids // 12 == ids[:, :1] // 12).all()


@pytest.mark.parametrize("renormalize", [True, False])
def test_the_factor_always_applies(renormalize):
    inputs = make_inputs(make_logits(5), renormalize=renormalize)
    outputs = reference.oracle(**inputs)
    for power in (-1, 1):
        wrong = {**outputs, "topk_weights": outputs["topk_weights"] * 2.5**power}
        assert judge(inputs, wrong).failed == ("weights",)


def test_shared_experts_come_last_and_weigh_one_when_renormalised():
    inputs = make_inputs(make_logits(6), topk=6, num_fused_shared_experts=2)
    outputs = reference.oracle(**inputs)
    np.testing.assert_array_equal(outputs["topk_ids"][:, 4:], [[48, 49]] * 16)
    np.testing.assert_allclose(outputs["topk_weights"][:, 4:], 1.0)
    np.testing.assert_allclose(outputs["topk_weights"][:, :4].sum(axis=1), 2.5)


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda w, i: (w, i[:, ::-1]), "ids_in_range"),
        (lambda w, i: (w, np.where(i == 49, 48, i)), "shared_ids"),
        (lambda w, i: (w, np.where(i >= 48, 97 - i, i)), "shared_ids"),
        (lambda w, i: (np.where(i == 49, 1.001 * w, w), i), "weights"),
        (lambda w, i: (np.where(i == 48, np.nan, w), i), "weights"),
    ],
)
@pytest.mark.parametrize("renormalize", [True, False])
def test_harms_of_shared_experts_are_refused(spoil, check, renormalize):
    inputs = make_inputs(
        make_logits(6), topk=6, num_fused_shared_experts=2, renormalize=renormalize
    )
    outputs = reference.oracle(**inputs)
    weights, ids = spoil(outputs["topk_weights"], outputs["topk_ids"])
    assert check in judge(inputs, {"topk_weights": weights, "topk_ids": ids}).failed


@pytest.mark.parametrize("strict", [True, False])
def test_order_of_the_routed_slots_matters_to_strict_only(strict):
    inputs = make_inputs(make_logits(7), topk=5, num_fused_shared_experts=1)
    outputs = reference.oracle(**inputs)
    turned = {name: value[:, [3, 2, 1, 0, 4]] for name, value in outputs.items()}
    assert judge(inputs, turned, strict).failed == (("descending",) if strict else ())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_without_a_specified_answer_need_usable_ids_only(bad):
    logits = make_logits(8)
    logits[2, :] = bad
    inputs = make_inputs(logits, np.zeros(48), topk=5, num_fused_shared_experts=1)
    outputs = reference.oracle(**inputs)
    outputs["topk_ids"][2, :4] = [47, 5, 30, 0]
    assert judge(inputs, outputs).ok
    outputs["topk_ids"][2, 0] = 48
    assert judge(inputs, outputs).failed == ("ids_in_range",)


FLOAT32_SOFTPLUS = {
    "log(1 + exp(x))": lambda x: np.log(np.float32(1) + np.exp(x)),
    "log1p(exp(x))": lambda x: np.log1p(np.exp(x)),
}


@pytest.mark.parametrize("shift", [0.0, -6.0, -12.0, -30.0])
@pytest.mark.parametrize("softplus", FLOAT32_SOFTPLUS.values(), ids=FLOAT32_SOFTPLUS)
@pytest.mark.parametrize("renormalize", [True, False])
def test_softplus_may_lose_what_float32_cannot_add_to_one(shift, softplus, renormalize):
    logits = make_logits(9) + shift
    logits = logits.astype(np.float32).astype(float)
    inputs = make_inputs(
        logits, groups=1, kept=1, scoring_func="sqrtsoftplus", renormalize=renormalize
    )
    scores = np.sqrt(softplus(logits.astype(np.float32))).astype(float)
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :4]
    weights = np.take_along_axis(scores, ids, axis=1)
    if renormalize:
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-20)
    outputs = {"topk_weights": 2.5 * weights, "topk_ids": ids.astype(np.int32)}
    verdict = judge(inputs, outputs)
    assert verdict.ok, verdict.findings


@pytest.mark.parametrize(("shift", "error"), [(0.0, 1e-5), (-6.0, 1e-3)])
def test_softplus_may_lose_no_more(shift, error):
    inputs = make_inputs(
        make_logits(9) + shift, groups=1, kept=1, scoring_func="sqrtsoftplus", renormalize=False
    )
    outputs = reference.oracle(**inputs)
    outputs["topk_weights"] *= 1 + error
    assert judge(inputs, outputs).failed == ("weights",)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(3, 1), (3, 2), (4, 2)]), st.booleans())
def test_all_choices_that_pass_have_one_canonical_form(seed, shape, biased):
    groups, kept = shape
    logits = np.random.default_rng(seed).integers(0, 4, (1, 2 * groups)).astype(float)
    bias = np.zeros(2 * groups) if biased else None
    inputs = make_inputs(logits, bias, topk=2, groups=groups, kept=kept, renormalize=False)
    scores, forms = reference.sigmoid(logits[0]), set()
    for ids in itertools.permutations(range(2 * groups), 2):
        weights = 2.5 * scores[list(ids)][None]
        outputs = {"topk_weights": weights, "topk_ids": np.array([ids], np.int32)}
        if judge(inputs, outputs).ok:
            forms.add(tuple(reference.erase_unspecified(inputs, outputs)["topk_ids"][0]))
    assert len(forms) == 1


def test_the_canonical_form_names_the_experts_of_groups_that_must_be_kept():
    logits = np.array([[5.0, 4.0, 3.0, 0.0, 1.0, 1.0, 9.0, 8.0]])
    inputs = make_inputs(logits, topk=4, kept=2, num_fused_shared_experts=1)
    outputs = reference.oracle(**inputs)
    assert reference.erase_unspecified(inputs, outputs)["topk_ids"].tolist() == [[-1, 0, 6, 7]]
    outputs["topk_ids"][:] = [7, 2, 6, 8]
    assert reference.erase_unspecified(inputs, outputs)["topk_ids"].tolist() == [[-1, -1, 6, 7]]


def test_a_row_whose_groups_tie_has_nothing_in_its_canonical_form():
    inputs = make_inputs(TIED, topk=2, kept=1, scoring_func="softmax")
    outputs = reference.oracle(**inputs)
    assert reference.erase_unspecified(inputs, outputs)["topk_ids"].tolist() == [[-1, -1]]
