"""What the renormalisation ops share: patterns, drawn parameters, torch filters, reasons."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.harm import find_harm
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.inputs import draw_inputs, round_to
from rocmoe.ops.core.patterns.probabilities import PATTERNS
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.families.renorm import keep_top_k, keep_top_p, make_row, mark_kept
from rocmoe.profiles.examination import examine
from rocmoe.references.judging.support import find_specified

OPS = ("top_k_renorm_probs", "top_p_renorm_probs", "top_k_top_p_renorm_probs")
PARAMS = {"top_k": 10, "top_p": 0.5, "filter_apply_order": "joint"}


def make_case(op, rows=7, vocabulary=500, pattern="normal", **changed):
    spec = load_op(op)
    params = {name: changed.get(name, PARAMS[name]) for name in spec.params}
    return spec, spec.make_case(make_row("quick", rows, vocabulary, pattern, "", **params))


@pytest.mark.parametrize("vocabulary", [1, 2, 111, 1024, 4099])
@pytest.mark.parametrize("name", sorted(set(PATTERNS) - {"unnormalised", "nan_rows"}))
def test_rows_are_distributions_after_rounding(name, vocabulary):
    probs = round_to(PATTERNS[name].fill(np.random.default_rng(0), 5, vocabulary), "fp32")
    assert probs.shape == (5, vocabulary)
    assert find_specified(probs).all()
    assert (probs[0] > 0).any()


@pytest.mark.parametrize(
    ("name", "distinct"), [("tie_classes", 3), ("all_equal", 1), ("one_hot", 2), ("halving", 16)]
)
def test_ties_survive_the_rounding(name, distinct):
    probs = round_to(PATTERNS[name].fill(np.random.default_rng(1), 4, 999), "fp32")
    assert [len(np.unique(row)) for row in probs] == [distinct] * 4


def test_bf16_derived_rows_tie_at_every_boundary():
    probs = round_to(PATTERNS["bf16_ties"].fill(np.random.default_rng(2), 8, 1024), "fp32")
    ranked = -np.sort(-probs, axis=1)
    shared = ranked[:, 20:500] == ranked[:, 21:501]
    assert (shared.mean(axis=1) > 0.1).all()


def test_no_pattern_but_the_two_declared_ones_is_out_of_contract():
    reasons = {name: load_op(OPS[1]).out_of_contract(make_case(OPS[1], pattern=name)[1])
               for name in PATTERNS}  # fmt: skip
    assert {name for name, reason in reasons.items() if reason} == {"unnormalised", "nan_rows"}


def test_per_row_parameters_mix_the_edges():
    spec, case = make_case(OPS[2], rows=70, top_k="per_row", top_p="per_row")
    inputs = draw_inputs(spec, case)
    assert {1, 5, 499, 500, 1 << 30} <= set(inputs["top_k"].tolist())
    assert {0.0, 0.5, 1.0 - 2.0**-24, 1.0} <= set(inputs["top_p"].tolist())
    other = draw_inputs(spec, case, draw=1)
    assert (inputs["top_k"] != other["top_k"]).any()


@pytest.mark.parametrize("vocabulary", [1, 2, 3])
def test_per_row_top_k_is_positive_in_the_smallest_vocabularies(vocabulary):
    spec, case = make_case(OPS[0], rows=14, vocabulary=vocabulary, top_k="per_row")
    assert draw_inputs(spec, case)["top_k"].min() >= 1


@pytest.mark.parametrize("op", OPS)
def test_one_row_and_one_token(op):
    for rows, vocabulary in ((1, 1), (1, 2), (3, 1)):
        spec, case = make_case(op, rows, vocabulary)
        verdict = examine(spec, case, _torch(spec), Device("cpu"), strict=True).verdict
        assert verdict.ok, verdict.findings


def test_the_filters_keep_ties():
    probs = torch.tensor([[0.1, 0.3, 0.2, 0.2, 0.2]])
    kept = [[0.0, 0.3, 0.2, 0.2, 0.2]]
    torch.testing.assert_close(keep_top_k(probs, 2), torch.tensor(kept), rtol=0, atol=0)
    torch.testing.assert_close(keep_top_p(probs, 0.4), torch.tensor(kept), rtol=0, atol=0)
    top_k, top_p = torch.tensor([2], dtype=torch.int32), torch.tensor([0.4])
    assert torch.equal(keep_top_k(probs, top_k), keep_top_k(probs, 2))
    assert torch.equal(keep_top_p(probs, top_p), keep_top_p(probs, 0.4))


def test_the_filters_at_their_ends():
    probs = torch.softmax(torch.randn(4, 99, generator=torch.Generator().manual_seed(0)), dim=1)
    assert torch.equal(keep_top_k(probs, 1 << 30), probs)
    assert torch.equal(keep_top_p(probs, 1.0), probs)
    assert torch.equal(keep_top_p(probs, 0.0), keep_top_k(probs, 1))


@pytest.mark.parametrize("op", OPS[::2])
def test_top_k_that_keeps_nothing_is_out_of_contract(op):
    spec, case = make_case(op, top_k=0)
    assert "top_k" in spec.out_of_contract(case)
    assert examine(spec, case, _torch(spec), Device("cpu"), strict=True).verdict.ok


@pytest.mark.parametrize("op", OPS)
def test_an_empty_vocabulary_is_refused(op):
    with pytest.raises(RocmoeError, match="V=0"):
        make_case(op, vocabulary=0)


@pytest.mark.parametrize("op", OPS[1:])
def test_a_top_p_that_is_no_number_is_refused(op):
    with pytest.raises(RocmoeError, match="not a number"):
        make_case(op, top_p=float("nan"))


@pytest.mark.parametrize("op", OPS)
def test_a_model_gives_its_vocabulary(op):
    spec = load_op(op)
    sizes, params = spec.from_model({"vocab_size": 151936})
    assert sizes == {"V": 151936}
    assert list(params) == list(spec.params)
    assert spec.from_model({"num_experts": 256}) is None


def test_runs_of_top_k_are_compared_by_what_they_keep():
    probs = {"probs": np.array([[0.5, 1e-42, 0.0, 0.5]])}
    one = {"renorm_probs": np.array([[0.5, 1e-42, 0.0, 0.5]])}
    near = {"renorm_probs": np.array([[0.5000001, 0.0, 0.0, 0.4999999]])}
    assert np.array_equal(*(mark_kept(probs, outputs)["renorm_probs"] for outputs in (one, near)))
    other = {"renorm_probs": np.array([[1.0, 0.0, 0.0, 0.0]])}
    assert mark_kept(probs, other)["renorm_probs"].tolist() == [[True, False, False, False]]


@pytest.mark.parametrize("op", OPS[1:])
def test_runs_of_top_p_may_differ_by_the_token_that_rounding_decides(op):
    """Half of the mass is reached within rounding of p, by float32 sums above or below it."""
    spec, case = make_case(op, rows=2, vocabulary=99, top_k=99, top_p=0.5)
    near = np.full((2, 99), 0.25 / 97)
    near[:, :2] = 0.5 - 1e-9, 0.25
    near = near / near.sum(axis=1, keepdims=True)
    spec = replace(spec, draw=lambda case, rng: {**load_op(op).draw(case, rng), "probs": near})
    calls = []

    def wander(**inputs):
        calls.append(inputs)
        step = 1e-7 if len(calls) % 3 else -1e-7
        return spec.run_torch(**{**inputs, "top_p": inputs["top_p"] + step})

    kernel = Implementation(op, "test", wander)
    assert examine(spec, case, kernel, Device("cpu"), strict=False).verdict.ok
    verdict = examine(spec, case, kernel, Device("cpu"), strict=True).verdict
    assert verdict.failed == ("repeatable",)


def test_a_finding_of_top_k_names_the_tie_cut():
    spec, case = make_case(OPS[0], pattern="tie_classes", top_k=5)
    candidate = Implementation(spec.name, "harm", find_harm(spec.name, "cut_ties").function)
    verdict = examine(spec, case, candidate, Device("cpu"), strict=False).verdict
    assert verdict.failed == ("ties_kept",)
    assert all("tie cut" in finding.wanted for finding in verdict.findings)


def _torch(spec):
    return Implementation(spec.name, "torch", spec.run_torch)
