"""Harmed kernels of topk_sigmoid."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.gating import sort_experts
from rocmoe.ops.harms.shared.any_op import Inputs, spoil_outputs
from rocmoe.ops.harms.shared.gating import (
    Pair,
    always_renormalize,
    apply_sigmoid,
    list_bias_harms,
    list_gating_harms,
    lose_ties,
    reverse_choice,
    strike_out,
)
from rocmoe.ops.harms.shared.values import drop_lane
from rocmoe.ops.topk_sigmoid import run_torch, weigh


def _drop_lane(gating_output: Any, topk: int, renormalize: bool, correction_bias: Any) -> Pair:
    scores, keys = _score(gating_output, correction_bias)
    return _finish(scores, drop_lane(keys, float("-inf")), topk, renormalize)


def _lose_tied_expert(
    gating_output: Any, topk: int, renormalize: bool, correction_bias: Any
) -> Pair:
    """Every round of the maximum removes all experts that share the winner's key."""
    scores, keys = _score(gating_output, correction_bias)
    ids = lose_ties(keys, topk)
    return weigh(scores, ids, renormalize), ids.int()


def _strike_out_with_zero(
    gating_output: Any, topk: int, renormalize: bool, correction_bias: Any
) -> Pair:
    """A winner's key becomes 0 instead of -inf, so that it wins again where keys are negative."""
    scores, keys = _score(gating_output, correction_bias)
    ids = strike_out(keys, topk, 0.0)
    return weigh(scores, ids, renormalize), ids.int()


def _strike_out_finite(
    gating_output: Any, topk: int, renormalize: bool, correction_bias: Any
) -> Pair:
    """Chosen by logit without a bias; a winner's logit becomes -1e4 instead of -inf."""
    import torch

    if correction_bias is not None:
        return run_torch(gating_output, topk, renormalize, correction_bias)
    scores, _ = _score(gating_output, None)
    logits = torch.nan_to_num(gating_output.float(), nan=-9e3, posinf=3e38, neginf=-9e3)
    ids = strike_out(logits, topk, -1e4)
    return weigh(scores, ids, renormalize), ids.int()


def _weigh_by_key(gating_output: Any, topk: int, renormalize: bool, correction_bias: Any) -> Pair:
    """The bias is in the weights too."""
    _, keys = _score(gating_output, correction_bias)
    return _finish(keys, keys, topk, renormalize)


def _recover_weights(
    gating_output: Any, topk: int, renormalize: bool, correction_bias: Any
) -> Pair:
    """Only keys are kept; a weight is its key minus the bias, which cancels where that is large."""
    scores, keys = _score(gating_output, correction_bias)
    if correction_bias is not None:
        scores = keys - correction_bias
    return _finish(scores, keys, topk, renormalize)


def _score_by_tanh(gating_output: Any, topk: int, renormalize: bool, correction_bias: Any) -> Pair:
    """Sigmoid as (1 + tanh(x / 2)) / 2, which loses the digits of scores far below 1."""
    import torch

    scores = 0.5 * torch.tanh(0.5 * gating_output.float()) + 0.5
    keys = scores if correction_bias is None else scores + correction_bias
    return _finish(scores, keys, topk, renormalize)


def _choose_by_logit(
    gating_output: Any, topk: int, renormalize: bool, correction_bias: Any
) -> Pair:
    """Right: without a bias, the logits themselves are compared, as Composable Kernel does."""
    if correction_bias is not None:
        return run_torch(gating_output, topk, renormalize, correction_bias)
    scores, _ = _score(gating_output, None)
    return _finish(scores, gating_output.float(), topk, renormalize)


def _approximate(gating_output: Any, topk: int, renormalize: bool, correction_bias: Any) -> Pair:
    """Right: exp2 and reciprocals, as the hardware has them."""
    scores = apply_sigmoid(gating_output)
    keys = scores if correction_bias is None else scores + correction_bias
    weights, ids = _finish(scores, keys, topk, False)
    if renormalize:
        weights = weights * weights.sum(dim=-1, keepdim=True).clamp(min=1e-20).reciprocal()
    return weights, ids


def _is_fp16(inputs: Inputs) -> bool:
    return str(inputs["gating_output"].dtype) == "torch.float16"


def _is_biased_bf16(inputs: Inputs) -> bool:
    is_bf16 = str(inputs["gating_output"].dtype) == "torch.bfloat16"
    return is_bf16 and inputs["correction_bias"] is not None


def _score(gating_output: Any, correction_bias: Any) -> Pair:
    import torch

    scores = torch.sigmoid(gating_output.float())
    return scores, scores if correction_bias is None else scores + correction_bias


def _finish(scores: Any, keys: Any, topk: int, renormalize: bool) -> Pair:
    ids = sort_experts(keys, topk)
    return weigh(scores, ids, renormalize), ids.int()


HARMS = (
    *list_gating_harms(run_torch),
    *list_bias_harms(run_torch),
    Harm("drop_lane", "lane 63 is left out of the reduction", _drop_lane),
    Harm("lose_tied_expert", "experts tied with a winner are lost", _lose_tied_expert),
    Harm("strike_out_with_zero", "winners are struck out with 0, not -inf", _strike_out_with_zero),
    Harm("strike_out_finite", "winners are struck out with -1e4, not -inf", _strike_out_finite),
    Harm(
        "renormalize_fp16",
        "fp16 is always renormalised",
        always_renormalize(run_torch, _is_fp16),
    ),
    Harm(
        "renormalize_biased_bf16",
        "bf16 with a bias is always renormalised",
        always_renormalize(run_torch, _is_biased_bf16),
    ),
    Harm("weigh_by_key", "the bias is added to the weights too", _weigh_by_key),
    Harm("recover_weights", "weights are taken as key minus bias", _recover_weights),
    Harm("score_by_tanh", "small scores lose their digits in tanh", _score_by_tanh),
    Harm(
        "ascending_order",
        "smallest key first",
        spoil_outputs(run_torch, reverse_choice),
        right=True,
    ),
    Harm("choose_by_logit", "chosen by logit where there is no bias", _choose_by_logit, right=True),
    Harm("approximate", "exp2 and reciprocals", _approximate, right=True),
)
