from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import load_op
from rocmoe.references import chain_speculative_sampling as reference
from rocmoe.references.judging import sampling

SPEC = load_op("chain_speculative_sampling")
EPS = 2.0**-24


def draw(pattern="normal", B=24, N=5, V=40, single=1.0, acc=1.0, seed=0):
    params = {"threshold_single": single, "threshold_acc": acc}
    return draw_inputs(
        SPEC, Case(SPEC.name, {"B": B, "N": N, "V": V}, "fp32", params, pattern, seed=seed)
    )


def make_inputs(target, drafts, coins, last, single=1.0, acc=1.0):
    """One sequence; target [N, V], drafts [N-1], coins [N-1]."""
    return {
        "candidates": np.array([[0, *drafts]]),
        "target_probs": np.float32([target]).astype(float),
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


def verify_slowly(inputs):
    """The contract, one sequence and one token at a time."""
    lengths, tokens = [], []
    for row, target in enumerate(inputs["target_probs"]):
        drafts, accepted, excluded = inputs["candidates"][row][1:], 0, None
        for step, draft in enumerate(drafts):
            probability, coin = target[step][draft], inputs["uniform_samples"][row][step]
            scaled = probability / max(inputs["threshold_acc"], 1e-9)
            if not (coin <= scaled or probability >= inputs["threshold_single"]):
                excluded = draft
                break
            accepted += 1
        left = [0.0 if t == excluded else float(p) for t, p in enumerate(target[accepted])]
        goal = inputs["uniform_samples_for_final_sampling"][row] * sum(left)
        chosen, prefix = None, 0.0
        for token, probability in enumerate(left):
            prefix += probability
            if chosen is None and prefix > goal:
                chosen = token
        if chosen is None:
            positive = [token for token, probability in enumerate(left) if probability > 0]
            chosen = positive[-1] if positive else len(left) - 1
        lengths.append(accepted)
        tokens.append(chosen)
    return lengths, tokens


@pytest.mark.parametrize("pattern", SPEC.patterns)
@pytest.mark.parametrize("thresholds", [(1.0, 1.0), (0.5, 0.8), (0.0, 0.0), (1.0, 0.0)])
def test_oracle_agrees_with_the_contract_taken_one_token_at_a_time(pattern, thresholds):
    inputs = draw(pattern, single=thresholds[0], acc=thresholds[1])
    lengths, tokens = verify_slowly(inputs)
    found = answer(inputs)
    assert found[0].tolist() == lengths
    assert found[1].tolist() == tokens


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SPEC.patterns),
    st.integers(0, 2**32),
    st.integers(1, 6),
    st.integers(2, 70),
    st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]),
)
def test_oracle_passes_its_own_strict_judge(pattern, seed, nodes, vocabulary, single, acc):
    inputs = draw(pattern, 8, nodes, vocabulary, single, acc, seed)
    verdict = judge(inputs, *answer(inputs), strict=True)
    assert verdict.ok, verdict.findings


TARGET = [[0.5, 0.25, 0.125, 0.125], [0.125, 0.125, 0.25, 0.5], [0.25, 0.25, 0.25, 0.25]]


@pytest.mark.parametrize(
    ("drafts", "coins", "last", "thresholds", "wanted"),
    [
        ((0, 3), (0.5, 0.5), 0.0, {}, (2, 0)),  # coins on the threshold accept
        ((0, 3), (0.5, 0.5 + EPS * 2), 0.0, {}, (1, 0)),  # and just above it do not
        ((0, 3), (0.9, 0.1), 0.0, {}, (0, 1)),  # the rejected draft 0 is not drawn
        ((1, 3), (0.9, 0.1), 0.5, {}, (0, 0)),  # 0.5 * 0.75 is below 0.5
        ((1, 3), (0.1, 0.9), 0.5, {}, (1, 2)),  # prefixes of row 1: .125 .25 .5; goal 0.25
        ((0, 3), (0.1, 0.1), 0.75, {}, (2, 3)),  # the last row in full; 0.75 is not > 0.75
        ((1, 3), (0.9, 0.1), 0.5, {"single": 0.25}, (2, 2)),  # accepted for its probability
        ((1, 3), (0.45, 0.1), 0.5, {"acc": 0.5}, (2, 2)),  # 0.25 / 0.5 = 0.5 >= 0.45
        ((2, 2), (0.99, 0.99), 0.5, {"acc": 0.0}, (2, 2)),  # held up by 1e-9
        ((2, 2), (0.99, 0.99), 0.5, {"single": 0.0}, (2, 2)),
    ],
)
def test_rules(drafts, coins, last, thresholds, wanted):
    inputs = make_inputs(TARGET, drafts, coins, last, **thresholds)
    assert tuple(int(x[0]) for x in answer(inputs)) == wanted
    assert judge(inputs, *wanted, strict=True).ok


def test_a_coin_of_zero_accepts_a_draft_of_probability_zero():
    inputs = make_inputs([[1.0, 0.0], [1.0, 0.0]], [1], [0.0], 0.5)
    assert judge(inputs, 1, 0).ok
    verdict = judge(inputs, 0, 0)
    assert verdict.failed == ("accept_length",)
    assert "token 1 is accepted: coin 0 <= 0" in verdict.findings[0].wanted


@pytest.mark.parametrize("row", [[0.0, 0.0, 0.0], [0.0, 0.25, 0.0]])
def test_where_nothing_is_left_the_last_token_is_due(row):
    inputs = make_inputs([row, row], [1], [0.5], 0.5)
    assert judge(inputs, 0, 2).ok
    for wrong in (0, 1):
        verdict = judge(inputs, 0, wrong)
        assert verdict.failed == ("last_token",)
        assert "nothing is left" in verdict.findings[0].wanted


def test_masses_that_may_be_flushed_to_zero_may_count_as_nothing():
    denormal = 2.0**-140
    inputs = make_inputs([[0.0, denormal, 0.0], [1.0, 0.0, 0.0]], [0], [0.5], 0.5)
    assert judge(inputs, 0, 1).ok
    assert judge(inputs, 0, 2).ok
    assert judge(inputs, 0, 0).failed == ("last_token",)


def test_a_coin_within_rounding_of_its_threshold_may_go_either_way():
    target = [[0.3, 0.7], [0.5, 0.5]]
    bar = float(np.float32(0.3)) / 0.8
    at = make_inputs(target, [0], [bar], 0.25, acc=0.8)
    assert judge(at, 1, 0).ok
    assert judge(at, 0, 1).ok
    assert judge(at, 0, 0).failed == ("last_token",)  # follows the candidate's rejection
    off = make_inputs(target, [0], [bar * (1 + 1e-6)], 0.25, acc=0.8)
    assert judge(off, 1, 0).failed == ("accept_length",)


def test_a_threshold_that_float32_rounds_may_be_held_in_either_precision():
    probability = float(np.float32(0.7))  # below 0.7, equal to it in float32
    target = [[probability, 1.0 - probability], [0.5, 0.5]]
    inputs = make_inputs(target, [0], [0.9], 0.25, single=0.7)
    assert judge(inputs, 1, 0).ok
    assert judge(inputs, 0, 1).ok


def test_a_coin_just_above_an_exact_threshold_is_decided():
    inputs = make_inputs(TARGET, (0, 3), (0.5 + 2 * EPS, 0.1), 0.0)
    assert judge(inputs, 2, 0).failed == ("accept_length",)


def test_a_draw_within_rounding_of_an_edge_may_fall_on_either_side():
    probabilities = np.float32([0.3, 0.4, 0.3]).astype(float)
    edge = probabilities[0] / probabilities.sum()
    near = make_inputs([probabilities], [], [], edge)
    assert judge(near, 0, 0).ok
    assert judge(near, 0, 1).ok
    assert judge(near, 0, 2).failed == ("last_token",)
    far = make_inputs([probabilities], [], [], edge + 1e-5)
    assert judge(far, 0, 0).failed == ("last_token",)


def test_a_draw_beside_an_edge_never_falls_on_a_token_without_mass():
    probabilities = np.float32([0.3, 0.0, 0.7]).astype(float)
    inputs = make_inputs([probabilities], [], [], probabilities[0] / probabilities.sum())
    verdict = judge(inputs, 0, 1)
    assert verdict.failed == ("last_token",)
    assert verdict.findings[0].found == "token 1 (has no probability)"


def test_an_edge_where_nothing_rounds_is_decided():
    inputs = make_inputs([[0.5, 0.25, 0.25]], [], [], 0.5)
    assert judge(inputs, 0, 1).ok
    verdict = judge(inputs, 0, 0)
    assert verdict.failed == ("last_token",)
    assert verdict.findings[0].wanted == "token 1 (coin * sum is 0.5)"


@pytest.mark.parametrize("vocabulary", [4096, 151_936])
def test_a_sequential_float32_sum_is_within_the_band(vocabulary):
    inputs = draw("flat", 8, 2, vocabulary)
    length, _ = answer(inputs)
    rows, steps = np.arange(8), np.minimum(length + 1, 1)
    mass = inputs["target_probs"][rows, length].astype(np.float32)
    mass[rows, inputs["candidates"][rows, steps]] *= length == 1
    prefix = np.cumsum(mass, axis=1, dtype=np.float32)
    goal = np.float32(inputs["uniform_samples_for_final_sampling"]) * prefix[:, -1]
    verdict = judge(inputs, length, (prefix <= goal[:, None]).sum(axis=1))
    assert verdict.ok, verdict.findings


def test_the_rejected_draft_is_named_when_it_is_drawn_again():
    inputs = make_inputs(TARGET, (0, 3), (0.9, 0.1), 0.1)
    verdict = judge(inputs, 0, 0)
    assert verdict.failed == ("last_token",)
    finding = verdict.findings[0]
    assert (finding.output, finding.index) == ("bonus_token", (0,))
    assert finding.found == "token 0 (rejected as a draft, drawn again)"
    assert finding.wanted.startswith("token 1 ")


def test_a_draw_that_the_kept_draft_displaced_is_named():
    inputs = make_inputs(TARGET, (0, 3), (0.9, 0.1), 0.6)  # 0.6 of 1: token 1; of 0.5: token 2
    verdict = judge(inputs, 0, 1)
    assert "rejected drafts were kept" in verdict.findings[0].found
    assert verdict.findings[0].wanted.startswith("token 2 ")


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda length, bonus, V: (length + 1, bonus), "accept_length"),
        (lambda length, bonus, V: (length * 0, bonus), "accept_length"),
        (lambda length, bonus, V: (length, (bonus + 1) % V), "last_token"),
        (lambda length, bonus, V: (length, bonus - V), "last_token"),
        (lambda length, bonus, V: (length, bonus * 0 + V), "last_token"),
        (lambda length, bonus, V: (length, np.roll(bonus, 1)), "last_token"),
    ],
)
def test_spoiled_answers_are_refused(spoil, check):
    inputs = draw()
    assert check in judge(inputs, *spoil(*answer(inputs), 40)).failed


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(SPEC.patterns), st.integers(1, 4))
def test_no_answer_crashes_the_judge(seed, pattern, nodes):
    rng = np.random.default_rng(seed)
    garbage = [-(2**31), -65538, -1, 0, 1, 2, 39, 40, 2147450879, 2**31 - 1]
    length, bonus = rng.choice(garbage, (2, 12)).astype(np.int32)
    judge(draw(pattern, 12, nodes), length, bonus)


def draw_lossless(B=4096, N=3, V=128):
    return draw("lossless", B, N, V)


def fail_by_distribution(inputs, length, bonus):
    return "lossless" in judge(inputs, length, bonus).failed


def test_a_right_sampler_is_lossless_by_its_own_account():
    inputs = draw_lossless()
    verdict = judge(inputs, *answer(inputs))
    assert verdict.ok
    check = next(check for check in verdict.checks if check.name == "lossless")
    assert check.ok
    assert check.detail.startswith("first token: n=4096")
    assert "; second token: n=" in check.detail


def draw_bonus(inputs, length, exclude=None, temperature=1.0):
    """Bonus tokens from row `length`, without the rejected draft where `exclude` is true."""
    rows = np.arange(len(length))
    last = inputs["candidates"].shape[1] - 1
    mass = sampling.warm(inputs["target_probs"][rows, length], temperature)
    rejected = inputs["candidates"][rows, np.minimum(length + 1, last)]
    struck = (length < last) & (True if exclude is None else exclude)
    mass[rows[struck], rejected[struck]] = 0.0
    prefix = np.cumsum(mass, axis=1)
    goal = inputs["uniform_samples_for_final_sampling"] * prefix[:, -1]
    return (prefix > goal[:, None]).argmax(axis=1)


def test_keeping_the_rejected_draft_is_caught_by_replay_and_by_distribution_alone():
    inputs = draw_lossless()
    length, _ = answer(inputs)
    kept = draw_bonus(inputs, length, exclude=np.zeros(len(length), dtype=bool))
    assert set(judge(inputs, length, kept).failed) == {"last_token", "lossless"}
    few = {**inputs, **{name: inputs[name][:32] for name in inputs if np.ndim(inputs[name])}}
    assert judge(few, length[:32], kept[:32]).failed == ("last_token",)


def test_distribution_needs_no_coins_to_catch_the_kept_draft():
    inputs = draw_lossless()
    length, _ = answer(inputs)
    kept = draw_bonus(inputs, length, exclude=np.zeros(len(length), dtype=bool))
    first = np.where(length > 0, inputs["candidates"][:, 1], kept)
    target = inputs["target_probs"][0, 0]
    assert sampling.measure_fit(first, target).p_value < sampling.ALPHA
    right = np.where(length > 0, inputs["candidates"][:, 1], answer(inputs)[1])
    assert sampling.measure_fit(right, target).p_value > sampling.STAGE_ONE


def test_a_fault_at_the_second_position_alone_is_caught_there():
    inputs = draw_lossless()
    length, _ = answer(inputs)
    kept = draw_bonus(inputs, length, exclude=length != 1)
    verdict = judge(inputs, length, kept)
    assert "lossless" in verdict.failed
    found = [finding.found for finding in verdict.findings if finding.check == "lossless"]
    assert [words.split(",")[0] for words in found] == ["second token"]


@pytest.mark.parametrize(("temperature", "detected"), [(1.02, False), (1.5, True)])
def test_a_temperature_is_caught_by_replay_and_by_distribution_as_declared(temperature, detected):
    inputs = draw_lossless()
    warmed = {**inputs, "target_probs": sampling.warm(inputs["target_probs"], temperature)}
    length, bonus = answer(warmed)
    first = np.where(length > 0, inputs["candidates"][:, 1], bonus)
    fit = sampling.measure_fit(first, inputs["target_probs"][0, 0])
    assert (fit.temperature < temperature) is detected
    verdict = judge(inputs, length, bonus)
    assert {"accept_length", "last_token"} <= set(verdict.failed)
    assert ("lossless" in verdict.failed) is detected


@pytest.mark.parametrize(
    "change",
    [
        {"threshold_single": 0.5},
        {"threshold_acc": 0.8},
        {"uniform_samples": slice(0, 900)},  # too few sequences
        {"target_probs": "own"},  # every sequence its own target
    ],
)
def test_only_lossless_contracts_are_tested_for_distribution(change):
    inputs = draw_lossless(2000, 2, 60)
    (name, value), *_ = change.items()
    if name == "uniform_samples":
        inputs = {k: v[value] if np.ndim(v) else v for k, v in inputs.items()}
    elif name == "target_probs":
        target = inputs["target_probs"].copy()
        target[7] = np.roll(target[7], 1, axis=-1)
        inputs["target_probs"] = target
    else:
        inputs[name] = value
    verdict = judge(inputs, *answer(inputs))
    assert verdict.ok
    assert "lossless" not in [check.name for check in verdict.checks]


def test_tokens_outside_the_vocabulary_leave_the_distribution_unchecked():
    inputs = draw_lossless(2000, 2, 60)
    length, bonus = answer(inputs)
    verdict = judge(inputs, length, np.where(length == 0, 2147450879, bonus))
    assert verdict.failed == ("last_token",)
    check = next(check for check in verdict.checks if check.name == "lossless")
    assert check.ok is None
    assert "not always in the vocabulary" in check.detail


def test_the_second_look_draws_ten_times_the_rows_of_the_same_target():
    case = SPEC.make_case(next(row for row in SPEC.cases if row.pattern == "lossless"))
    larger = SPEC.second_look(case)
    assert larger.sizes["B"] == 10 * case.sizes["B"]
    assert replace(larger, sizes=case.sizes) == case
