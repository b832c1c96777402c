"""topk_softmax: softmax over all experts, the k most probable, optionally renormalised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.logits import PATTERNS
from rocmoe.ops.core.spec import DTYPES, Argument, Inputs, OpSpec, Param, Row
from rocmoe.ops.families.gating import (
    GATING_SIZES,
    OUTPUTS,
    check_topk,
    gating_cost,
    gating_degenerate,
)
from rocmoe.references import topk_softmax as reference


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """gating_output [T, E] by the case's pattern."""
    sizes = case.sizes
    fill = PATTERNS[case.pattern].fill
    return {
        "gating_output": fill(rng, sizes["T"], sizes["E"], sizes["k"]),
        "topk": sizes["k"],
        "renormalize": case.params["renormalize"],
    }


def run_torch(gating_output: Any, topk: int, renormalize: bool) -> tuple[Any, Any]:
    """topk_weights f32 [T, k], topk_ids i32 [T, k]; lowest index among equals, NaN sorts last."""
    import torch

    probabilities = torch.softmax(gating_output.float(), dim=-1)
    keys = torch.nan_to_num(probabilities, nan=-1.0)
    ids = torch.sort(keys, dim=-1, descending=True, stable=True).indices[:, :topk]
    weights = probabilities.gather(1, ids)
    if renormalize:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights, ids.int()


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """Models with softmax scores, no groups, bias or scaling factor; one group is none."""
    if model.get("scoring_func") != "softmax" or model.get("num_expert_group", 1) != 1:
        return None
    if model.get("correction_bias") or model.get("routed_scaling_factor", 1.0) != 1.0:
        return None
    sizes = {"E": model["num_experts"], "k": model["topk"]}
    return sizes, {"renormalize": model["renormalize"]}


def _row(
    suite: str, T: int, E: int, k: int, dtype: str, pattern: str, why: str, **more: Any
) -> Row:
    renormalize = more.pop("renormalize", True)
    layout = more.pop("layout", "contiguous")
    params = {"renormalize": renormalize}
    return Row(suite, {"T": T, "E": E, "k": k}, dtype, params, pattern, layout, why)


CASES = (
    _row("smoke", 64, 256, 8, "bf16", "normal", "DeepSeek-sized; bf16 logits tie often"),
    _row("smoke", 33, 128, 4, "fp32", "peaked", "GPT-OSS-sized; probabilities underflow",
         renormalize=False),
    _row("quick", 257, 256, 8, "bf16", "heavy_ties", "a tied expert that is dropped shows"),
    _row("quick", 65, 64, 6, "fp32", "all_equal", "every expert ties"),
    _row("quick", 130, 256, 8, "bf16", "boundary_ties", "a tie across the boundary"),
    _row("quick", 96, 512, 10, "fp16", "one_stripe", "one lane owns all winners"),
    _row("quick", 100, 384, 8, "bf16", "last_experts", "winners in the tail of 384 = 256 + 128"),
    _row("quick", 64, 257, 9, "fp32", "normal", "one past a power of two"),
    _row("quick", 64, 60, 4, "bf16", "normal", "60 experts: not a multiple of 8"),
    _row("quick", 31, 6, 3, "fp16", "uniform", "fewer experts than lanes"),
    _row("quick", 17, 72, 1, "fp32", "distinct", "k = 1", renormalize=False),
    _row("quick", 32, 16, 16, "fp32", "normal", "k = E", renormalize=False),
    _row("quick", 48, 256, 8, "fp32", "nan_rows", "NaN rows must not give ids out of range"),
    _row("quick", 48, 256, 8, "bf16", "inf_rows", "+inf rows must not give ids out of range"),
    _row("quick", 48, 256, 8, "fp32", "neg_inf", "masked experts, and rows of nothing else",
         renormalize=False),
    _row("quick", 48, 128, 8, "fp32", "denormal", "denormal logits"),
    _row("quick", 48, 128, 8, "fp32", "huge", "exp underflows for most experts"),
    _row("quick", 64, 256, 8, "fp32", "flat", "near-ties everywhere", renormalize=False),
    _row("quick", 64, 160, 8, "bf16", "normal", "row stride 170: sglang#21421's strided input",
         layout="strided"),
    _row("quick", 64, 256, 8, "fp16", "normal", "base pointer not 16-byte aligned",
         layout="offset"),
    _row("quick", 64, 256, 8, "bf16", "normal", "row stride 266: sglang#21421's real shape",
         layout="strided"),
    _row("quick", 64, 160, 8, "fp32", "normal", "row stride 170 of fp32 logits",
         layout="strided"),
    _row("quick", 64, 256, 8, "bf16", "normal", "bf16 base pointer not 16-byte aligned",
         layout="offset"),
    _row("quick", 64, 160, 6, "bf16", "normal", "bf16, not renormalised", renormalize=False),
    _row("quick", 1100, 32, 2, "bf16", "normal", "more rows than a block of 1024 threads"),
    _row("quick", 48, 256, 8, "fp32", "shifted", "a maximum that is taken to be at least 0"),
    _row("quick", 48, 128, 8, "fp16", "far_shifted", "logits below a finite minus infinity"),
    _row("quick", 64, 160, 8, "fp32", "normal", "fp32 base pointer not 16-byte aligned",
         layout="offset"),
    _row("quick", 0, 256, 8, "bf16", "normal", "zero tokens"),
    _row("quick", 1, 256, 8, "bf16", "normal", "one token"),
    _row("full", 1024, 896, 16, "bf16", "normal", "Kimi-K3-sized"),
    _row("full", 511, 513, 11, "fp16", "heavy_ties", "513 experts with ties"),
    _row("full", 511, 385, 9, "bf16", "one_stripe", "385 experts, one lane"),
    _row("full", 512, 40, 6, "fp32", "boundary_ties", "40 experts"),
    _row("full", 200, 1024, 32, "fp32", "descending", "the largest expert count; identity order"),
    _row("full", 128, 64, 64, "bf16", "uniform", "k = E = 64"),
)  # fmt: skip

SPEC = OpSpec(
    name="topk_softmax",
    summary="softmax over all experts, then the k most probable",
    source="vllm-project/vllm csrc/moe/topk_softmax_kernels.cu and its descendants in aiter "
    "(csrc/kernels/topk_softmax_kernels.cu @e4048607), sgl-kernel and FlyDSL",
    sizes=GATING_SIZES,
    dtypes=DTYPES,
    params={"renormalize": Param("bool", "divide the chosen weights by their sum")},
    patterns=tuple(PATTERNS),
    inputs=(
        Argument("gating_output", ("T", "E"), "case", doc="router logits"),
        Argument("topk", doc="experts a token goes to"),
        Argument("renormalize", doc="divide the chosen weights by their sum"),
    ),
    outputs=OUTPUTS,
    draw=draw,
    oracle=reference.oracle,
    judge=reference.judge,
    run_torch=run_torch,
    cases=CASES,
    cost=gating_cost,
    canonical=reference.erase_unspecified,
    degenerate=gating_degenerate,
    refuse_case=check_topk,
    from_model=from_model,
)
