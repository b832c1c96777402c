"""top_p_renorm_probs: the likeliest tokens that reach mass p, divided by their sum."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.probabilities import PATTERNS
from rocmoe.ops.core.spec import Inputs, OpSpec, compare_nothing
from rocmoe.ops.families.renorm import (
    LARGEST_BELOW_ONE,
    OUTPUTS,
    PROBS,
    RENORM_SIZES,
    TOP_P,
    TOP_P_PARAM,
    check_renorm,
    divide_by_sum,
    draw_probs,
    draw_top_p,
    keep_top_p,
    make_row,
    renorm_cost,
    renorm_degenerate,
    renorm_out_of_contract,
    vocabulary_of,
)
from rocmoe.references import top_p_renorm_probs as reference
from rocmoe.references.judging.support import accumulation_error


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """probs [B, V] by the case's pattern; top_p as the case says."""
    return {"probs": draw_probs(case, rng), "top_p": draw_top_p(case, rng)}


def run_torch(probs: Any, top_p: Any) -> Any:
    """renorm_probs f32 [B, V]; tokens that tie at the boundary are all kept."""
    return divide_by_sum(keep_top_p(probs, top_p))


def degenerate(case: Case) -> str | None:
    """Cases of which a copy is right."""
    top_p = case.params["top_p"]
    if isinstance(top_p, (int, float)) and top_p >= 1.0 - accumulation_error(case.sizes["V"]):
        return "top_p = 1 within rounding keeps all: the copy is right"
    return renorm_degenerate(case)


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """A model's vocabulary, with the customary p."""
    sizes = vocabulary_of(model)
    return (sizes, {"top_p": 0.9}) if sizes else None


_smoke, _quick, _full = (partial(make_row, suite) for suite in ("smoke", "quick", "full"))

CASES = (
    _smoke(16, 1024, "normal", "a small vocabulary, the customary p", top_p=0.9),
    _smoke(14, 500, "bf16_ties", "every kind of p in one batch, and ties", top_p="per_row"),
    _quick(99, 111, "uniform", "flashinfer's smallest vocabulary", top_p=0.1),
    _quick(64, 111, "normal", "half of the mass", top_p=0.5),
    _quick(16, 500, "normal", "p = 0 keeps the maximum", top_p=0.0),
    _quick(16, 500, "tie_classes", "p = 0 keeps every maximum", top_p=0.0),
    _quick(4, 500, "normal", "p = 1 keeps all", top_p=1.0),
    _quick(4, 1024, "flat", "the float32 below one", top_p=LARGEST_BELOW_ONE),
    _quick(64, 500, "halving", "mass == p on the dot is not below p", top_p=0.5),
    _quick(64, 111, "halving", "mass == p on the dot, several tokens in", top_p=0.875),
    _quick(16, 1024, "tie_classes", "a class of equals where the mass reaches p", top_p=0.5),
    _quick(16, 1024, "bf16_ties", "bf16-derived ties where the mass reaches p", top_p=0.9),
    _quick(4, 1024, "all_equal", "every token ties", top_p=0.5),
    _quick(4, 1024, "one_hot", "one token alone", top_p=0.9),
    _quick(16, 500, "zero_rows", "zero rows give zeros", top_p=0.9),
    _quick(16, 1024, "denormal", "denormal probabilities never stall the search", top_p=0.95),
    _quick(64, 1024, "peaked", "the boundary token is large, as in flashinfer#2202", top_p=0.6),
    _quick(64, 111, "peaked", "most rows keep one or two tokens", top_p=0.9),
    _quick(14, 1024, "zipf", "mixed p in one batch", top_p="per_row"),
    _quick(4, 32000, "uniform", "zeros would pass flashinfer's tolerance", top_p=0.9),
    _quick(1, 151937, "last_token", "an odd vocabulary whose last token wins", top_p=0.5),
    _quick(2, 151936, "normal", "Qwen's vocabulary", top_p=0.9),
    _quick(7, 1000, "normal", "row stride V + 10", top_p="per_row", layout="strided"),
    _quick(7, 1000, "normal", "base pointers not 16-byte aligned", top_p="per_row",
           layout="offset"),
    _quick(3, 32000, "normal", "a stride where several blocks share a row", top_p=0.9,
           layout="strided"),
    _quick(3, 32000, "normal", "offset where several blocks share a row", top_p=0.9,
           layout="offset"),
    _quick(600, 111, "normal", "more rows than a GPU has processors", top_p="per_row"),
    _quick(0, 500, "normal", "no rows", top_p=0.9),
    _quick(16, 500, "unnormalised", "rows that are no distributions", top_p="per_row"),
    _quick(16, 500, "nan_rows", "NaN must not lead out of bounds or stall", top_p=0.9),
    _full(99, 32000, "uniform", "flashinfer's grid", top_p=0.1),
    _full(99, 32000, "uniform", "flashinfer's grid", top_p=1.0),
    _full(99, 128256, "uniform", "flashinfer's grid", top_p=0.5),
    _full(1, 128256, "uniform", "flashinfer's grid", top_p=0.9),
    _full(64, 151936, "normal", "the settings of sglang#23388, at Qwen's vocabulary", top_p=0.9),
    _full(16, 32000, "normal", "the shape of sglang#23388's figures", top_p=0.9),
    _full(64, 32000, "bf16_ties", "ties in a Llama-2-sized vocabulary", top_p="per_row"),
    _full(16, 128256, "zipf", "mixed p in a Llama-3-sized vocabulary", top_p="per_row"),
    _full(16, 151937, "tie_classes", "an odd vocabulary, ties at every boundary", top_p=0.5),
)  # fmt: skip

SPEC = OpSpec(
    name="top_p_renorm_probs",
    summary="keep the likeliest tokens that reach mass p, divide by their sum",
    source="flashinfer-ai/flashinfer flashinfer/sampling.py, include/flashinfer/sampling.cuh "
    "@fb28d724; sgl-project/sglang#23388",
    sizes=RENORM_SIZES,
    dtypes=("fp32",),
    params={"top_p": TOP_P_PARAM},
    patterns=tuple(PATTERNS),
    inputs=(PROBS, TOP_P),
    outputs=OUTPUTS,
    draw=draw,
    oracle=reference.oracle,
    judge=reference.judge,
    run_torch=run_torch,
    cases=CASES,
    cost=renorm_cost,
    canonical=compare_nothing,
    degenerate=degenerate,
    out_of_contract=renorm_out_of_contract,
    refuse_case=check_renorm,
    from_model=from_model,
)
