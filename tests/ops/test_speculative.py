import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.patterns.drafts import CHAIN_PATTERNS, PATTERNS
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.families.speculative import add_siblings, draw_tokens
from rocmoe.ops.harms.chain_speculative_sampling import HARMS as CHAIN_HARMS
from rocmoe.profiles.examination import examine
from rocmoe.references.judging import replay as replaying
from rocmoe.references.judging import sampling

CHAIN = load_op("chain_speculative_sampling")
TREE = load_op("tree_speculative_sampling_target_only")
BOTH = pytest.mark.parametrize("spec", [CHAIN, TREE], ids=["chain", "tree"])


def find_case(spec, pattern, **sizes):
    row = next(row for row in spec.cases if row.pattern == pattern)
    return spec.make_case(replace(row, sizes={**row.sizes, **sizes}))


def to_torch(inputs):
    return {
        name: torch.from_numpy(np.float32(value) if value.dtype.kind == "f" else value)
        if isinstance(value, np.ndarray)
        else value
        for name, value in inputs.items()
    }


def test_all_declared_cases_raise_a_false_alarm_less_than_once_in_a_million_runs():
    cases = [row for spec in (CHAIN, TREE) for row in spec.cases if row.pattern == "lossless"]
    assert len(cases) >= 4
    assert sampling.false_alarm_rate(len(cases)) <= 1e-6


@pytest.mark.parametrize(("changing", "times"), [(False, 2), (True, 3)])
def test_an_examination_judges_as_many_draws_as_the_false_alarm_rate_counts(changing, times):
    """The third call has the coins of the first again; it is judged where its answer is another."""
    judged, calls = [], []

    def judge(inputs, outputs, **more):
        judged.append(inputs["uniform_samples"].tobytes())
        return CHAIN.judge(inputs, outputs, **more)

    def run(**inputs):
        calls.append(1)
        accept_length, bonus_token = CHAIN.run_torch(**inputs)
        return accept_length, bonus_token + (changing and len(calls) == 3)

    run.__signature__ = inspect.signature(CHAIN.run_torch)
    spec = replace(CHAIN, judge=judge)
    kernel = Implementation(CHAIN.name, "torch", run)
    case = spec.make_case(spec.cases[0])
    verdict = examine(spec, case, kernel, parse_device("cpu"), strict=True).verdict
    assert verdict.ok is not changing
    assert len(judged) == times
    assert len(set(judged)) == sampling.DRAWS


def test_runs_of_a_chain_are_not_compared_beyond_what_the_judge_asks():
    inputs = draw_inputs(CHAIN, CHAIN.make_case(CHAIN.cases[0]))
    assert CHAIN.canonical(inputs, CHAIN.oracle(**inputs)) == {}


def test_runs_of_a_tree_are_compared_where_it_has_to_be_deterministic():
    inputs = draw_inputs(TREE, find_case(TREE, "normal"))
    outputs = TREE.oracle(**inputs)
    assert TREE.canonical({**inputs, "deterministic": False}, outputs) == {}
    path = TREE.canonical({**inputs, "deterministic": True}, outputs)
    assert set(path) == set(outputs)
    outputs["predicts"][inputs["retrive_index"][0, 0]] += 1
    changed = TREE.canonical({**inputs, "deterministic": True}, outputs)
    assert (changed["predicts"] != path["predicts"]).sum() == 1


@BOTH
def test_some_drafts_have_exactly_the_threshold_and_a_coin_above_it(spec):
    row = next(row for row in spec.cases
               if row.pattern == "cdf_edges" and row.params["threshold_single"] == 0.5)  # fmt: skip
    inputs = draw_inputs(spec, spec.make_case(row))
    edge = inputs["target_probs"][:, 0].max(axis=1) == 0.5
    hot = inputs["target_probs"][:, 0].argmax(axis=1)
    met = edge & (inputs["candidates"][:, 1] == hot) & (inputs["uniform_samples"][:, 0] > 0.5)
    assert met.any()


@BOTH
def test_lossless_cases_test_both_positions(spec):
    case = find_case(spec, "lossless")
    inputs = draw_inputs(spec, case)
    verdict = spec.judge(inputs, spec.oracle(**inputs), dtype="fp32", strict=True)
    details = [check.detail for check in verdict.checks if check.name == "lossless"]
    assert len(details) == 1
    assert details[0].count(" token: n=") == sampling.POSITIONS


@BOTH
def test_only_the_lossless_pattern_is_ever_tested_for_distribution(spec):
    for row in spec.cases:
        if row.suite == "full" or row.pattern == "lossless":
            continue
        case = spec.make_case(row)
        inputs = draw_inputs(spec, case)
        checks = spec.judge(inputs, spec.oracle(**inputs), dtype="fp32", strict=True).checks
        assert "lossless" not in [check.name for check in checks]


def test_a_second_look_decides_and_only_it_counts(monkeypatch):
    """A right sampler with a p-value of 0.5 asks twice when every p-value is called doubtful."""
    case = find_case(CHAIN, "lossless", B=1200)
    kernel = Implementation(CHAIN.name, "torch", CHAIN.run_torch)
    monkeypatch.setattr(sampling, "STAGE_ONE", 1.0)
    verdict = examine(CHAIN, case, kernel, parse_device("cpu"), strict=True).verdict
    assert verdict.ok
    details = [check.detail for check in verdict.checks if check.name == "lossless"]
    assert len(details) == 1
    assert details[0].startswith("first token: n=12000")


def test_the_aiter_forks_rule_fails_the_second_look_too():
    case = find_case(CHAIN, "lossless", B=1200)
    harm = next(harm for harm in CHAIN_HARMS if harm.name == "keep_rejected")
    kernel = Implementation(CHAIN.name, "harm", harm.function)
    verdict = examine(CHAIN, case, kernel, parse_device("cpu"), strict=False).verdict
    assert {"last_token", "lossless"} <= set(verdict.failed)
    check = next(check for check in verdict.checks if check.name == "lossless")
    assert "n=12000" in check.detail


@pytest.mark.parametrize(
    ("spec", "pattern"),
    [(CHAIN, name) for name in CHAIN_PATTERNS] + [(TREE, name) for name in PATTERNS],
    ids=lambda value: value if isinstance(value, str) else value.name[:5],
)
def test_drawn_inputs_are_what_the_contract_asks_for(spec, pattern):
    case = spec.make_case(replace(spec.cases[0], pattern=pattern, sizes={"B": 64, "N": 6, "V": 50}))
    inputs = draw_inputs(spec, case)
    target = inputs["target_probs"]
    assert (target >= 0).all()
    np.testing.assert_array_equal(target, target.astype(np.float32))
    sums = target.sum(axis=2)
    rows = np.abs(sums - 1) < 1e-5
    if pattern == "zero_rows":
        assert (rows | (sums == 0) | (sums == 0.25)).all()
        assert (sums == 0).any()
    else:
        assert rows.all()
    for name in ("uniform_samples", "uniform_samples_for_final_sampling"):
        assert ((inputs[name] >= 0) & (inputs[name] < 1)).all()
        np.testing.assert_array_equal(inputs[name], inputs[name].astype(np.float32))
    assert ((inputs["candidates"] >= 0) & (inputs["candidates"] < 50)).all()


@BOTH
@pytest.mark.parametrize(
    ("pattern", "low", "high"),
    [("all_accepted", 1.0, 1.0), ("all_rejected", 0.0, 0.2), ("normal", 0.2, 0.9)],
)
def test_patterns_accept_as_many_drafts_as_they_say(spec, pattern, low, high):
    row = replace(spec.cases[0], pattern=pattern, sizes={"B": 256, "N": 4, "V": 500})
    inputs = draw_inputs(spec, spec.make_case(row))
    outputs = spec.oracle(**inputs)
    count = outputs["accept_length" if spec is CHAIN else "accept_token_num"]
    if spec is TREE and pattern == "all_accepted":
        walk = replaying.replay(replay_inputs(inputs))
        assert not walk.rejected.any()
    else:
        assert low <= np.mean(count > 0) <= high


def replay_inputs(inputs):
    return replaying.Drafts(
        inputs["candidates"],
        inputs["retrive_next_token"],
        inputs["retrive_next_sibling"],
        inputs["uniform_samples"],
        inputs["target_probs"],
        1.0,
        1.0,
    )


def test_edge_coins_are_decided_without_rounding_and_differ_between_the_rules():
    case = find_case(CHAIN, "cdf_edges")
    inputs = draw_inputs(CHAIN, case)
    coins, target = inputs["uniform_samples"][:, 0], inputs["target_probs"][:, 0]
    bars = target[np.arange(len(coins)), inputs["candidates"][:, 1]]
    assert (coins == bars).sum() > 3
    assert (coins < bars).any()
    assert (coins > bars).any()
    assert (target.sum(axis=1) == 1.0).all()
    np.testing.assert_array_equal(target * 4096 % 1, 0)


def test_trees_are_well_formed():
    inputs = draw_inputs(TREE, find_case(TREE, "scattered_index", B=200, N=9))
    drafts = replay_inputs(inputs)
    parents = replaying.find_parents(drafts)
    assert (parents[:, 0] == -1).all()
    assert ((parents[:, 1:] >= 0) & (parents[:, 1:] < np.arange(1, 9))).all()
    assert sorted(inputs["retrive_index"].ravel()) == list(range(200 * 9))
    assert (inputs["retrive_next_sibling"] >= 0).mean() > 0.2
    assert not inputs["draft_probs"].any()
    siblings = [
        (row, parents[row, node], inputs["candidates"][row, node])
        for row in range(200)
        for node in range(1, 9)
    ]
    assert len(set(siblings)) == len(siblings)


def test_sums_of_siblings_start_anew_at_every_parent():
    target = np.broadcast_to(np.array([0.1, 0.2, 0.3, 0.4]), (1, 5, 4))
    sums = add_siblings(target, np.array([[0, 1, 2, 3, 0]]), np.array([[-1, 0, 0, 1, 1]]))
    np.testing.assert_allclose(sums, [[0.0, 0.2, 0.5, 0.4, 0.5]])


def test_torch_draw_takes_the_first_prefix_beyond_and_falls_back_to_the_last_token():
    mass = torch.tensor([[0.25, 0.0, 0.75, 0.0], [0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]])
    drawn = [draw_tokens(mass, torch.full((3,), coin)).tolist() for coin in (0.0, 0.25, 0.5)]
    assert drawn == [[0, 1, 3], [2, 1, 3], [2, 2, 3]]


@BOTH
def test_torch_reads_strides_and_leaves_its_inputs_alone(spec):
    inputs = to_torch(draw_inputs(spec, find_case(spec, "normal", B=9, N=5, V=33)))
    wide = torch.randn(9, 5, 50)
    wide[:, :, :33] = inputs["target_probs"]
    before = {name: torch.as_tensor(value).clone() for name, value in inputs.items()}
    dense = spec.run_torch(**inputs)
    strided = spec.run_torch(**{**inputs, "target_probs": wide[:, :, :33]})
    assert all(torch.equal(a, b) for a, b in zip(dense, strided, strict=True))
    for name, value in inputs.items():
        assert torch.equal(torch.as_tensor(value), before[name]), name


@BOTH
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threshold_acc": 1.5}, "threshold_acc=1.5 is not in [0, 1]"),
        ({"threshold_single": -0.5}, "threshold_single=-0.5 is not in [0, 1]"),
    ],
)
def test_thresholds_outside_the_unit_interval_are_refused(spec, change, words):
    row = spec.cases[0]
    with pytest.raises(RocmoeError, match=words.replace("[", r"\[").replace("]", r"\]")):
        spec.make_case(replace(row, params={**row.params, **change}))


@BOTH
@pytest.mark.parametrize("size", ["N", "V"])
def test_a_case_has_a_candidate_and_a_token(spec, size):
    row = spec.cases[0]
    with pytest.raises(RocmoeError, match=f"{size}=0; wanted at least 1"):
        spec.make_case(replace(row, sizes={**row.sizes, size: 0}))


@BOTH
def test_a_model_gives_its_vocabulary(spec):
    sizes, params = spec.from_model({"vocab_size": 129_280, "num_experts": 256})
    assert sizes == {"N": 4 if spec is CHAIN else 6, "V": 129_280}
    assert params["threshold_single"] == params["threshold_acc"] == 1.0
    assert set(params) == set(spec.params)
    assert spec.from_model({"num_experts": 8}) is None
