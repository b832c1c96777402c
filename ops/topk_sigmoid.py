"""topk_sigmoid: sigmoid of every logit, the k largest by score plus bias, weighed by the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.logits import PATTERNS
from rocmoe.ops.core.spec import DTYPES, Argument, Inputs, OpSpec, Row
from rocmoe.ops.families.gating import (
    BIAS_ARGUMENT,
    CORRECTION_BIAS,
    GATING_SIZES,
    OUTPUTS,
    RENORMALIZE,
    check_topk,
    draw_bias,
    gating_cost,
    gating_degenerate,
    scores_vanish,
    sort_experts,
)
from rocmoe.references import topk_sigmoid as reference


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """gating_output [T, E] by the case's pattern, correction_bias [E] by its parameter."""
    sizes = case.sizes
    fill = PATTERNS[case.pattern].fill
    return {
        "gating_output": fill(rng, sizes["T"], sizes["E"], sizes["k"]),
        "topk": sizes["k"],
        "renormalize": case.params["renormalize"],
        "correction_bias": draw_bias(case, rng),
    }


def run_torch(
    gating_output: Any, topk: int, renormalize: bool, correction_bias: Any
) -> tuple[Any, Any]:
    """topk_weights f32 [T, k], topk_ids i32 [T, k]; lowest index among equals, NaN sorts last."""
    import torch

    scores = torch.sigmoid(gating_output.float())
    keys = scores if correction_bias is None else scores + correction_bias
    ids = sort_experts(keys, topk)
    return weigh(scores, ids, renormalize), ids.int()


def weigh(scores: Any, ids: Any, renormalize: bool) -> Any:
    """The scores of the chosen ids, divided by their sum if asked; a zero sum leaves zeros."""
    weights = scores.gather(1, ids)
    if renormalize:
        weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-20)
    return weights


def degenerate(case: Case) -> str | None:
    """Cases on which a trivial choice of experts is right."""
    return gating_degenerate(case) or scores_vanish(case)


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """Models with sigmoid scores, no groups and no scaling factor; one group is none."""
    if model.get("scoring_func") != "sigmoid" or model.get("num_expert_group", 1) != 1:
        return None
    if model.get("routed_scaling_factor", 1.0) != 1.0:
        return None
    sizes = {"E": model["num_experts"], "k": model["topk"]}
    bias = "small" if model.get("correction_bias") else None
    return sizes, {"renormalize": model["renormalize"], "correction_bias": bias}


def _row(
    suite: str, T: int, E: int, k: int, dtype: str, bias: str | None, pattern: str, why: str,
    *, renormalize: bool = True, layout: str = "contiguous",
) -> Row:  # fmt: skip
    params = {"renormalize": renormalize, "correction_bias": bias}
    return Row(suite, {"T": T, "E": E, "k": k}, dtype, params, pattern, layout, why)


CASES = (
    _row("smoke", 64, 128, 1, "bf16", None, "normal", "Llama-4-sized: k = 1, not renormalised",
         renormalize=False),
    _row("smoke", 64, 256, 8, "bf16", "small", "normal", "MiniMax-sized; bf16 logits, fp32 bias"),
    _row("quick", 257, 128, 4, "bf16", None, "heavy_ties", "a tied expert that is dropped shows"),
    _row("quick", 96, 256, 8, "bf16", "equal", "heavy_ties", "ties survive an equal bias"),
    _row("quick", 65, 64, 6, "fp32", None, "all_equal", "every expert ties"),
    _row("quick", 130, 192, 8, "bf16", None, "boundary_ties", "a tie across the boundary"),
    _row("quick", 96, 512, 10, "fp16", None, "one_stripe", "one lane owns all winners"),
    _row("quick", 100, 384, 8, "bf16", "small", "last_experts", "winners in the tail of 384"),
    _row("quick", 64, 257, 9, "fp32", "normal", "normal", "one past a power of two"),
    _row("quick", 64, 60, 4, "bf16", None, "normal", "60 experts: not a multiple of 8"),
    _row("quick", 31, 6, 3, "fp16", "small", "uniform", "fewer experts than lanes"),
    _row("quick", 17, 72, 1, "fp32", None, "distinct", "k = 1", renormalize=False),
    _row("quick", 32, 16, 16, "fp32", "normal", "normal", "k = E", renormalize=False),
    _row("quick", 48, 256, 8, "fp32", "small", "nan_rows", "NaN rows, ids must stay in range"),
    _row("quick", 48, 128, 8, "bf16", None, "inf_rows", "+inf rows, ids must stay in range"),
    _row("quick", 48, 256, 8, "fp32", "normal", "neg_inf", "a score of zero wins by its bias",
         renormalize=False),
    _row("quick", 48, 128, 8, "fp32", None, "denormal", "denormal logits"),
    _row("quick", 48, 128, 8, "fp32", None, "huge", "saturated scores are interchangeable",
         renormalize=False),
    _row("quick", 64, 128, 8, "fp32", None, "saturation_edge", "logits differ, scores round to 1"),
    _row("quick", 64, 128, 8, "fp32", None, "low", "small scores keep their digits"),
    _row("quick", 64, 128, 8, "fp32", "negative", "normal", "every key is below 0"),
    _row("quick", 64, 128, 8, "fp16", "large", "normal", "weights taken from key minus bias"),
    _row("quick", 64, 160, 8, "bf16", "small", "normal", "row stride 170", layout="strided"),
    _row("quick", 64, 256, 8, "fp16", "small", "normal", "base pointers not 16-byte aligned",
         layout="offset"),
    _row("quick", 64, 256, 8, "bf16", "small", "normal", "row stride 266 of 256 experts, biased",
         layout="strided"),
    _row("quick", 64, 160, 8, "fp32", None, "normal", "row stride 170 of fp32 logits",
         layout="strided"),
    _row("quick", 64, 256, 8, "bf16", None, "normal", "bf16 base pointer not 16-byte aligned",
         layout="offset"),
    _row("quick", 64, 128, 4, "fp16", None, "normal", "fp16 scores, not renormalised",
         renormalize=False),
    _row("quick", 64, 128, 4, "bf16", "small", "normal", "a bias, and not renormalised",
         renormalize=False),
    _row("quick", 1100, 32, 2, "bf16", "small", "normal", "more rows than a block of 1024 threads"),
    _row("quick", 48, 128, 8, "fp32", "normal", "shifted", "every score is 0: the bias decides",
         renormalize=False),
    _row("quick", 48, 128, 8, "fp16", None, "far_shifted", "logits below a finite minus infinity"),
    _row("quick", 64, 160, 8, "fp32", None, "normal", "fp32 base pointer not 16-byte aligned",
         layout="offset"),
    _row("quick", 0, 256, 8, "bf16", "small", "normal", "zero tokens"),
    _row("quick", 1, 256, 8, "bf16", "small", "normal", "one token"),
    _row("full", 1024, 896, 16, "bf16", "small", "normal", "Kimi-K3-sized"),
    _row("full", 511, 513, 11, "fp16", None, "heavy_ties", "513 experts with ties"),
    _row("full", 511, 385, 9, "bf16", "small", "one_stripe", "385 experts, one lane"),
    _row("full", 512, 40, 6, "fp32", "equal", "boundary_ties", "40 experts"),
    _row("full", 200, 1024, 32, "fp32", None, "descending", "1024 experts; identity order"),
    _row("full", 128, 64, 64, "bf16", None, "uniform", "k = E = 64"),
    _row("full", 512, 128, 8, "fp32", None, "flat", "near-ties everywhere", renormalize=False),
    _row("full", 512, 256, 8, "fp32", "normal", "peaked", "scores near 0 and 1"),
)  # fmt: skip

SPEC = OpSpec(
    name="topk_sigmoid",
    summary="sigmoid of every logit, then the k largest by score plus bias",
    source="ROCm/composable_kernel example/ck_tile/09_topk_softmax @078ec9d (no bias); ROCm/aiter "
    "topk_gating(score_func='sigmoid') @e4048607 and sgl-kernel topk_sigmoid (with a bias)",
    sizes=GATING_SIZES,
    dtypes=DTYPES,
    params={"renormalize": RENORMALIZE, "correction_bias": CORRECTION_BIAS},
    patterns=tuple(PATTERNS),
    inputs=(
        Argument("gating_output", ("T", "E"), "case", doc="router logits"),
        Argument("topk", doc="experts a token goes to"),
        Argument("renormalize", doc="divide the chosen weights by their sum"),
        BIAS_ARGUMENT,
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
    refuse_case=check_topk,
    from_model=from_model,
)
