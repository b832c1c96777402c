import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rocmoe.references import moe_sorting as reference


def make_inputs(seed=0, tokens=9, experts=6, topk=3, unit=4, mask=None, local=None, model_dim=5):
    rng = np.random.default_rng(seed)
    ids = np.argsort(rng.random((tokens, experts)), axis=1)[:, :topk]
    return {
        "topk_ids": ids,
        "topk_weights": rng.random((tokens, topk)).astype(np.float32).astype(float),
        "num_experts": experts,
        "unit_size": unit,
        "expert_mask": None if mask is None else np.array(mask),
        "num_local_tokens": None if local is None else np.array([local]),
        "model_dim": model_dim,
    }


MASKED = {"mask": [1, 0, 1, 1, 0, 1], "local": 7}


def answer(inputs):
    return reference.oracle(**inputs)


def judge(inputs, outputs, *, strict=False):
    return reference.judge(inputs, outputs, dtype="fp32", strict=strict)


def sort_slowly(inputs):
    """The definition, pair by pair: (packed id, weight) or None for padding, and block experts."""
    ids, tokens = inputs["topk_ids"], len(inputs["topk_ids"])
    local = tokens if inputs["num_local_tokens"] is None else int(inputs["num_local_tokens"][0])
    entries, blocks, rank = [], [], 0
    for expert in range(inputs["num_experts"]):
        if inputs["expert_mask"] is not None and not inputs["expert_mask"][expert]:
            continue
        run = [
            ((slot << 24) + token, inputs["topk_weights"][token, slot])
            for token in range(local)
            for slot in range(ids.shape[1])
            if ids[token, slot] == expert
        ]
        while len(run) % inputs["unit_size"]:
            run.append(None)
        entries += run
        blocks += [rank] * (len(run) // inputs["unit_size"])
        rank += 1
    return entries, blocks, local


sizes = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32),
        "tokens": st.integers(0, 20),
        "experts": st.integers(3, 12),
        "topk": st.integers(1, 3),
        "unit": st.integers(1, 9),
    }
)


@settings(max_examples=60, deadline=None)
@given(sizes, st.data())
def test_oracle_agrees_with_the_definition_and_passes_its_own_strict_judge(sizes, data):
    mask = data.draw(
        st.none()
        | st.lists(st.integers(0, 1), min_size=sizes["experts"], max_size=sizes["experts"])
    )
    local = data.draw(st.none() | st.integers(0, sizes["tokens"]))
    inputs = make_inputs(**sizes, mask=mask, local=local)
    outputs = answer(inputs)
    entries, blocks, local = sort_slowly(inputs)
    total = len(entries)
    tokens, topk = inputs["topk_ids"].shape
    assert outputs["num_valid_ids"].tolist() == [total, local]
    assert outputs["sorted_expert_ids"][: len(blocks)].tolist() == blocks
    assert len(outputs["sorted_ids"]) == tokens * topk + sizes["experts"] * sizes["unit"] - topk
    assert len(outputs["sorted_expert_ids"]) == -(-len(outputs["sorted_ids"]) // sizes["unit"])
    padding = ((topk << 24) + local, 0.0)
    found = zip(outputs["sorted_ids"][:total], outputs["sorted_weights"], strict=False)
    assert list(found) == [entry or padding for entry in entries]
    verdict = judge(inputs, outputs, strict=True)
    assert verdict.ok, verdict.findings


@pytest.mark.parametrize("padding", [(3 << 24) + 9, (3 << 24) + 7, 3 << 24, 7, 2**24 - 1])
def test_padding_may_be_any_entry_of_slot_k_or_of_a_token_past_the_local_ones(padding):
    inputs = make_inputs(**MASKED)
    outputs = answer(inputs)
    outputs["sorted_ids"][outputs["sorted_ids"] >> 24 == 3] = padding
    assert judge(inputs, outputs, strict=True).ok


@pytest.mark.parametrize(
    ("padding", "checks"),
    [
        (0, {"entries_once", "entries_at_their_expert", "weights_copied"}),
        ((2 << 24) + 6, {"entries_once", "entries_at_their_expert", "weights_copied"}),
        (4 << 24, {"entries_valid"}),
        (255 << 24, {"entries_valid"}),
    ],
)
def test_other_padding_is_refused(padding, checks):
    inputs = make_inputs()
    outputs = answer(inputs)
    ids = outputs["sorted_ids"]
    ids[ids >> 24 == 3] = np.uint32(padding).view(np.int32)
    assert set(judge(inputs, outputs).failed) == checks


def test_what_lies_past_the_last_block_and_past_the_local_rows_is_free():
    inputs = make_inputs(**MASKED)
    outputs = answer(inputs)
    total = outputs["num_valid_ids"][0]
    outputs["sorted_ids"][total:] = 0
    outputs["sorted_weights"][total:] = np.nan
    outputs["sorted_expert_ids"][total // 4 :] = -1
    outputs["moe_buf"][7:] = np.nan
    assert judge(inputs, outputs, strict=True).ok


def test_order_inside_an_expert_is_free_but_strict_wants_it_ascending():
    inputs = make_inputs(tokens=4, experts=3, topk=3, unit=4)
    outputs = answer(inputs)
    for name in ("sorted_ids", "sorted_weights"):
        outputs[name][:4] = outputs[name][:4][::-1].copy()
    assert judge(inputs, outputs).ok
    assert judge(inputs, outputs, strict=True).failed == ("ascending",)


def test_experts_are_named_by_their_rank_among_the_enabled_ones():
    inputs = make_inputs(**MASKED)
    outputs = answer(inputs)
    assert set(outputs["sorted_expert_ids"]) == {0, 1, 2, 3}
    named = np.array([0, 2, 3, 5], dtype=np.int32)[outputs["sorted_expert_ids"]]
    assert judge(inputs, {**outputs, "sorted_expert_ids": named}).failed == ("block_experts",)


def test_slots_from_128_on_set_the_sign_bit_and_are_still_read():
    inputs = make_inputs(tokens=2, experts=256, topk=254, unit=2)
    outputs = answer(inputs)
    assert (outputs["sorted_ids"] < 0).any()
    assert judge(inputs, outputs, strict=True).ok
    assert outputs["sorted_ids"][-1] == ((254 << 24) + 2) - 2**32


def test_rows_past_the_local_ones_may_hold_any_ids():
    inputs = make_inputs(**MASKED)
    outputs = answer(inputs)
    inputs["topk_ids"][7:] = [2**31 - 1, -1, 6]
    again = answer(inputs)
    assert all((outputs[name] == again[name]).all() for name in outputs)
    assert judge(inputs, again, strict=True).ok


def swap(outputs, name, left, right):
    outputs[name][[left, right]] = outputs[name][[right, left]]


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda o: o["num_valid_ids"].__setitem__(0, o["num_valid_ids"][0] + 4), "num_valid_ids"),
        (lambda o: o["num_valid_ids"].__setitem__(1, 9), "num_valid_ids"),
        (lambda o: o["sorted_expert_ids"].__setitem__(1, 3), "block_experts"),
        (lambda o: o["sorted_ids"].__setitem__(0, o["sorted_ids"][1]), "entries_once"),
        (lambda o: o["sorted_ids"].__setitem__(0, 3 << 24), "entries_complete"),
        (lambda o: swap(o, "sorted_ids", 0, -1), "entries_complete"),
        (lambda o: o["sorted_ids"].__setitem__(0, o["sorted_ids"][0] ^ 1), "weights_copied"),
        (lambda o: o["sorted_weights"].__setitem__(0, o["sorted_weights"][0] * (1 + 2**-23)),
         "weights_copied"),
        (lambda o: o["sorted_weights"].__setitem__(0, np.nan), "weights_copied"),
        (lambda o: o["sorted_weights"].__setitem__(o["sorted_ids"] >> 24 == 3, 1e-30),
         "padding_weights"),
        (lambda o: o["sorted_weights"].__setitem__(o["sorted_ids"] >> 24 == 3, np.nan),
         "padding_weights"),
        (lambda o: o["moe_buf"].__setitem__((6, -1), 1e-30), "moe_buf_zeroed"),
        (lambda o: o["moe_buf"].__setitem__((0, 0), np.nan), "moe_buf_zeroed"),
    ],
)  # fmt: skip
def test_harms_are_refused(spoil, check):
    inputs = make_inputs(**MASKED)
    outputs = answer(inputs)
    spoil(outputs)
    assert check in judge(inputs, outputs).failed


def test_two_pairs_in_each_others_expert_are_refused():
    inputs = make_inputs()
    outputs = answer(inputs)
    ends = np.flatnonzero(outputs["sorted_ids"] >> 24 != 3)[[0, -1]]
    for name in ("sorted_ids", "sorted_weights"):
        swap(outputs, name, *ends)
    assert judge(inputs, outputs).failed == ("entries_at_their_expert",)


def test_a_false_count_does_not_hide_a_missing_pair():
    inputs = make_inputs()
    outputs = answer(inputs)
    last = np.flatnonzero(outputs["sorted_ids"] >> 24 != 3)[-1]
    outputs["sorted_ids"][last] = 3 << 24
    outputs["num_valid_ids"][0] = 0
    assert set(judge(inputs, outputs).failed) >= {"num_valid_ids", "entries_complete"}


integers = st.sampled_from([0, 1, -1, -(2**31), 2**31 - 1, 2147450879, -65538, 3 << 24, 7])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_answer_can_make_the_judge_or_the_canonical_form_fail(data):
    inputs = make_inputs(**MASKED, seed=1)
    outputs = {}
    for name, right in answer(inputs).items():
        elements = integers if right.dtype.kind == "i" else st.sampled_from([0.0, np.nan, np.inf])
        outputs[name] = data.draw(arrays.arrays(right.dtype, right.shape, elements=elements))
    assert not judge(inputs, outputs, strict=True).ok
    reference.erase_unspecified(inputs, outputs)


def test_answers_that_mean_the_same_have_one_canonical_form():
    inputs = make_inputs(**MASKED)
    right, other = answer(inputs), answer(inputs)
    total = right["num_valid_ids"][0]
    for name in ("sorted_ids", "sorted_weights"):
        for start in range(0, total, 4):
            other[name][start : start + 4] = other[name][start : start + 4][::-1].copy()
        other[name][total:] = 5
    other["sorted_ids"][other["sorted_ids"] == (3 << 24) + 7] = 3 << 24
    other["sorted_expert_ids"][total // 4 :] = -1
    other["moe_buf"][7:] = 2.0
    forms = [reference.erase_unspecified(inputs, outputs) for outputs in (right, other)]
    assert all((forms[0][name] == forms[1][name]).all() for name in right)
    other["sorted_weights"][np.argmax(other["sorted_weights"][:total])] /= 2
    spoiled = reference.erase_unspecified(inputs, other)
    assert (spoiled["sorted_weights"] != forms[0]["sorted_weights"]).any()
