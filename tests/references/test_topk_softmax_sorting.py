import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rocmoe.references import moe_sorting, topk_softmax
from rocmoe.references import topk_softmax_sorting as reference


def make_inputs(
    logits=None, *, topk=3, renormalize=True, unit=4, mask=None, local=None, model_dim=3, seed=0
):
    if logits is None:
        logits = np.random.default_rng(seed).permuted(np.tile(np.arange(8) / 4, (9, 1)), axis=1)
    return {
        "gating_output": np.array(logits, dtype=float),
        "topk": topk,
        "renormalize": renormalize,
        "unit_size": unit,
        "expert_mask": None if mask is None else np.array(mask),
        "num_local_tokens": None if local is None else np.array([local]),
        "model_dim": model_dim,
    }


UPPER = [0, 0, 0, 0, 1, 1, 1, 1]


def answer(inputs):
    return reference.oracle(**inputs)


def sort_choice(inputs, ids, weights):
    """The outputs of a kernel that chose ids [T, k] with these weights."""
    names = ("unit_size", "expert_mask", "num_local_tokens", "model_dim")
    experts = inputs["gating_output"].shape[1]
    rest = {name: inputs[name] for name in names}
    return moe_sorting.oracle(np.array(ids), np.array(weights, float), experts, **rest)


def choose(inputs, ids):
    """The outputs of a kernel that chose ids [T, k] and weighed them rightly."""
    probabilities = scipy.special.softmax(inputs["gating_output"], axis=1)
    weights = np.take_along_axis(probabilities, np.array(ids), axis=1)
    if inputs["renormalize"]:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return sort_choice(inputs, ids, weights)


def judge(inputs, outputs, *, strict=False):
    return reference.judge(inputs, outputs, dtype="fp32", strict=strict)


@pytest.mark.parametrize("renormalize", [True, False])
def test_oracle_agrees_with_scipy_softmax_and_a_sort_pair_by_pair(renormalize):
    inputs = make_inputs(renormalize=renormalize, mask=UPPER, local=7)
    probabilities = scipy.special.softmax(inputs["gating_output"], axis=1)
    outputs = answer(inputs)
    total, local = outputs["num_valid_ids"]
    assert local == 7
    found = {}
    for place in range(total):
        slot, token = divmod(int(outputs["sorted_ids"][place]), 2**24)
        if slot < 3:
            expert = 4 + outputs["sorted_expert_ids"][place // 4]
            found[token, slot] = (expert, outputs["sorted_weights"][place])
    wanted = {}
    for token in range(7):
        best = sorted(range(8), key=lambda expert, row=probabilities[token]: -row[expert])[:3]
        whole = sum(probabilities[token][best]) if renormalize else 1.0
        for slot, expert in enumerate(best):
            if expert >= 4:
                wanted[token, slot] = (expert, probabilities[token, expert] / whole)
    assert found.keys() == wanted.keys()
    for pair, (expert, weight) in found.items():
        assert expert == wanted[pair][0]
        assert weight == pytest.approx(wanted[pair][1], rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_oracle_passes_its_own_strict_judge(data):
    experts = data.draw(st.integers(1, 12))
    tokens = data.draw(st.integers(0, 9))
    levels = st.sampled_from([0.0, 0.5, 1.0, 1.5, -200.0, -np.inf, np.nan, np.inf])
    inputs = make_inputs(
        data.draw(arrays.arrays(float, (tokens, experts), elements=levels)),
        topk=data.draw(st.integers(1, experts)),
        renormalize=data.draw(st.booleans()),
        unit=data.draw(st.integers(1, 5)),
        mask=data.draw(st.none() | st.lists(st.integers(0, 1), min_size=experts, max_size=experts)),
        local=data.draw(st.none() | st.integers(0, tokens)),
    )
    verdict = judge(inputs, answer(inputs), strict=True)
    assert verdict.ok, verdict.findings


def test_either_of_two_tied_experts_may_be_chosen_but_strict_wants_the_lowest():
    inputs = make_inputs([[1.0, 3.0, 1.0, 0.0]], topk=2)
    assert judge(inputs, choose(inputs, [[1, 0]]), strict=True).ok
    other = choose(inputs, [[1, 2]])
    assert judge(inputs, other).ok
    assert judge(inputs, other, strict=True).failed == ("lowest_index_wins_ties",)


def test_any_slots_pass_but_strict_wants_them_descending():
    inputs = make_inputs([[1.0, 3.0, 2.0, 0.0]], topk=3)
    other = choose(inputs, [[0, 1, 2]])
    assert judge(inputs, other).ok
    assert judge(inputs, other, strict=True).failed == ("descending",)


def test_an_expert_below_one_left_out_is_named_by_token_and_slot():
    inputs = make_inputs([[5.0, 1.0, 2.0, 0.0], [1.0, 3.0, 2.0, 0.0]], topk=2)
    verdict = judge(inputs, choose(inputs, [[0, 2], [1, 0]]))
    assert verdict.failed == ("selection_is_top_k",)
    finding = verdict.findings[0]
    assert (finding.output, finding.index) == ("sorted_ids", (1, 1))
    assert finding.found.startswith("expert 0")
    assert finding.wanted.startswith("expert 2")


@pytest.mark.parametrize("visible", [True, False])
def test_a_tie_between_an_enabled_and_a_disabled_expert_may_go_either_way(visible):
    inputs = make_inputs([[1.0, 3.0, 1.0, 0.0]], topk=2, mask=[1, 1, 0, 1])
    assert judge(inputs, choose(inputs, [[1, 0 if visible else 2]])).ok


def test_an_enabled_expert_that_is_surely_among_the_top_k_must_be_there():
    inputs = make_inputs([[4.0, 3.0, 2.0, 1.0]], topk=2, mask=[0, 1, 1, 0])
    assert judge(inputs, choose(inputs, [[0, 1]])).ok
    verdict = judge(inputs, choose(inputs, [[0, 3]]))
    assert "selection_is_top_k" in verdict.failed
    assert verdict.findings[0].found.startswith("nothing visible, at best expert 3")
    assert verdict.findings[0].wanted.startswith("expert 1")


def test_an_enabled_expert_below_a_disabled_winner_must_not_move_up():
    inputs = make_inputs([[4.0, 3.0, 2.0, 1.0]], topk=2, mask=[0, 1, 1, 1])
    assert "selection_is_top_k" in judge(inputs, choose(inputs, [[1, 2]])).failed


def test_weights_are_shares_of_all_winners_the_hidden_ones_included():
    inputs = make_inputs([[4.0, 3.0, 2.0, 1.0]], topk=2, mask=[0, 1, 1, 1])
    shares = scipy.special.softmax([4.0, 3.0])
    assert judge(inputs, sort_choice(inputs, [[0, 1]], [shares]), strict=True).ok
    assert judge(inputs, sort_choice(inputs, [[0, 1]], [[0.0, 1.0]])).failed == ("weights",)


def test_a_hidden_winner_may_be_any_of_those_that_rounding_makes_equal():
    near = 1.0 - 5e-6
    inputs = make_inputs([[1.0, near, 2.0, 0.0]], topk=2, mask=[0, 0, 1, 1])
    for hidden in (1.0, near):
        weights = scipy.special.softmax([2.0, hidden])
        assert judge(inputs, sort_choice(inputs, [[2, 0]], [weights])).ok
    weights = scipy.special.softmax([2.0, 1.0 - 5e-5])
    assert judge(inputs, sort_choice(inputs, [[2, 0]], [weights])).failed == ("weights",)


def test_a_row_that_lacks_more_pairs_than_experts_are_disabled_is_incomplete():
    inputs = make_inputs([[4.0, 3.0, 2.0, 1.0]], topk=3, mask=[0, 1, 1, 1])
    outputs = choose(inputs, [[0, -1, -1]])
    assert "rows_complete" in judge(inputs, outputs).failed


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_without_a_specified_answer_may_hold_any_k_experts_once(bad):
    inputs = make_inputs([[bad, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]], topk=2)
    for ids in ([[1, 0], [3, 2]], [[2, 1], [3, 2]]):
        weights = [[np.nan, 7.0], scipy.special.softmax([3.0, 2.0])]
        assert judge(inputs, sort_choice(inputs, ids, weights)).ok
    weights = [[0.5, 0.5], scipy.special.softmax([3.0, 2.0])]
    twice, lost = [[[1, 1], [3, 2]], [[1, -1], [3, 2]]]
    assert "ids_unique" in judge(inputs, sort_choice(inputs, twice, weights)).failed
    assert "rows_complete" in judge(inputs, sort_choice(inputs, lost, weights)).failed


@pytest.mark.parametrize(
    ("name", "place", "value", "check"),
    [
        ("num_valid_ids", 0, 2147450879, "num_valid_ids"),
        ("num_valid_ids", 0, 0, "num_valid_ids"),
        ("num_valid_ids", 1, 9, "num_valid_ids"),
        ("sorted_expert_ids", 0, 4, "block_experts_in_range"),
        ("sorted_expert_ids", 0, -1, "block_experts_in_range"),
        ("sorted_ids", 0, 200 << 22, "entries_valid"),
        ("sorted_weights", 0, np.nan, "weights"),
        ("moe_buf", (6, 2), 1.0, "moe_buf_zeroed"),
    ],
)
def test_harms_are_refused(name, place, value, check):
    inputs = make_inputs(mask=UPPER, local=7)
    outputs = answer(inputs)
    outputs[name][place] = value
    assert check in judge(inputs, outputs).failed


def test_one_block_more_than_the_choice_calls_for_is_refused_also_among_ties():
    inputs = make_inputs(np.zeros((5, 8)), topk=2)
    outputs = answer(inputs)
    assert not reference.count_certain(inputs)[1]
    outputs["num_valid_ids"][0] += 4
    assert "num_valid_ids" in judge(inputs, outputs).failed


def test_a_padding_weight_and_a_pair_that_stands_twice_are_refused():
    inputs = make_inputs()
    outputs = answer(inputs)
    padding = np.flatnonzero(outputs["sorted_ids"] >> 24 == 3)[0]
    outputs["sorted_weights"][padding] = 0.25
    assert judge(inputs, outputs).failed == ("padding_weights",)
    outputs["sorted_ids"][padding] = outputs["sorted_ids"][padding - 1]
    assert judge(inputs, outputs).failed == ("entries_once",)


def test_blocks_must_stand_in_ascending_order_of_experts():
    inputs = make_inputs(np.tile([3.0, 2.0, 0.0, 0.0], (4, 1)), topk=2)
    outputs = answer(inputs)
    for name, width in (("sorted_ids", 4), ("sorted_weights", 4), ("sorted_expert_ids", 1)):
        outputs[name][: 2 * width] = np.roll(outputs[name][: 2 * width], width)
    assert judge(inputs, outputs).failed == ("block_experts", "entries_at_their_expert")


def test_certain_experts_are_those_that_no_tie_can_displace():
    logits = np.array([[3.0, 2.0, 2.0, 0.0], [3.0, 2.0, 1.0, 0.0], [np.nan, 1.0, 2.0, 3.0]])
    certain = topk_softmax.find_certain_experts(logits, 2)
    assert certain.tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [False] * 4,
    ]
    assert topk_softmax.find_certain_experts(logits, 4)[:2].all()
    assert reference.count_certain(make_inputs(logits, topk=2)) == (8, False)
    assert reference.count_certain(make_inputs(logits[1:2], topk=2)) == (8, True)
    assert reference.count_certain(make_inputs(logits, topk=2, mask=[1, 0, 0, 0])) == (4, False)


integers = st.sampled_from([0, 1, -1, -(2**31), 2**31 - 1, 2147450879, -65538, 3 << 24, 8])


@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.data())
def test_no_answer_can_make_the_judge_or_the_canonical_form_fail(tied, data):
    logits = np.zeros((9, 8)) if tied else None
    inputs = make_inputs(logits, mask=data.draw(st.none() | st.just(UPPER)), local=7)
    outputs = {}
    for name, right in answer(inputs).items():
        elements = integers if right.dtype.kind == "i" else st.sampled_from([0.0, np.nan, np.inf])
        outputs[name] = data.draw(arrays.arrays(right.dtype, right.shape, elements=elements))
    assert not judge(inputs, outputs, strict=True).ok
    reference.erase_unspecified(inputs, outputs)


def test_answers_that_mean_the_same_have_one_canonical_form():
    inputs = make_inputs(local=7)
    right, other = answer(inputs), answer(inputs)
    total = right["num_valid_ids"][0]
    for name in ("sorted_ids", "sorted_weights"):
        for start in range(0, total, 4):
            other[name][start : start + 4] = other[name][start : start + 4][::-1].copy()
        other[name][total:] = 5
    forms = [reference.erase_unspecified(inputs, outputs) for outputs in (right, other)]
    assert (forms[0]["sorted_ids"] == forms[1]["sorted_ids"]).all()
    assert (forms[0]["sorted_ids"].reshape(-1)[: 7 * 3] >= 0).all()
    assert (forms[0]["sorted_ids"][7 * 3 :] == -1).all()


@pytest.mark.parametrize("mask", [None, UPPER])
def test_choices_that_differ_by_ties_have_one_canonical_form(mask):
    logits = np.tile([3.0, 1.0, 1.0, 0.0, 4.0, 1.0, 1.0, 0.0], (9, 1))
    logits[::2] += np.arange(8) / 16.0
    inputs = make_inputs(logits, mask=mask)
    flipped = topk_softmax.oracle(logits[:, ::-1], 3, True)
    other = choose(inputs, 7 - flipped["topk_ids"].astype(int))
    right = answer(inputs)
    assert judge(inputs, other).ok
    assert (right["sorted_ids"] != other["sorted_ids"]).any()
    forms = [reference.erase_unspecified(inputs, outputs) for outputs in (right, other)]
    assert (forms[0]["sorted_ids"] == forms[1]["sorted_ids"]).all()


def test_another_choice_has_another_canonical_form():
    inputs = make_inputs()
    other = answer(make_inputs(-inputs["gating_output"]))
    forms = [reference.erase_unspecified(inputs, outputs) for outputs in (answer(inputs), other)]
    assert (forms[0]["sorted_ids"] != forms[1]["sorted_ids"]).any()
