"""Harmed kernels of grouped_topk."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.gating import sort_experts
from rocmoe.ops.grouped_topk import (
    finish,
    keep_groups,
    mask_groups,
    run_torch,
    score,
    score_groups,
)
from rocmoe.ops.harms.shared.any_op import Inputs, Kernel, edit_inputs, spoil_outputs
from rocmoe.ops.harms.shared.gating import (
    LOG2_E,
    Pair,
    apply_sigmoid,
    clamp_maximum,
    list_bias_harms,
    list_gating_harms,
    lose_ties,
)
from rocmoe.ops.harms.shared.values import drop_lane

#: Rows from which `drop_factor_for_many` drops the factor.
MANY_TOKENS = 2048


@dataclass(frozen=True)
class _Kernel:
    """run_torch in replaceable steps, called with the canonical inputs by keyword."""

    score: Callable[[Any, str], Any] = score
    edit_keys: Callable[[Any], Any] = lambda keys: keys
    #: Whether groups are scored by a sum, given whether there is a bias.
    by_sum: Callable[[bool], bool] = lambda biased: biased
    keep_groups: Callable[[Any, int], Any] = keep_groups
    mask: float = float("-inf")
    choose: Callable[[Any, int], Any] = sort_experts
    #: (scores, keys, bias) -> what a chosen expert weighs.
    weigh: Callable[[Any, Any, Any], Any] = lambda scores, keys, bias: scores

    def __call__(self, **inputs: Any) -> Pair:
        logits, bias = inputs["gating_output"], inputs["correction_bias"]
        shared = inputs["num_fused_shared_experts"]
        scores = self.score(logits, inputs["scoring_func"])
        keys = self.edit_keys(scores if bias is None else scores + bias)
        groups = score_groups(keys, inputs["num_expert_group"], self.by_sum(bias is not None))
        kept = self.keep_groups(groups, inputs["topk_group"])
        ids = self.choose(mask_groups(keys, kept, self.mask), inputs["topk"] - shared)
        weights = self.weigh(scores, keys, bias)
        return finish(weights, ids, inputs["renormalize"], inputs["routed_scaling_factor"], shared)


def _lose_tied_groups(group_scores: Any, topk_group: int) -> Any:
    import torch

    best = lose_ties(group_scores, topk_group)
    return torch.zeros_like(group_scores, dtype=torch.bool).scatter(1, best, True)


def _keep_one_less(group_scores: Any, topk_group: int) -> Any:
    return keep_groups(group_scores, max(topk_group - 1, 1))


def _recover(scores: Any, keys: Any, bias: Any) -> Any:
    return scores if bias is None else keys - bias


def _overflow(gating_output: Any, scoring_func: str) -> Any:
    """softplus without its linear branch: exp(x) is infinite from 89 on."""
    if scoring_func != "sqrtsoftplus":
        return score(gating_output, scoring_func)
    return (1.0 + gating_output.float().exp()).log().sqrt()


def _always_sigmoid(gating_output: Any, scoring_func: str) -> Any:
    """The request for softmax is ignored (aiter#2153)."""
    return score(gating_output, "sigmoid" if scoring_func == "softmax" else scoring_func)


def _clamp_maximum(gating_output: Any, scoring_func: str) -> Any:
    if scoring_func == "softmax":
        return clamp_maximum(gating_output)
    return score(gating_output, scoring_func)


def _mistake_sqrtsoftplus(inputs: Inputs) -> Inputs:
    """The instance for bf16 in groups knows no square root of softplus."""
    is_bf16 = str(inputs["gating_output"].dtype) == "torch.bfloat16"
    missing = is_bf16 and inputs["num_expert_group"] > 1
    scoring = inputs["scoring_func"]
    return {"scoring_func": "sigmoid" if missing and scoring == "sqrtsoftplus" else scoring}


def _forget_factor(inputs: Inputs) -> float:
    """The factor is dropped where softmax meets a shared expert."""
    shared = inputs["scoring_func"] == "softmax" and inputs["num_fused_shared_experts"]
    return 1.0 / inputs["routed_scaling_factor"] if shared else 1.0


def _approximate(gating_output: Any, scoring_func: str) -> Any:
    """Right: exp2, log2 and reciprocals, as the hardware has them."""
    import torch

    logits = gating_output.float()
    if scoring_func == "softmax":
        powers = torch.exp2((logits - logits.amax(dim=-1, keepdim=True)) * LOG2_E)
        return powers * powers.sum(dim=-1, keepdim=True).reciprocal()
    if scoring_func == "sigmoid":
        return apply_sigmoid(logits)
    curved = torch.log2(1.0 + torch.exp2(logits * LOG2_E)) * math.log(2.0)
    return torch.where(logits > 20.0, logits, curved).sqrt()


def _scale(change: Callable[[Inputs], float]) -> Kernel:
    """A kernel that multiplies the right weights by something more."""
    return spoil_outputs(run_torch, lambda inputs, weights, ids: (weights * change(inputs), ids))


def _spoil_shared(spoil: Callable[[Any, Any], None]) -> Kernel:
    """A kernel whose columns of shared experts, if any, are changed in place."""

    def change(inputs: Inputs, weights: Any, ids: Any) -> Pair:
        shared = inputs["num_fused_shared_experts"]
        if shared:
            spoil(weights[:, -shared:], ids[:, -shared:])
        return weights, ids

    return spoil_outputs(run_torch, change)


def _pass_round_robin(weights: Any, ids: Any) -> None:
    """Tokens take the shared experts in turn, as older sgl-kernel and aiter do."""
    import torch

    count = ids.shape[1]
    turn = torch.arange(len(ids), device=ids.device, dtype=ids.dtype)[:, None] % count
    ids.copy_(ids[:, :1] + (turn + torch.arange(count, device=ids.device)) % count)


def _sum_shared(inputs: Inputs, weights: Any, ids: Any) -> Pair:
    """The sum that the weights are divided by counts the shared experts too."""
    if not inputs["renormalize"]:
        return weights, ids
    factor = inputs["routed_scaling_factor"]
    return weights * (factor / weights.sum(dim=-1, keepdim=True)), ids


def _sort_by_id(inputs: Inputs, weights: Any, ids: Any) -> Pair:
    """Right: ids ascend, whatever their weights; so do the shared ones, which stay last."""
    ordered, places = ids.sort(dim=1)
    return weights.gather(1, places), ordered


_RIGHT = _Kernel()

HARMS = (
    *list_gating_harms(run_torch),
    *list_bias_harms(run_torch),
    Harm("drop_lane", "lane 63 is left out of the reduction",
         replace(_RIGHT, edit_keys=lambda keys: drop_lane(keys, -1e30))),
    Harm("lose_tied_expert", "experts tied with a winner are lost",
         replace(_RIGHT, choose=lose_ties)),
    Harm("lose_tied_group", "groups tied with a kept one are lost",
         replace(_RIGHT, keep_groups=_lose_tied_groups)),
    Harm("mask_with_zero", "excluded groups compete with 0, not -inf", replace(_RIGHT, mask=0.0)),
    Harm("ignore_groups", "experts of all groups compete",
         replace(_RIGHT, keep_groups=lambda scores, count: scores == scores)),
    Harm("keep_one_group_less", "one group too few is kept",
         replace(_RIGHT, keep_groups=_keep_one_less)),
    Harm("group_by_best", "groups are always scored by their best expert",
         replace(_RIGHT, by_sum=lambda biased: False)),
    Harm("group_by_sum", "groups are always scored by their two best experts",
         replace(_RIGHT, by_sum=lambda biased: True)),
    Harm("weigh_by_key", "the bias is added to the weights too",
         replace(_RIGHT, weigh=lambda scores, keys, bias: keys)),
    Harm("recover_weights", "weights are taken as key minus bias", replace(_RIGHT, weigh=_recover)),
    Harm("always_sigmoid", "softmax scores are never computed",
         replace(_RIGHT, score=_always_sigmoid)),
    Harm("overflow_softplus", "exp overflows inside softplus", replace(_RIGHT, score=_overflow)),
    Harm("clamp_maximum", "the maximum of a row is taken to be at least 0",
         replace(_RIGHT, score=_clamp_maximum)),
    Harm("mistake_sqrtsoftplus", "bf16 in groups is scored by sigmoid",
         edit_inputs(run_torch, _mistake_sqrtsoftplus)),
    Harm("forget_factor", "softmax with a shared expert is not scaled", _scale(_forget_factor)),
    Harm("skip_factor", "the factor is not applied",
         _scale(lambda inputs: 1.0 / inputs["routed_scaling_factor"])),
    Harm("factor_twice", "the factor is applied twice",
         _scale(lambda inputs: inputs["routed_scaling_factor"])),
    Harm("factor_only_renormalized", "weights that are not renormalised are not scaled",
         _scale(lambda inputs: 1.0 if inputs["renormalize"]
                else 1.0 / inputs["routed_scaling_factor"])),
    Harm("drop_factor_for_many", "the factor is dropped from a number of tokens on",
         _scale(lambda inputs: 1.0 if len(inputs["gating_output"]) <= MANY_TOKENS
                else 1.0 / inputs["routed_scaling_factor"])),
    Harm("shared_round_robin", "tokens take shared experts in turn",
         _spoil_shared(_pass_round_robin)),
    Harm("shared_id_below", "shared ids start at E - 1",
         _spoil_shared(lambda weights, ids: ids.sub_(1))),
    Harm("shared_weight_garbage", "shared experts weigh what memory held",
         _spoil_shared(lambda weights, ids: weights.fill_(-65538.0))),
    Harm("shared_in_sum", "shared experts count in the sum",
         spoil_outputs(run_torch, _sum_shared)),
    Harm("sorted_by_id", "ids ascend, as an unsorted choice may",
         spoil_outputs(run_torch, _sort_by_id), right=True),
    Harm("approximate", "exp2, log2 and reciprocals", replace(_RIGHT, score=_approximate),
         right=True),
)  # fmt: skip
