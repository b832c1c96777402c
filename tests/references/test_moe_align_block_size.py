import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rocmoe.references import moe_align_block_size as reference


def make_inputs(seed=0, tokens=9, experts=6, topk=3, block_size=4):
    rng = np.random.default_rng(seed)
    ids = np.argsort(rng.random((tokens, experts)), axis=1)[:, :topk]
    return {"topk_ids": ids, "num_experts": experts, "block_size": block_size}


def answer(inputs):
    return reference.oracle(**inputs)


def judge(inputs, outputs, *, strict=False):
    return reference.judge(inputs, outputs, dtype="fp32", strict=strict)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(0, 20),
    st.integers(3, 12),
    st.integers(1, 3),
    st.integers(1, 9),
)
def test_oracle_agrees_with_the_definition_and_passes_its_own_strict_judge(
    seed, tokens, experts, topk, block_size
):
    inputs = make_inputs(seed, tokens, experts, topk, block_size)
    ids, blocks = [], []
    flat = inputs["topk_ids"].ravel().tolist()
    for expert in range(experts):
        run = [index for index, chosen in enumerate(flat) if chosen == expert]
        run += [len(flat)] * (-len(run) % block_size)
        ids += run
        blocks += [expert] * (len(run) // block_size)
    outputs = answer(inputs)
    assert outputs["num_tokens_post_pad"].tolist() == [len(ids)]
    assert outputs["sorted_token_ids"][: len(ids)].tolist() == ids
    assert outputs["expert_ids"][: len(blocks)].tolist() == blocks
    assert len(outputs["sorted_token_ids"]) == len(flat) + experts * (block_size - 1)
    verdict = judge(inputs, outputs, strict=True)
    assert verdict.ok, verdict.findings


def test_padding_is_any_value_from_the_number_of_pairs_on_and_tails_are_free():
    inputs = make_inputs()
    outputs = answer(inputs)
    total = outputs["num_tokens_post_pad"][0]
    ids = outputs["sorted_token_ids"]
    ids[ids == 27] = 2**31 - 1
    ids[total:] = 0
    outputs["expert_ids"][total // 4 :] = 77
    assert judge(inputs, outputs, strict=True).ok


def test_order_inside_an_expert_is_free_but_strict_wants_it_ascending():
    inputs = make_inputs(tokens=4, experts=3, topk=3)
    outputs = answer(inputs)
    outputs["sorted_token_ids"][:4] = outputs["sorted_token_ids"][:4][::-1].copy()
    assert judge(inputs, outputs).ok
    assert judge(inputs, outputs, strict=True).failed == ("ascending",)


@pytest.mark.parametrize(
    ("name", "index", "value", "check"),
    [
        ("num_tokens_post_pad", 0, 40, "num_tokens_post_pad"),
        ("num_tokens_post_pad", 0, 2147450879, "num_tokens_post_pad"),
        ("expert_ids", 1, 5, "block_experts"),
        ("expert_ids", 0, -65538, "block_experts"),
        ("sorted_token_ids", 0, -1, "entries_valid"),
        ("sorted_token_ids", 0, 27, "entries_complete"),
    ],
)
def test_harms_are_refused(name, index, value, check):
    inputs = make_inputs()
    outputs = answer(inputs)
    assert outputs[name][index] != value
    outputs[name][index] = value
    assert check in judge(inputs, outputs).failed


@pytest.mark.parametrize("padding", [0, 26])
def test_a_pair_as_padding_is_refused(padding):
    inputs = make_inputs()
    outputs = answer(inputs)
    ids = outputs["sorted_token_ids"]
    ids[ids == 27] = padding
    assert judge(inputs, outputs).failed == ("entries_once", "entries_at_their_expert")


def test_tokens_in_place_of_pairs_are_refused():
    inputs = make_inputs()
    outputs = answer(inputs)
    ids = outputs["sorted_token_ids"]
    outputs["sorted_token_ids"] = np.where(ids < 27, ids // 3, ids)
    assert "entries_complete" in judge(inputs, outputs).failed


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_answer_can_make_the_judge_or_the_canonical_form_fail(data):
    inputs = make_inputs()
    values = st.sampled_from([0, 1, -1, -(2**31), 2**31 - 1, 2147450879, -65538, 26, 27])
    outputs = {
        name: data.draw(arrays.arrays(np.int32, right.shape, elements=values))
        for name, right in answer(inputs).items()
    }
    assert not judge(inputs, outputs, strict=True).ok
    reference.erase_unspecified(inputs, outputs)


def test_answers_that_mean_the_same_have_one_canonical_form():
    inputs = make_inputs()
    right, other = answer(inputs), answer(inputs)
    total = right["num_tokens_post_pad"][0]
    ids = other["sorted_token_ids"]
    for start in range(0, total, 4):
        ids[start : start + 4] = ids[start : start + 4][::-1].copy()
    ids[ids == 27] = 99
    ids[total:] = 3
    other["expert_ids"][total // 4 :] = 5
    forms = [reference.erase_unspecified(inputs, outputs) for outputs in (right, other)]
    assert all((forms[0][name] == forms[1][name]).all() for name in right)
    ids[:total] = np.where(ids[:total] == 0, 1, ids[:total])
    spoiled = reference.erase_unspecified(inputs, other)
    assert (spoiled["sorted_token_ids"] != forms[0]["sorted_token_ids"]).any()
