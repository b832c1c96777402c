"""grouped_topk: the best groups of experts, the k best experts of those, scaled by a factor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.logits import PATTERNS
from rocmoe.ops.core.spec import DTYPES, Argument, Inputs, OpSpec, Param, Row
from rocmoe.ops.families.gating import (
    BIAS_ARGUMENT,
    CORRECTION_BIAS,
    GATING_SIZES,
    OUTPUTS,
    RENORMALIZE,
    draw_bias,
    gating_cost,
    gating_degenerate,
    scores_vanish,
    sort_experts,
)
from rocmoe.references import grouped_topk as reference

PARAMS = {
    "renormalize": RENORMALIZE,
    "correction_bias": CORRECTION_BIAS,
    "num_expert_group": Param("int", "groups that the experts stand in"),
    "topk_group": Param("int", "groups that a token's experts come from"),
    "scoring_func": Param("word", "what makes a score of a logit", tuple(reference.SCORINGS)),
    "routed_scaling_factor": Param("float", "what every weight is multiplied by at the end"),
    "num_fused_shared_experts": Param("int", "columns at the end of k that name shared experts"),
}


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """gating_output [T, E] by the case's pattern, correction_bias [E] by its parameter."""
    sizes = case.sizes
    fill = PATTERNS[case.pattern].fill
    logits = fill(rng, sizes["T"], sizes["E"], _count_routed(case))
    drawn = {**case.params, "gating_output": logits, "topk": sizes["k"]}
    return {**drawn, "correction_bias": draw_bias(case, rng)}


def run_torch(
    gating_output: Any,
    correction_bias: Any,
    topk: int,
    renormalize: bool,
    num_expert_group: int,
    topk_group: int,
    scoring_func: str,
    routed_scaling_factor: float,
    num_fused_shared_experts: int,
) -> tuple[Any, Any]:
    """topk_weights f32 [T, k], topk_ids i32 [T, k]; lowest index among equals, NaN sorts last."""
    scores = score(gating_output, scoring_func)
    keys = scores if correction_bias is None else scores + correction_bias
    by_sum = correction_bias is not None
    kept = keep_groups(score_groups(keys, num_expert_group, by_sum), topk_group)
    masked = mask_groups(keys, kept, float("-inf"))
    ids = sort_experts(masked, topk - num_fused_shared_experts)
    return finish(scores, ids, renormalize, routed_scaling_factor, num_fused_shared_experts)


def score(gating_output: Any, scoring_func: str) -> Any:
    """f32 [T, E]: the scores of the logits."""
    import torch

    logits = gating_output.float()
    if scoring_func == "softmax":
        return torch.softmax(logits, dim=-1)
    if scoring_func == "sigmoid":
        return torch.sigmoid(logits)
    return torch.nn.functional.softplus(logits).sqrt()


def score_groups(keys: Any, num_expert_group: int, by_sum: bool) -> Any:
    """f32 [T, G]: the sum of each group's two largest keys, or its largest."""
    split = keys.view(len(keys), num_expert_group, keys.shape[1] // num_expert_group)
    return split.topk(min(2 if by_sum else 1, split.shape[2]), dim=-1).values.sum(dim=-1)


def keep_groups(group_scores: Any, topk_group: int) -> Any:
    """bool [T, G]: the groups of largest score, lowest index among equals."""
    import torch

    best = sort_experts(group_scores, topk_group)
    return torch.zeros_like(group_scores, dtype=torch.bool).scatter(1, best, True)


def mask_groups(keys: Any, kept: Any, value: float) -> Any:
    """The keys [T, E] with `value` for the experts of groups that are not kept [T, G]."""
    size = keys.shape[1] // kept.shape[1]
    return keys.masked_fill(~kept.repeat_interleave(size, dim=1), value)


def finish(scores: Any, ids: Any, renormalize: bool, factor: float, shared: int) -> tuple[Any, Any]:
    """Weights and ids of the chosen experts and, after them, of the shared ones.

    A zero sum leaves zeros.
    """
    import torch

    weights = scores.gather(1, ids)
    total = weights.sum(dim=-1, keepdim=True)
    weights = torch.cat([weights, (total / factor).expand(-1, shared)], dim=1)
    if renormalize:
        weights = weights / total.clamp(min=1e-20)
    own = torch.arange(shared, device=ids.device) + scores.shape[1]
    return weights * factor, torch.cat([ids, own.expand(len(ids), -1)], dim=1).int()


def refuse_case(case: Case) -> str | None:
    """The groups must divide the experts, and the kept ones hold the routed part of k."""
    params, experts = case.params, case.sizes["E"]
    groups, kept, shared = (
        int(params[name] or 0)
        for name in ("num_expert_group", "topk_group", "num_fused_shared_experts")
    )
    if groups < 1 or experts % groups:
        return f"E={experts} does not divide into num_expert_group={groups} groups"
    if not 1 <= kept <= groups:
        return f"topk_group={kept} is not in [1, num_expert_group={groups}]"
    if shared < 0:
        return f"num_fused_shared_experts={shared} is negative"
    room, routed = experts // groups * kept, _count_routed(case)
    if not 1 <= routed <= room:
        return f"k={case.sizes['k']} less {shared} shared experts is not in [1, {room}]"
    factor = float(params["routed_scaling_factor"] or 0.0)
    if not (factor > 0 and math.isfinite(factor)):
        return f"routed_scaling_factor={factor} is not above 0"
    return None


def degenerate(case: Case) -> str | None:
    """Cases on which a trivial choice of experts is right."""
    vanish = None if case.params["scoring_func"] == "softmax" else scores_vanish(case)
    return gating_degenerate(case) or vanish


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """Models with groups, a bias, a factor or square roots of softplus; no groups are one group.

    Shared experts are left to the caller: only some serving stacks fuse them into the routing.
    """
    if model.get("num_experts") is None:
        return None
    groups, factor = model.get("num_expert_group", 1), model.get("routed_scaling_factor", 1.0)
    biased, scoring = bool(model.get("correction_bias")), model["scoring_func"]
    if groups == 1 and factor == 1.0 and not biased and scoring != "sqrtsoftplus":
        return None
    params: dict[str, Value] = {
        "renormalize": model["renormalize"],
        "correction_bias": "small" if biased else None,
        "num_expert_group": groups,
        "topk_group": model.get("topk_group", 1),
        "scoring_func": scoring,
        "routed_scaling_factor": factor,
        "num_fused_shared_experts": 0,
    }
    return {"E": model["num_experts"], "k": model["topk"]}, params


def _count_routed(case: Case) -> int:
    return case.sizes["k"] - int(case.params["num_fused_shared_experts"] or 0)


def _row(
    suite: str, T: int, E: int, k: int, groups: str, dtype: str, bias: str | None, pattern: str,
    why: str, *, scoring: str = "sigmoid", factor: float = 2.5, renormalize: bool = True,
    shared: int = 0, layout: str = "contiguous",
) -> Row:  # fmt: skip
    """groups: `topk_group/num_expert_group`."""
    kept, count = groups.split("/")
    params = {
        "renormalize": renormalize,
        "correction_bias": bias,
        "num_expert_group": int(count),
        "topk_group": int(kept),
        "scoring_func": scoring,
        "routed_scaling_factor": factor,
        "num_fused_shared_experts": shared,
    }
    return Row(suite, {"T": T, "E": E, "k": k}, dtype, params, pattern, layout, why)


CASES = (
    _row("smoke", 64, 256, 8, "4/8", "bf16", "small", "normal", "DeepSeek-V3-sized"),
    _row("smoke", 64, 384, 8, "1/1", "fp32", "small", "normal", "Kimi-K2-sized: one group",
         factor=2.827),
    _row("quick", 40, 384, 6, "1/1", "bf16", "small", "normal", "DeepSeek-V4-sized",
         scoring="sqrtsoftplus"),
    _row("quick", 64, 160, 6, "3/8", "bf16", None, "normal", "DeepSeek-V2: softmax, groups by "
         "their best; scaled although not renormalised", scoring="softmax", factor=16.0,
         renormalize=False),
    _row("quick", 64, 160, 8, "1/1", "fp16", "small", "normal", "GLM-sized; base pointers not "
         "16-byte aligned", layout="offset"),
    _row("quick", 24, 896, 16, "1/1", "bf16", "normal", "normal", "Kimi-K3-sized; row stride 906",
         factor=1.0, layout="strided"),
    _row("quick", 1200, 64, 4, "4/8", "bf16", "small", "normal", "more tokens than a small batch"),
    _row("quick", 64, 128, 8, "2/4", "fp32", None, "normal", "sigmoid groups by their best"),
    _row("quick", 64, 128, 8, "2/4", "fp32", "normal", "normal", "softmax with a bias",
         scoring="softmax"),
    _row("quick", 96, 256, 8, "4/8", "bf16", "normal", "normal", "scaled although not "
         "renormalised", renormalize=False),
    _row("quick", 64, 256, 8, "4/8", "fp32", "negative", "normal", "every key is below 0, where a "
         "mask of 0 wins"),
    _row("quick", 64, 128, 8, "2/4", "fp16", "large", "normal", "weights taken from key minus "
         "bias"),
    _row("quick", 130, 256, 8, "4/8", "bf16", "equal", "heavy_ties", "groups and experts tie"),
    _row("quick", 130, 256, 8, "3/8", "fp16", None, "heavy_ties", "groups tie by their best"),
    _row("quick", 64, 64, 6, "2/8", "fp32", None, "all_equal", "every group and expert ties"),
    _row("quick", 130, 192, 8, "1/1", "bf16", "equal", "boundary_ties", "a tie across the "
         "boundary"),
    _row("quick", 64, 256, 9, "4/8", "bf16", "small", "normal", "one fused shared expert",
         shared=1),
    _row("quick", 64, 160, 8, "1/1", "fp32", "small", "normal", "two fused shared experts, not "
         "renormalised", shared=2, renormalize=False),
    _row("quick", 64, 64, 8, "16/64", "fp32", "small", "normal", "groups of one expert"),
    _row("quick", 64, 72, 16, "2/9", "fp16", "small", "normal", "all experts of the kept groups"),
    _row("quick", 31, 6, 2, "2/3", "fp32", "normal", "uniform", "groups of two; 6 experts"),
    _row("quick", 64, 385, 5, "3/5", "bf16", "small", "last_experts", "groups of 77"),
    _row("quick", 48, 256, 8, "4/8", "fp32", "small", "nan_rows", "NaN rows, ids must stay in "
         "range"),
    _row("quick", 48, 256, 8, "4/8", "bf16", "small", "inf_rows", "+inf rows, ids must stay in "
         "range"),
    _row("quick", 48, 128, 8, "2/4", "fp32", "normal", "neg_inf", "a score of zero wins by its "
         "bias", scoring="sqrtsoftplus"),
    _row("quick", 64, 128, 6, "1/1", "fp32", "equal", "low", "1 + exp(x) rounds to 1",
         scoring="sqrtsoftplus", factor=1.5),
    _row("quick", 64, 128, 6, "1/1", "fp32", "normal", "huge", "exp(x) overflows",
         scoring="sqrtsoftplus", renormalize=False),
    _row("quick", 64, 128, 8, "2/4", "fp32", None, "saturation_edge", "logits differ, scores "
         "round to 1"),
    _row("quick", 48, 128, 8, "2/4", "fp32", "small", "denormal", "denormal logits"),
    _row("quick", 64, 256, 8, "4/8", "bf16", "small", "normal", "DeepSeek-V3-sized; row stride "
         "266", layout="strided"),
    _row("quick", 64, 256, 8, "4/8", "bf16", "small", "normal", "DeepSeek-V3-sized; base pointers "
         "not 16-byte aligned", layout="offset"),
    _row("quick", 64, 160, 6, "3/8", "fp32", None, "normal", "row stride 170 of fp32 logits",
         scoring="softmax", layout="strided"),
    _row("quick", 64, 256, 8, "4/8", "bf16", "small", "normal", "square roots of softplus in "
         "groups", scoring="sqrtsoftplus"),
    _row("quick", 64, 128, 7, "4/8", "bf16", None, "normal", "softmax with a shared expert",
         scoring="softmax", shared=1),
    _row("quick", 2100, 16, 2, "2/4", "bf16", "small", "normal", "more than 2048 tokens"),
    _row("quick", 48, 128, 8, "2/4", "fp32", None, "shifted", "a maximum that is taken to be at "
         "least 0", scoring="softmax"),
    _row("quick", 48, 128, 8, "2/4", "fp16", "normal", "far_shifted", "every score is 0: the bias "
         "decides", renormalize=False),
    _row("quick", 64, 160, 6, "3/8", "fp32", None, "normal", "fp32 base pointer not 16-byte "
         "aligned", scoring="softmax", layout="offset"),
    _row("quick", 0, 256, 8, "4/8", "bf16", "small", "normal", "zero tokens"),
    _row("quick", 1, 256, 8, "4/8", "bf16", "small", "normal", "one token"),
    _row("full", 1024, 256, 8, "4/8", "bf16", "small", "normal", "DeepSeek-V3-sized, 1024 tokens"),
    _row("full", 65600, 32, 4, "2/4", "bf16", "small", "normal", "more than 212 tokens a CU on 304 "
         "CUs, from where aiter's dispatcher takes a kernel that drops the factor"),
    _row("full", 512, 512, 8, "8/16", "fp32", "small", "normal", "16 groups"),
    _row("full", 300, 513, 11, "9/27", "fp16", "equal", "heavy_ties", "27 groups of 19 with ties"),
    _row("full", 200, 1024, 32, "512/1024", "fp32", "small", "descending", "1024 groups of one"),
    _row("full", 512, 256, 10, "4/8", "fp16", "normal", "peaked", "two fused shared experts",
         shared=2),
    _row("full", 512, 128, 6, "3/8", "fp32", None, "flat", "near-ties everywhere",
         scoring="softmax", factor=1.0),
    _row("full", 300, 40, 6, "2/5", "fp32", "equal", "one_stripe", "40 experts"),
    _row("full", 128, 60, 60, "1/1", "bf16", "normal", "uniform", "k = E = 60",
         scoring="sqrtsoftplus"),
    _row("full", 512, 257, 9, "1/1", "fp32", None, "distinct", "one past a power of two"),
)  # fmt: skip

SPEC = OpSpec(
    name="grouped_topk",
    summary="the best groups of experts, then the k best experts of those, scaled by a factor",
    source="ROCm/aiter biased_grouped_topk_hip and grouped_topk @e4048607, vLLM grouped_topk, "
    "sgl-kernel moe_fused_gate; deepseek-ai/DeepSeek-V3 inference/model.py, Gate",
    sizes={**GATING_SIZES, "k": "experts a token goes to (topk), shared ones included"},
    dtypes=DTYPES,
    params=PARAMS,
    patterns=tuple(PATTERNS),
    inputs=(
        Argument("gating_output", ("T", "E"), "case", doc="router logits"),
        BIAS_ARGUMENT,
        Argument("topk", doc="experts a token goes to, shared ones included"),
        *(Argument(name, doc=p.doc) for name, p in PARAMS.items() if name != "correction_bias"),
    ),
    outputs=OUTPUTS,
    draw=draw,
    oracle=reference.oracle,
    judge=reference.judge,
    run_torch=run_torch,
    cases=CASES,
    cost=gating_cost,
    canonical=reference.erase_unspecified,
    degenerate=degenerate,
    refuse_case=refuse_case,
    from_model=from_model,
)
