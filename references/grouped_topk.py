"""Grouped gating: keep the best groups of experts, then the k best experts of those.

Semantics: DeepSeek-V2 (softmax, no bias) and DeepSeek-V3's `noaux_tc` router, as aiter
`biased_grouped_topk_hip` and `grouped_topk` (@e4048607), vLLM `grouped_topk` and sgl-kernel
`moe_fused_gate` compute it.  A group's score is the sum of its two largest keys with a bias and its
largest without; experts of the other groups are out of the race, at -inf; the weights are the
unbiased scores, divided by their sum if asked, times the factor in either case.  Fused shared
experts follow sgl-kernel `moe_fused_gate` with apply_routed_scaling_factor_on_output: the last
columns, ids E, E + 1, ..., each as heavy as all routed ones together over the factor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import topk_sigmoid, topk_softmax
from .judging.blocks import judge_in_blocks
from .judging.elementwise import Array
from .judging.gating import (
    add_bias,
    choose_weights,
    find_specified,
    judge_weights,
    take_top,
    widen_by_bias,
)
from .judging.groups import (
    Grouping,
    find_certain_in_groups,
    judge_group_ties,
    judge_groups,
)
from .judging.selection import Ids, judge_best, judge_ids, judge_order, keep_certain
from .judging.verdict import Judgement, Verdict
from .topk_sigmoid import ROUNDINGS, sigmoid

#: How far float32 may move softplus, absolutely, when it is computed as log(1 + exp(x)) as aiter
#: does: rounding 1 + exp(x) loses up to 2^-24, which is all of exp(x) below that, and CUDA's fast
#: logarithm is good to 2^-21.41 near 1 (CUDA C++ Programming Guide, intrinsic functions); the
#: hardware logarithm of CDNA is better.
SOFTPLUS_LOST = 2.0**-21


def oracle(
    gating_output: Array,
    correction_bias: Array | None,
    topk: int,
    renormalize: bool,
    num_expert_group: int,
    topk_group: int,
    scoring_func: str,
    routed_scaling_factor: float,
    num_fused_shared_experts: int,
) -> dict[str, Any]:
    """gating_output f64 [T, E], finite correction_bias f64 [E] -> weights f64, ids i32 [T, k].

    k = topk counts the shared columns.  Descending by key, lowest index among equals, for groups
    and experts; rows that hold NaN, +inf or only -inf give routed ids 0, 1, ... and NaN weights,
    which stands for `unspecified`.
    """
    specified = find_specified(gating_output)[:, None]
    scores, _ = SCORINGS[scoring_func](np.where(specified, gating_output, 0.0))
    keys = np.where(specified, add_bias(scores, correction_bias), 0.0)
    grouping = Grouping(num_expert_group, topk_group, by_sum=correction_bias is not None)
    kept = grouping.spread(grouping.keep(keys), keys.shape[1])
    ids = take_top(np.where(kept, keys, -np.inf), topk - num_fused_shared_experts)
    weights = choose_weights(
        scores, ids, renormalize, routed_scaling_factor, num_fused_shared_experts
    )
    shared = np.arange(num_fused_shared_experts) + keys.shape[1]
    shared = np.broadcast_to(shared, (len(ids), num_fused_shared_experts))
    return {
        "topk_weights": np.where(specified, weights, np.nan),
        "topk_ids": np.concatenate([ids, shared], axis=1).astype(np.int32),
    }


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge topk_weights [T, k] and topk_ids [T, k] for the inputs of `oracle`."""
    del dtype  # the logits are exact in float64 and every kernel computes in float32

    def judge_rows(part: slice) -> Verdict:
        found = {name: values[part] for name, values in outputs.items()}
        return _judge_rows(inputs, inputs["gating_output"][part], found, strict)

    return judge_in_blocks(judge_rows, *inputs["gating_output"].shape)


def _judge_rows(
    inputs: Mapping[str, Any], logits: Array, outputs: Mapping[str, Any], strict: bool
) -> Verdict:
    """Judge the outputs of some rows of logits, [T, E]."""
    bias = inputs["correction_bias"]
    num_experts, num_shared = logits.shape[1], inputs["num_fused_shared_experts"]
    routed = inputs["topk"] - num_shared
    judgement = Judgement()
    rows = judge_ids(judgement, outputs["topk_ids"][:, :routed], num_experts)
    _judge_shared_ids(judgement, outputs["topk_ids"], num_experts, routed)
    rows &= find_specified(logits)
    ids = np.where(rows[:, None], outputs["topk_ids"][:, :routed], 0).astype(np.int64)
    scores, slack = SCORINGS[inputs["scoring_func"]](np.where(rows[:, None], logits, 0.0))
    keys = add_bias(scores, bias)
    room = widen_by_bias(slack, keys, bias)
    grouping = Grouping(inputs["num_expert_group"], inputs["topk_group"], by_sum=bias is not None)
    completed = judge_groups(judgement, ids, keys, room, rows, grouping)
    judge_best(judgement, ids, keys, room, rows, completed)
    if strict:
        known = judge_group_ties(judgement, ids, keys, room, rows, grouping)
        judge_order(judgement, ids, keys, room, rows, known)
    judge_weights(
        judgement,
        outputs["topk_weights"],
        ids,
        scores,
        slack,
        rows,
        inputs["renormalize"],
        inputs["routed_scaling_factor"],
        num_shared,
    )
    return judgement.verdict()


def erase_unspecified(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Ids]:
    """The experts that every right answer names, -1 in place of others: one form for all of them.

    Weights are left out, since they vary by the rounding of a sum.  Shared experts stand as -1.
    """
    logits, bias = inputs["gating_output"], inputs["correction_bias"]
    rows = find_specified(logits)[:, None]
    scores, slack = SCORINGS[inputs["scoring_func"]](np.where(rows, logits, 0.0))
    keys = add_bias(scores, bias)
    room = widen_by_bias(slack, keys, bias)
    grouping = Grouping(inputs["num_expert_group"], inputs["topk_group"], by_sum=bias is not None)
    routed = inputs["topk"] - inputs["num_fused_shared_experts"]
    certain = find_certain_in_groups(keys, room, routed, grouping) & rows
    return {"topk_ids": keep_certain(outputs["topk_ids"], certain)}


def score_sqrt_softplus(logits: Array) -> tuple[Array, Array]:
    """sqrt(log(1 + exp(x))) of any logits but NaN and +inf, and how far float32 may move it.

    The relative error of exp(x), |x| * 2^-23 as in a sigmoid, reaches softplus by a share of
    sigmoid(x); then the root takes the error over, which is steep where softplus is near zero.
    """
    softplus = np.logaddexp(0.0, logits)
    distance = np.where(np.isfinite(logits), np.abs(logits), 0.0)
    lost = SOFTPLUS_LOST + ROUNDINGS * softplus + sigmoid(logits) * distance * 2.0**-23
    root = np.sqrt(softplus)
    below = root - np.sqrt(np.maximum(softplus - lost, 0.0))
    above = np.sqrt(softplus + lost) - root
    return root, np.maximum(below, above) + ROUNDINGS * root


#: The scores [T, E] of logits [T, E], and how far float32 rounding may move each.
SCORINGS: Mapping[str, Callable[[Array], tuple[Array, Array]]] = {
    "softmax": topk_softmax.score_with_slack,
    "sigmoid": topk_sigmoid.score_with_slack,
    "sqrtsoftplus": score_sqrt_softplus,
}


def _judge_shared_ids(judgement: Judgement, topk_ids: Ids, num_experts: int, routed: int) -> None:
    """Check that the columns past the routed ones hold E, E + 1, ... in every row."""
    if routed == topk_ids.shape[1]:
        return
    wanted = np.arange(topk_ids.shape[1]) - routed + num_experts
    judgement.exact(
        "shared_ids",
        (topk_ids != wanted) & (wanted >= num_experts),
        output="topk_ids",
        found=topk_ids,
        wanted=wanted,
    )
