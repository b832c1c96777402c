import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import load_op
from rocmoe.references import dflash_verify as reference
from rocmoe.references.judging.filters import bound_shares, keep

SPEC = load_op("dflash_verify")
EACH = {"temperature": "per_row", "top_k": "per_row", "top_p": "per_row"}


def draw(pattern="normal", B=18, N=4, V=40, seed=0, dtype="fp32", single=1.0, acc=1.0, **params):
    chosen = {"temperature": 0.8, "top_k": 20, "top_p": 0.9, **params}
    chosen |= {"threshold_single": single, "threshold_acc": acc}
    sizes = {"B": B, "N": N, "V": V}
    return draw_inputs(SPEC, Case(SPEC.name, sizes, dtype, chosen, pattern, seed=seed))


def make_inputs(logits, drafts=(), coins=(), last=0.5, temperature=1.0, top_k=1000, top_p=1.0,
                single=1.0, acc=1.0):  # fmt: skip
    """One sequence; logits [N, V], drafts [N-1], coins [N-1]."""
    return {
        "target_logits": np.float32([logits]).astype(float),
        "candidates": np.array([[0, *drafts]]),
        "temperatures": np.float32([temperature]).astype(float),
        "top_k": np.array([top_k]),
        "top_p": np.float32([top_p]).astype(float),
        "uniform_samples": np.float32([[*coins, 0.5]]).astype(float),
        "uniform_samples_for_final_sampling": np.float32([last]).astype(float),
        "threshold_single": single,
        "threshold_acc": acc,
    }


def judge(inputs, length, bonus, strict=False):
    outputs = {
        "accept_length": np.atleast_1d(np.asarray(length)),
        "bonus_token": np.atleast_1d(np.asarray(bonus)),
    }
    return reference.judge(inputs, outputs, dtype="fp32", strict=strict)


def answer(inputs):
    outputs = reference.oracle(**inputs)
    return outputs["accept_length"], outputs["bonus_token"]


def filter_slowly(logits, temperature, top_k, top_p):
    """One row, one token at a time."""
    weights = [math.exp((x - max(logits)) / temperature) for x in logits]
    floor = sorted(weights, reverse=True)[min(top_k, len(weights)) - 1]
    weights = [w if w >= floor else 0.0 for w in weights]
    total = sum(weights)
    kept = [
        w if top_p >= 1 or w == max(weights) or sum(v for v in weights if v > w) < top_p * total
        else 0.0
        for w in weights
    ]  # fmt: skip
    return [w / sum(kept) for w in kept]


def verify_slowly(inputs):
    """The contract, one sequence and one token at a time."""
    lengths, tokens = [], []
    for row, logits in enumerate(inputs["target_logits"].tolist()):
        temperature, top_k = inputs["temperatures"][row], int(inputs["top_k"][row])
        drafts, accepted, excluded = inputs["candidates"][row].tolist()[1:], 0, None
        greedy = temperature < 1e-6 or top_k == 1
        settings = (1.0 if greedy else temperature, top_k, inputs["top_p"][row])
        for step, draft in enumerate(drafts):
            if greedy:
                passes = logits[step].index(max(logits[step])) == draft
            else:
                share = filter_slowly(logits[step], *settings)[draft]
                coin = inputs["uniform_samples"][row][step]
                passes = coin <= share / max(inputs["threshold_acc"], 1e-9)
                passes = passes or share >= inputs["threshold_single"]
            if not passes:
                excluded = draft
                break
            accepted += 1
        last = logits[accepted]
        if greedy:
            token = last.index(max(last))
        else:
            shares = filter_slowly(last, *settings)
            shares = [0.0 if t == excluded else share for t, share in enumerate(shares)]
            goal = inputs["uniform_samples_for_final_sampling"][row] * sum(shares)
            prefixes = np.cumsum(shares).tolist()
            above = [t for t, prefix in enumerate(prefixes) if prefix > goal]
            present = [t for t, share in enumerate(shares) if share > 0]
            token = above[0] if above else present[-1] if present else len(shares) - 1
        lengths.append(accepted)
        tokens.append(token)
    return lengths, tokens


CONTRACT_PATTERNS = [name for name in SPEC.patterns if name != "nan_rows"]


@pytest.mark.parametrize("pattern", CONTRACT_PATTERNS)
def test_oracle_is_the_contract_written_out(pattern):
    for chosen in ({}, EACH, {"single": 0.4, "acc": 0.7, "top_p": 1.0}):
        inputs = draw(pattern, **chosen)
        length, bonus = answer(inputs)
        assert (length.tolist(), bonus.tolist()) == verify_slowly(inputs)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(CONTRACT_PATTERNS), st.sampled_from(["fp32", "bf16"]))
def test_oracle_passes_its_strict_judge_and_a_changed_answer_does_not(seed, pattern, dtype):
    inputs = draw(pattern, B=12, seed=seed, dtype=dtype, **EACH)
    length, bonus = answer(inputs)
    assert judge(inputs, length, bonus, strict=True).ok
    row = seed % 12
    other = (length + 1) % 4
    assert not judge(inputs, np.where(np.arange(12) == row, other, length), bonus, strict=True).ok


def test_filtered_rows_are_those_of_all_columns_however_few_are_sorted():
    inputs = draw("normal", B=6, V=200)
    few, all_ = (
        reference.filter_logits(
            inputs["target_logits"], inputs["temperatures"], np.array(ranks), inputs["top_p"]
        )
        for ranks in ([5] * 6, [5] * 5 + [200])
    )
    np.testing.assert_allclose(few[:5], all_[:5], rtol=1e-12)
    np.testing.assert_allclose(few.sum(axis=2), 1.0)
    wanted = filter_slowly(inputs["target_logits"][2, 1].tolist(), inputs["temperatures"][2], 5,
                           inputs["top_p"][2])  # fmt: skip
    np.testing.assert_allclose(few[2, 1], wanted, rtol=1e-9)


LOGITS = np.log([0.5, 0.3, 0.15, 0.05])


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({}, [0.5, 0.3, 0.15, 0.05]),
        ({"temperature": 0.5}, np.array([0.25, 0.09, 0.0225, 0.0025]) / 0.365),
        ({"top_k": 2}, [0.625, 0.375, 0, 0]),
        ({"top_p": 0.6}, [0.625, 0.375, 0, 0]),
        ({"top_k": 2, "top_p": 0.6}, [1, 0, 0, 0]),
        ({"top_p": 0.0}, [1, 0, 0, 0]),
    ],
)
def test_settings_apply_in_their_order(settings, shares):
    inputs = make_inputs([LOGITS], **settings)
    chosen = [inputs[name] for name in ("target_logits", "temperatures", "top_k", "top_p")]
    np.testing.assert_allclose(reference.filter_logits(*chosen)[0, 0], shares, rtol=1e-6)


def test_a_draft_is_held_against_its_filtered_probability():
    """Of 0.5 and 0.3 after top-k 2: 0.625 and 0.375."""
    for coin, length in ((0.62, 1), (0.63, 0)):
        inputs = make_inputs([LOGITS, LOGITS], [0], [coin], top_k=2, last=0.2)
        bonus = 1 if length == 0 else 0
        assert judge(inputs, length, bonus, strict=True).ok
        verdict = judge(inputs, 1 - length, 1 - bonus)
        assert verdict.failed[0] == "accept_length"
    assert verdict.findings[0].wanted.startswith("0 at most (draft 0 after node 0 is rejected")


def test_a_decision_within_rounding_may_go_either_way_and_no_further():
    share = float(np.float32(0.625))
    for off, free in ((0.0, True), (1e-7, True), (1e-5, False)):
        inputs = make_inputs([LOGITS, LOGITS], [0], [share + off], top_k=2, last=0.2)
        assert judge(inputs, 0, 1, strict=True).ok
        assert judge(inputs, 1, 0, strict=True).ok is free


def test_the_band_grows_with_logits_over_the_temperature():
    """Of 0.5 and 0.5, logits of 300 round in float32 at a temperature of 0.1; small ones do not."""
    for offset, free in ((0.0, False), (300.0, True)):
        inputs = make_inputs([[offset, offset]] * 2, [0], [0.5 + 1e-5], temperature=0.1, last=0.2)
        assert judge(inputs, 0, 1).ok
        assert judge(inputs, 1, 0).ok is free


def test_the_rejected_draft_is_named_when_it_is_drawn_again():
    inputs = make_inputs([LOGITS, LOGITS], [0], [0.9], last=0.2)
    assert judge(inputs, 0, 1, strict=True).ok
    verdict = judge(inputs, 0, 0)
    assert verdict.failed == ("last_token",)
    assert verdict.findings[0].found == "token 0 (rejected as a draft, drawn again)"
    assert verdict.findings[0].wanted.startswith("token 1 (coin * sum is 0.1")


def test_a_dropped_token_is_named_when_it_is_drawn():
    inputs = make_inputs([LOGITS], last=0.99, top_k=2)
    assert judge(inputs, 0, 1, strict=True).ok
    assert judge(inputs, 0, 3).findings[0].found == "token 3 (dropped by the filters)"
    assert judge(inputs, 0, 0).findings[0].found.startswith("token 0 (its probability is 0.62")
    assert "not in the vocabulary" in judge(inputs, 0, 4).findings[0].found


def test_a_weight_that_hardware_flushes_may_be_gone():
    for logit, free in ((-80.0, False), (-90.0, True)):
        inputs = make_inputs([[0.0, logit]] * 2, [1], [1e-41], last=0.2)
        assert judge(inputs, 1, 0, strict=True).ok
        assert judge(inputs, 0, 0, strict=True).ok is free


def test_with_nothing_left_the_last_token_is_due():
    """The only token kept has probability 1, which a coin beside it may miss by rounding."""
    inputs = make_inputs([LOGITS, LOGITS], [0], [1.0 - 2.0**-24], top_p=0.0)
    assert [n for n in range(4) if judge(inputs, 0, n).ok] == [3]
    assert [n for n in range(4) if judge(inputs, 1, n).ok] == [0]


def test_an_edge_of_the_last_draw_may_go_either_way_within_rounding():
    for last, both in ((0.5, True), (0.5 + 1e-7, True), (0.5001, False)):
        inputs = make_inputs([LOGITS], last=last)
        assert judge(inputs, 0, 1).ok
        assert judge(inputs, 0, 0).ok is both


TIED = [1.0, 3.0, 1.0, 1.0]


@pytest.mark.parametrize("bonus", [0, 2, 3])
def test_a_tie_at_top_k_may_be_cut_by_default_and_is_kept_whole_if_strict(bonus):
    """With k = 2 one of three equals is drawn, 0.106 of the mass if it alone is kept."""
    inputs = make_inputs([TIED], last=0.99, top_k=2)
    whole = filter_slowly(TIED, 1.0, 2, 1.0)
    assert sum(share > 0 for share in whole) == 4
    assert judge(inputs, 0, bonus).ok is (bonus != 0)
    assert judge(inputs, 0, bonus, strict=True).ok is (bonus == 3)


@pytest.mark.parametrize("bonus", [0, 2, 3])
def test_a_tie_at_top_p_may_be_cut_by_default_and_is_kept_whole_if_strict(bonus):
    """The likeliest has 0.476 < 0.6, and with any one of three equals 0.65."""
    inputs = make_inputs([[1.0, 2.0, 1.0, 1.0]], last=0.99, top_p=0.6)
    assert judge(inputs, 0, bonus).ok is (bonus != 0)
    assert judge(inputs, 0, bonus, strict=True).ok is (bonus == 3)


def test_a_tie_cut_is_no_excuse_for_too_little_mass():
    """At least 2 of 5 equals are kept: a draft has 1/2, 1/5 or nothing, and never 1."""
    for coin, found in ((0.15, {0, 1}), (0.3, {0, 1}), (0.6, {0})):
        inputs = make_inputs([[1.0] * 5] * 2, [2], [coin], top_k=2, last=0.5)
        assert {length for length in (0, 1) if judge(inputs, length, 1 + length).ok} == found
    strictly = make_inputs([[1.0] * 5] * 2, [2], [0.3], top_k=2, last=0.5)
    assert judge(strictly, 1, 2, strict=True).failed == ("accept_length",)


def test_the_boundary_token_must_be_kept_where_nothing_ties():
    """Mass above it 0.5 < 0.6: dropped, the first token would have probability 1, not 0.625."""
    inputs = make_inputs([LOGITS, LOGITS], [0], [0.7], top_p=0.6, last=0.2)
    assert judge(inputs, 0, 1).ok
    assert judge(inputs, 1, 0).failed == ("accept_length",)


def test_tokens_that_no_answer_keeps_are_not_possible():
    kept = keep(np.array([[0.0, 1.0, 2.0, -np.inf, 2.0]]), np.ones(1), np.array([2.0]),
                np.ones(1), strict=False)  # fmt: skip
    assert kept.certain.tolist() == kept.possible.tolist() == [[False, False, True, False, True]]
    low, high = bound_shares(kept, np.array([2]))
    assert low[0] < 0.5 < high[0] < low[0] + 1e-5
    assert [bound[0] for bound in bound_shares(kept, np.array([1]))] == [0.0, 0.0]
    assert [bound[0] for bound in bound_shares(kept, np.array([-1]))] == [0.0, 0.0]


@pytest.mark.parametrize("greedy", [{"temperature": 0.0}, {"top_k": 1}])
def test_greedy_looks_at_the_argmax_alone(greedy):
    """Neither a coin of zero nor thresholds of zero accept a draft that is not the argmax."""
    rows = [[0.0, 3.0, 1.0], [5.0, 1.0, 1.0], [0.0, 1.0, 2.0]]
    inputs = make_inputs(rows, [1, 2], [1.0 - 2.0**-24, 0.0], single=0.0, acc=0.0, **greedy)
    assert [each.tolist() for each in answer(inputs)] == [[1], [0]]
    assert judge(inputs, 1, 0, strict=True).ok
    assert judge(inputs, 2, 2).failed == ("accept_length",)
    assert judge(inputs, 0, 1).failed == ("accept_length",)
    wrong = judge(inputs, 1, 1)
    assert wrong.failed == ("greedy_token",)
    assert wrong.findings[0].wanted == "token 0 (its logit 5 is the largest)"


def test_a_temperature_just_above_greedy_samples():
    for temperature, greedy in ((0.0, True), (5e-7, True), (2e-6, False)):
        inputs = make_inputs([[0.0, 1e-7]], last=0.1, temperature=temperature)
        assert judge(inputs, 0, 1, strict=True).ok is greedy
        assert judge(inputs, 0, 0, strict=True).ok is not greedy


def test_any_of_equal_largest_logits_passes_and_strictly_the_first():
    rows = [[1.0, 2.0, 2.0], [2.0, 1.0, 2.0]]
    inputs = make_inputs(rows, [2], [0.5], temperature=0.0)
    assert [each.tolist() for each in answer(inputs)] == [[0], [1]]
    passing = [(n, t) for n in (0, 1) for t in (0, 1, 2) if judge(inputs, n, t).ok]
    assert passing == [(0, 1), (1, 0), (1, 2)], "a rejected draft was not the argmax"
    strictly = [(n, t) for n in (0, 1) for t in (0, 1, 2) if judge(inputs, n, t, strict=True).ok]
    assert strictly == [(0, 1)]


@pytest.mark.parametrize("close", [[20.0, 20.0 + 2.0**-19], [0.0, 1e-8]])
def test_largest_probabilities_may_tie_where_logits_do_not(close):
    for temperature, free in ((0.0, False), (1.0, True)):
        inputs = make_inputs([close], temperature=temperature, top_k=1)
        assert judge(inputs, 0, 1, strict=True).ok
        assert judge(inputs, 0, 0).ok is free
        assert not judge(inputs, 0, 0, strict=True).ok


def follow_last_best(inputs):
    """The greedy rule with the highest index among equals."""
    best = inputs["target_logits"].shape[2] - 1 - inputs["target_logits"][:, :, ::-1].argmax(axis=2)
    length = np.cumprod(inputs["candidates"][:, 1:] == best[:, :-1], axis=1).sum(axis=1)
    return length, best[np.arange(len(best)), length]


def test_greedy_runs_that_differ_in_their_coins_alone_must_agree():
    inputs = draw("tied_best", B=9, temperature=0.0)
    length, bonus = answer(inputs)
    other_length, other_bonus = follow_last_best(inputs)
    assert judge(inputs, length, bonus, strict=True).ok
    assert judge(inputs, other_length, other_bonus).ok
    assert not judge(inputs, other_length, other_bonus, strict=True).ok
    second = np.arange(9) % 3 == 1
    assert (second & ((length != other_length) | (bonus != other_bonus))).any()
    mixed = np.where(second, other_length, length), np.where(second, other_bonus, bonus)
    assert judge(inputs, *mixed).failed == ("greedy_repeats",)


def test_other_settings_or_candidates_are_no_repeat():
    inputs = make_inputs([[1.0, 2.0, 2.0]], temperature=0.0)
    twice = {
        name: np.concatenate([value, value]) if isinstance(value, np.ndarray) else value
        for name, value in inputs.items()
    }
    assert judge(twice, [0, 0], [1, 2]).failed == ("greedy_repeats",)
    assert judge({**twice, "candidates": np.array([[0], [1]])}, [0, 0], [1, 2]).ok
    assert judge({**twice, "temperatures": np.array([0.0, 1.0]), "top_k": np.array([5, 1])},
                 [0, 0], [1, 2]).ok  # fmt: skip


@pytest.mark.parametrize("length", [-1, 4, 2**31 - 1])
def test_a_length_out_of_range_is_found(length):
    inputs = draw(B=2)
    right, bonus = answer(inputs)
    verdict = judge(inputs, [length, right[1]], bonus)
    assert verdict.failed == ("accept_length",)


def test_emitted_tokens_are_tested_against_the_filtered_target():
    case = next(SPEC.make_case(row) for row in SPEC.cases if row.pattern == "lossless")
    inputs = draw_inputs(SPEC, case)
    length, bonus = answer(inputs)
    verdict = reference.judge(
        inputs, {"accept_length": length, "bonus_token": bonus}, dtype="fp32", strict=True
    )
    assert verdict.ok
    (check,) = [check for check in verdict.checks if check.name == "lossless"]
    assert "first token: n=1024" in check.detail
    # Drafts that are always accepted, and a bonus token that never looked at a coin.
    wrong = reference.judge(
        inputs,
        {"accept_length": np.zeros_like(length), "bonus_token": np.full_like(bonus, bonus[0])},
        dtype="fp32",
        strict=False,
    )
    assert "lossless" in wrong.failed


def test_greedy_sequences_are_no_sample():
    case = next(SPEC.make_case(row) for row in SPEC.cases if row.pattern == "lossless")
    inputs = draw_inputs(SPEC, replace(case, params={**case.params, "temperature": 0.0}))
    length, bonus = answer(inputs)
    verdict = judge(inputs, length, bonus, strict=True)
    assert verdict.ok
    assert "lossless" not in [check.name for check in verdict.checks]
