import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import load_op
from rocmoe.references import chain_speculative_sampling as chain
from rocmoe.references import tree_speculative_sampling_target_only as reference
from rocmoe.references.judging import sampling
from rocmoe.references.judging.replay import link_chain

SPEC = load_op("tree_speculative_sampling_target_only")


def draw(pattern="normal", B=24, N=7, V=40, single=1.0, acc=1.0, seed=0):
    params = {"threshold_single": single, "threshold_acc": acc, "deterministic": True}
    return draw_inputs(
        SPEC, Case(SPEC.name, {"B": B, "N": N, "V": V}, "fp32", params, pattern, seed=seed)
    )


def make_inputs(tokens, children, siblings, target, coins, last, single=1.0, acc=1.0):
    """One sequence: tokens, first children, next siblings and coins [N], target [N, V]."""
    target = np.float32([target]).astype(float)
    return {
        "candidates": np.array([tokens]),
        "retrive_index": np.arange(len(tokens))[None],
        "retrive_next_token": np.array([children]),
        "retrive_next_sibling": np.array([siblings]),
        "uniform_samples": np.float32([coins]).astype(float),
        "uniform_samples_for_final_sampling": np.float32([last]).astype(float),
        "target_probs": target,
        "draft_probs": np.zeros(target.shape),
        "threshold_single": single,
        "threshold_acc": acc,
        "deterministic": True,
    }


def answer(inputs):
    return reference.oracle(**inputs)


def judge(inputs, outputs, strict=False):
    return reference.judge(inputs, outputs, dtype="fp32", strict=strict)


def verify_slowly(inputs):
    """The contract, one sequence and one child at a time: paths, and tokens by place."""
    paths, tokens = [], {}
    for row, target in enumerate(inputs["target_probs"]):
        candidates, places = inputs["candidates"][row], inputs["retrive_index"][row]
        path, excluded = [0], set()
        while True:
            node, total, accepted, excluded = path[-1], 0.0, None, set()
            child = inputs["retrive_next_token"][row][node]
            while child != -1 and accepted is None:
                probability = float(target[node][candidates[child]])
                total += probability
                scaled = total / max(inputs["threshold_acc"], 1e-9)
                coin = inputs["uniform_samples"][row][node]
                if coin <= scaled or probability >= inputs["threshold_single"]:
                    accepted = child
                else:
                    excluded.add(candidates[child])
                    child = inputs["retrive_next_sibling"][row][child]
            if accepted is None:
                break
            tokens[places[node]] = candidates[accepted]
            path.append(accepted)
        left = [0.0 if t in excluded else float(p) for t, p in enumerate(target[path[-1]])]
        goal = inputs["uniform_samples_for_final_sampling"][row] * sum(left)
        prefixes = np.cumsum(left)
        beyond = np.flatnonzero(prefixes > goal)
        positive = np.flatnonzero(np.array(left) > 0)
        last = beyond[0] if beyond.size else (positive[-1] if positive.size else len(left) - 1)
        tokens[places[path[-1]]] = last
        paths.append([int(places[node]) for node in path])
    return paths, {int(place): int(token) for place, token in tokens.items()}


def read_answer(outputs):
    counts = outputs["accept_token_num"]
    paths = [row[: n + 1].tolist() for row, n in zip(outputs["accept_index"], counts, strict=True)]
    named = [place for path in paths for place in path]
    return paths, {place: int(outputs["predicts"][place]) for place in named}


@pytest.mark.parametrize("pattern", SPEC.patterns)
@pytest.mark.parametrize("thresholds", [(1.0, 1.0), (0.5, 0.8), (0.0, 0.0), (0.3, 1.0)])
def test_oracle_agrees_with_the_contract_taken_one_child_at_a_time(pattern, thresholds):
    inputs = draw(pattern, single=thresholds[0], acc=thresholds[1])
    assert read_answer(answer(inputs)) == verify_slowly(inputs)


@pytest.mark.parametrize("seed", range(4))
def test_without_siblings_it_is_the_chain(seed):
    inputs = draw("normal", N=6, seed=seed, acc=0.8)
    links = link_chain(24, 6)
    inputs |= {"retrive_next_token": links[0], "retrive_next_sibling": links[1]}
    outputs = answer(inputs)
    shared = {name: inputs[name] for name in inputs if name.startswith(("target", "uniform"))}
    wanted = chain.oracle(inputs["candidates"], **shared, threshold_single=1.0, threshold_acc=0.8)
    paths, tokens = read_answer(outputs)
    assert outputs["accept_token_num"].tolist() == wanted["accept_length"].tolist()
    assert [tokens[path[-1]] for path in paths] == wanted["bonus_token"].tolist()


#: The trees and targets of sgl-kernel's own test, and the answers that it expects.
@pytest.mark.parametrize(
    ("threshold", "paths", "tokens"),
    [
        (1.0, [[0, 3, 4, 5], [6, 10, 11]], {0: 3, 3: 4, 4: 5, 5: 18, 6: 11, 10: 12, 11: 18}),
        (0.0, [[0, 1, 2], [6, 10, 11]], {0: 1, 1: 2, 2: 18, 6: 11, 10: 12, 11: 18}),
    ],
)
def test_sgl_kernels_worked_examples(threshold, paths, tokens):
    likely = np.full((2, 6), 18)
    likely[0, [0, 3, 4]] = 3, 4, 5
    likely[1, [0, 4]] = 11, 12
    inputs = {
        "candidates": np.array([np.arange(6), np.arange(7, 13)]),
        "retrive_index": np.arange(12).reshape(2, 6),
        "retrive_next_token": np.array([[1, 2, -1, 4, 5, -1], [4, 2, 3, -1, 5, -1]]),
        "retrive_next_sibling": np.array([[-1, 3, -1, -1, -1, -1], [-1, -1, -1, -1, 1, -1]]),
        "uniform_samples": np.full((2, 6), 0.4),
        "uniform_samples_for_final_sampling": np.full(2, 0.6),
        "target_probs": np.eye(20)[likely],
        "draft_probs": np.zeros((2, 6, 20)),
        "threshold_single": threshold,
        "threshold_acc": threshold,
        "deterministic": True,
    }
    outputs = answer(inputs)
    assert read_answer(outputs) == (paths, tokens)
    assert judge(inputs, outputs, strict=True).ok


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SPEC.patterns),
    st.integers(0, 2**32),
    st.integers(1, 9),
    st.integers(2, 70),
    st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]),
)
def test_oracle_passes_its_own_strict_judge(pattern, seed, nodes, vocabulary, single, acc):
    inputs = draw(pattern, 8, nodes, vocabulary, single, acc, seed)
    verdict = judge(inputs, answer(inputs), strict=True)
    assert verdict.ok, verdict.findings


#: Node 0 has the children 1, 2, 3; node 2 has the child 4.
CHILDREN, SIBLINGS = [1, -1, 4, -1, -1], [-1, 2, 3, -1, -1]
TARGET = [[0.25, 0.125, 0.125, 0.5]] + [[0.5, 0.25, 0.125, 0.125]] * 4


def make_small(tokens, coins, last, **thresholds):
    return make_inputs(tokens, CHILDREN, SIBLINGS, TARGET, coins, last, **thresholds)


@pytest.mark.parametrize(
    ("tokens", "coins", "last", "thresholds", "path", "final"),
    [
        # .25 < .3 <= .375: the second sibling by the running sum; its own coin then decides
        ((9, 0, 1, 2, 1), (0.3, 0.0, 0.9, 0.0, 0.0), 0.0, {}, [0, 2], 0),
        ((9, 0, 1, 2, 1), (0.375, 0.9, 0.25, 0.9, 0.9), 0.99, {}, [0, 2, 4], 3),
        # all three rejected: only token 3 is left
        ((9, 0, 1, 2, 1), (0.51, 0.0, 0.0, 0.0, 0.0), 0.0, {}, [0], 3),
        # a repeated token adds its mass again: .25, .5, .625
        ((9, 0, 0, 2, 1), (0.51, 0.0, 0.0, 0.0, 0.0), 0.0, {}, [0, 3], 0),
        ((9, 0, 0, 2, 1), (0.5, 0.0, 0.9, 0.0, 0.0), 0.0, {}, [0, 2], 0),
        # the third for its own probability, not for the sum's
        ((9, 0, 1, 3, 1), (0.9, 0.0, 0.0, 0.9, 0.0), 0.0, {"single": 0.5}, [0, 3], 0),
        ((9, 0, 1, 2, 1), (0.45, 0.0, 0.9, 0.0, 0.0), 0.0, {"acc": 0.5}, [0, 1], 0),
    ],
)
def test_rules(tokens, coins, last, thresholds, path, final):
    inputs = make_small(tokens, coins, last, **thresholds)
    outputs = answer(inputs)
    found, predicts = read_answer(outputs)
    assert found == [path]
    assert predicts[path[-1]] == final
    assert [predicts[node] for node in path[:-1]] == [tokens[node] for node in path[1:]]
    assert judge(inputs, outputs, strict=True).ok


def test_unspecified_entries_may_hold_anything():
    inputs = draw()
    outputs = answer(inputs)
    assert (outputs["predicts"] == reference.UNSPECIFIED).any()
    for garbage in (2147450879, -65538, 3):
        changed = {
            name: np.where(outputs[name] == reference.UNSPECIFIED, garbage, outputs[name])
            for name in ("predicts", "accept_index")
        }
        changed["accept_token_num"] = outputs["accept_token_num"]
        assert judge(inputs, changed, strict=True).ok
        for name, value in reference.erase_unspecified(inputs, changed).items():
            np.testing.assert_array_equal(value, outputs[name])


def test_what_must_be_written_is_the_path_as_far_as_it_is_certain():
    inputs = draw()
    outputs, due = answer(inputs), reference.find_due(inputs)
    for name, mask in due.items():
        np.testing.assert_array_equal(mask, outputs[name] != reference.UNSPECIFIED)
    bar = float(np.float32(0.3)) / 0.8
    doubtful = make_inputs([9, 0], [1, -1], [-1, -1], [[0.3, 0.7]] * 2, [bar, 0], 0.5, acc=0.8)
    assert reference.find_due(doubtful)["predicts"].tolist() == [True, False]


def test_a_sum_within_rounding_of_its_coin_may_go_either_way():
    shares = np.float32([0.1, 0.2, 0.7]).astype(float)
    inputs = make_inputs(
        [9, 0, 1], [1, -1, -1], [-1, 2, -1], [shares] * 3, [shares[:2].sum(), 0, 0], 0.99
    )
    accepted = {
        "predicts": np.array([1, -1, 2]),
        "accept_index": np.array([[0, 2, -1]]),
        "accept_token_num": np.array([1]),
    }
    rejected = {
        "predicts": np.array([2, -1, -1]),
        "accept_index": np.array([[0, -1, -1]]),
        "accept_token_num": np.array([0]),
    }
    assert judge(inputs, accepted).ok
    assert judge(inputs, rejected).ok
    # Two paths at once: counted as accepted, indexed as rejected.
    mixed = {**accepted, "accept_index": rejected["accept_index"]}
    assert not judge(inputs, mixed).ok
    inputs["uniform_samples"][0, 0] += 1e-6
    assert judge(inputs, rejected).ok
    assert set(judge(inputs, accepted).failed) == {"accept_token_num"}


def spoil(inputs, **changes):
    return {**answer(inputs), **changes}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda i, o: {"accept_token_num": o["accept_token_num"] + 1}, "accept_token_num"),
        (lambda i, o: {"accept_token_num": o["accept_token_num"] * 0}, "accept_token_num"),
        (lambda i, o: {"accept_index": o["accept_index"] % 7}, "accept_index"),
        (lambda i, o: {"accept_index": np.roll(o["accept_index"], 1, axis=1)}, "accept_index"),
        (lambda i, o: {"predicts": np.roll(o["predicts"], 1)}, "accepted_tokens"),
        (lambda i, o: {"predicts": np.roll(o["predicts"], 1)}, "last_token"),
        (lambda i, o: {"predicts": o["predicts"] + 40}, "last_token"),
        (lambda i, o: {"predicts": np.where(o["predicts"] < 0, -1, 0)}, "accepted_tokens"),
    ],
)
def test_spoiled_answers_are_refused(change, check):
    inputs = draw()
    assert check in judge(inputs, spoil(inputs, **change(inputs, answer(inputs)))).failed


def test_findings_name_the_place_and_the_reason():
    inputs = make_small((9, 0, 1, 2, 1), (0.625, 0, 0, 0, 0), 0.1)
    outputs = {
        "predicts": np.array([0, -1, -1, -1, -1]),
        "accept_index": np.array([[0, -1, -1, -1, -1]]),
        "accept_token_num": np.array([0]),
    }
    finding = judge(inputs, outputs).findings[0]
    assert (finding.check, finding.output, finding.index) == ("last_token", "predicts", (0,))
    assert finding.found == "token 0 (rejected as a draft, drawn again)"
    outputs["accept_token_num"] = np.array([1])
    finding = judge(inputs, outputs).findings[0]
    assert finding.check == "accept_token_num"
    assert "token 2 is rejected: coin 0.625 > 0.5, its probability is 0.125" in finding.wanted


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(SPEC.patterns), st.integers(1, 5))
def test_no_answer_crashes_the_judge(seed, pattern, nodes):
    rng = np.random.default_rng(seed)
    garbage = [-(2**31), -65538, -1, 0, 1, 2, 39, 40, 2147450879, 2**31 - 1]
    outputs = {
        "predicts": rng.choice(garbage, 12 * nodes).astype(np.int32),
        "accept_index": rng.choice(garbage, (12, nodes)).astype(np.int32),
        "accept_token_num": rng.choice(garbage, 12).astype(np.int32),
    }
    inputs = draw(pattern, 12, nodes)
    assert not judge(inputs, outputs).ok
    reference.erase_unspecified(inputs, outputs)


def draw_last(inputs, walk_inputs):
    """The right answer to other inputs, whose last tokens are drawn from these inputs' rows."""
    outputs = answer(walk_inputs)
    nodes = np.maximum(reference.read_path(inputs["retrive_index"], outputs), 0)
    rows = np.arange(len(nodes))
    last = nodes[rows, outputs["accept_token_num"]]
    prefix = np.cumsum(inputs["target_probs"][rows, last], axis=1)
    goal = inputs["uniform_samples_for_final_sampling"] * prefix[:, -1]
    predicts = outputs["predicts"].copy()
    predicts[inputs["retrive_index"][rows, last]] = (prefix > goal[:, None]).argmax(axis=1)
    return {**outputs, "predicts": predicts}


def test_a_right_sampler_is_lossless_at_both_positions():
    inputs = draw("lossless", 4096, 4, 128)
    verdict = judge(inputs, answer(inputs))
    assert verdict.ok
    detail = next(check.detail for check in verdict.checks if check.name == "lossless")
    assert detail.startswith("first token: n=4096")
    assert "; second token: n=" in detail


def test_keeping_rejected_drafts_is_caught_by_replay_and_by_distribution_alone():
    inputs = draw("lossless", 4096, 4, 128)
    kept = draw_last(inputs, inputs)
    assert set(judge(inputs, kept).failed) == {"last_token", "lossless"}
    first = kept["predicts"][inputs["retrive_index"][:, 0]]
    assert sampling.measure_fit(first, inputs["target_probs"][0, 0]).p_value < sampling.ALPHA


def test_repeated_siblings_are_not_lossless_and_not_tested_for_it():
    inputs = draw("lossless", 2000, 4, 60)
    assert "lossless" in [check.name for check in judge(inputs, answer(inputs)).checks]
    twice = inputs["retrive_next_sibling"][:, 1] >= 0
    sibling = inputs["retrive_next_sibling"][twice, 1]
    assert sibling.size
    inputs["candidates"][twice, sibling] = inputs["candidates"][twice, 1]
    verdict = judge(inputs, answer(inputs))
    assert verdict.ok
    assert "lossless" not in [check.name for check in verdict.checks]
