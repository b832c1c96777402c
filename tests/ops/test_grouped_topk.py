import math

import pytest
import torch

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.patterns.logits import SHIFTED
from rocmoe.ops.grouped_topk import SPEC, run_torch
from rocmoe.ops.topk_sigmoid import SPEC as TOPK_SIGMOID
from rocmoe.ops.topk_sigmoid import run_torch as run_topk_sigmoid

V3 = {
    "num_experts": 256,
    "topk": 8,
    "scoring_func": "sigmoid",
    "correction_bias": True,
    "num_expert_group": 8,
    "topk_group": 4,
    "renormalize": True,
    "routed_scaling_factor": 2.5,
    "num_fused_shared_experts": 1,
}
UNGROUPED = {**V3, "num_expert_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0}
LLAMA4 = {
    "num_experts": 16,
    "topk": 1,
    "scoring_func": "sigmoid",
    "correction_bias": False,
    "renormalize": False,
    "routed_scaling_factor": 1.0,
}


def make_case(**changes):
    values = {"T": 4, "E": 64, "k": 8, "G": 8, "kept": 4, "factor": 2.5, "shared": 0, **changes}
    return parse_case(
        "grouped_topk:T={T},E={E},k={k}:bf16:renormalize=true,correction_bias=none,"
        "num_expert_group={G},topk_group={kept},scoring_func=sigmoid,"
        "routed_scaling_factor={factor},num_fused_shared_experts={shared}"
        ":normal:contiguous".format(**values)
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"G": 7}, "does not divide"),
        ({"G": 0}, "does not divide"),
        ({"kept": 9}, "topk_group=9"),
        ({"kept": 0}, "topk_group=0"),
        ({"k": 33}, "is not in [1, 32]"),
        ({"k": 2, "shared": 2}, "less 2 shared experts"),
        ({"shared": -1}, "is negative"),
        ({"factor": 0.0}, "routed_scaling_factor"),
        ({"factor": math.inf}, "routed_scaling_factor"),
    ],
)
def test_impossible_cases_are_refused(changes, words):
    with pytest.raises(RocmoeError) as refusal:
        SPEC.check_case(make_case(**changes))
    assert words in str(refusal.value)


def test_k_may_exceed_the_experts_by_the_shared_ones():
    SPEC.check_case(make_case(k=66, shared=2, kept=8))


@pytest.mark.parametrize("scoring_func", ["softmax", "sigmoid", "sqrtsoftplus"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("biased", [True, False])
def test_torch_names_usable_experts_whatever_a_row_holds(scoring_func, bad, biased):
    logits = torch.randn(32, 24, generator=torch.Generator().manual_seed(0))
    logits[::2][torch.rand(16, 24, generator=torch.Generator().manual_seed(1)) < 0.5] = bad
    logits[::4] = bad
    bias = torch.linspace(-1.0, 1.0, 24) if biased else None
    _, ids = run_torch(logits, bias, 8, True, 4, 2, scoring_func, 2.5, 1)
    assert ids[:, 7].tolist() == [24] * 32
    for row in ids[:, :7].tolist():
        assert len(set(row)) == 7
        assert set(row) <= set(range(24))


def test_one_group_is_no_group():
    logits, bias = torch.randn(32, 24), torch.randn(24)
    grouped = run_torch(logits, bias, 4, True, 1, 1, "sigmoid", 1.0, 0)
    plain = run_topk_sigmoid(logits, 4, True, bias)
    assert torch.equal(grouped[1], plain[1])
    torch.testing.assert_close(grouped[0], plain[0])


def test_a_model_with_groups_and_a_factor_is_grouped():
    sizes, params = SPEC.from_model(V3)
    assert sizes == {"E": 256, "k": 8}
    assert params == {
        "renormalize": True,
        "correction_bias": "small",
        "num_expert_group": 8,
        "topk_group": 4,
        "scoring_func": "sigmoid",
        "routed_scaling_factor": 2.5,
        "num_fused_shared_experts": 0,
    }
    assert TOPK_SIGMOID.from_model(V3) is None


def test_a_bias_without_groups_means_one_group():
    absent = {k: v for k, v in UNGROUPED.items() if k not in ("num_expert_group", "topk_group")}
    assert SPEC.from_model(absent) == SPEC.from_model(UNGROUPED)
    assert TOPK_SIGMOID.from_model(absent) == TOPK_SIGMOID.from_model(UNGROUPED)
    _, params = TOPK_SIGMOID.from_model(UNGROUPED)
    assert params == {"renormalize": True, "correction_bias": "small"}


def test_a_plain_sigmoid_model_is_not_grouped():
    assert SPEC.from_model(LLAMA4) is None
    _, params = TOPK_SIGMOID.from_model(LLAMA4)
    assert params == {"renormalize": False, "correction_bias": None}


@pytest.mark.parametrize(
    ("change", "grouped"),
    [
        ({"scoring_func": "softmax"}, False),
        ({"scoring_func": "sqrtsoftplus"}, True),
        ({"routed_scaling_factor": 2.0}, True),
        ({"scoring_func": "softmax", "num_expert_group": 8, "topk_group": 3}, True),
    ],
)
def test_what_sigmoid_gating_cannot_compute_is_left_to_grouped_or_softmax(change, grouped):
    model = {**LLAMA4, **change}
    assert TOPK_SIGMOID.from_model(model) is None
    assert (SPEC.from_model(model) is not None) == grouped


def test_a_dense_model_has_no_routing():
    assert SPEC.from_model({"vocab_size": 151936}) is None
    assert TOPK_SIGMOID.from_model({"vocab_size": 151936}) is None


@pytest.mark.parametrize(
    ("scoring", "reason"), [("softmax", None), ("sigmoid", "0"), ("sqrtsoftplus", "0")]
)
@pytest.mark.parametrize("pattern", SHIFTED)
def test_scores_far_below_zero_prove_nothing_but_those_of_softmax(scoring, reason, pattern):
    case_id = make_case().id.replace("sigmoid", scoring).replace("normal", pattern)
    found = SPEC.degenerate(parse_case(case_id))
    assert found is None if reason is None else reason in found
