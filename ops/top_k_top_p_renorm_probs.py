"""top_k_top_p_renorm_probs: top-k and top-p in one call, jointly or one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.probabilities import PATTERNS
from rocmoe.ops.core.spec import Argument, Inputs, OpSpec, Param, compare_nothing
from rocmoe.ops.families.renorm import (
    ALL_TOKENS,
    OUTPUTS,
    PROBS,
    RENORM_SIZES,
    TOP_K,
    TOP_K_PARAM,
    TOP_P,
    TOP_P_PARAM,
    check_renorm,
    divide_by_sum,
    draw_probs,
    draw_top_k,
    draw_top_p,
    keep_top_k,
    keep_top_p,
    make_row,
    renorm_cost,
    renorm_degenerate,
    renorm_out_of_contract,
    vocabulary_of,
)
from rocmoe.references import top_k_top_p_renorm_probs as reference

ORDERS = ("joint", "top_k_first")

#: A filter: probs [B, V] and its parameter -> probs with zeros for what is dropped.
Keep = Callable[[Any, Any], Any]


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """probs [B, V] by the case's pattern; the rest as the case says."""
    return {
        "probs": draw_probs(case, rng),
        "top_k": draw_top_k(case, rng),
        "top_p": draw_top_p(case, rng),
        "filter_apply_order": case.params["filter_apply_order"],
    }


def run_torch(probs: Any, top_k: Any, top_p: Any, filter_apply_order: str) -> Any:
    """renorm_probs f32 [B, V]; ties are kept by either rule."""
    return compose(keep_top_k, keep_top_p)(probs, top_k, top_p, filter_apply_order)


def compose(by_rank: Keep, by_mass: Keep) -> Callable[[Any, Any, Any, str], Any]:
    """The op made of a top-k and a top-p filter, each of which zeroes what it drops."""

    def filter_and_divide(probs: Any, top_k: Any, top_p: Any, filter_apply_order: str) -> Any:
        import torch

        ranked = by_rank(probs, top_k)
        if filter_apply_order == "top_k_first":
            return divide_by_sum(by_mass(divide_by_sum(ranked), top_p))
        return divide_by_sum(torch.minimum(ranked, by_mass(probs, top_p)))

    return filter_and_divide


def degenerate(case: Case) -> str | None:
    """Cases of which a copy is right."""
    top_k, top_p = case.params["top_k"], case.params["top_p"]
    all_tokens = isinstance(top_k, int) and top_k >= case.sizes["V"]
    all_mass = isinstance(top_p, (int, float)) and top_p >= 1.0
    if all_tokens and all_mass:
        return "k >= V and top_p = 1 keep all: the copy is right"
    return renorm_degenerate(case)


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """A model's vocabulary, with the customary k and p in flashinfer's default order."""
    sizes = vocabulary_of(model)
    if sizes is None:
        return None
    return sizes, {"top_k": 50, "top_p": 0.9, "filter_apply_order": "top_k_first"}


def _row(
    suite: str,
    B: int,
    V: int,
    pattern: str,
    top_k: Value,
    top_p: Value,
    order: str,
    why: str,
    layout: str = "contiguous",
) -> Any:
    return make_row(suite, B, V, pattern, why, top_k=top_k, top_p=top_p,
                    filter_apply_order=order, layout=layout)  # fmt: skip


_smoke, _quick, _full = (partial(_row, suite) for suite in ("smoke", "quick", "full"))

CASES = (
    _smoke(16, 1024, "normal", 50, 0.9, "top_k_first", "customary settings, flashinfer's order"),
    _smoke(16, 1024, "zipf", 100, 0.5, "joint", "the same tokens in aiter's order"),
    _quick(16, 1024, "zipf", 100, 0.5, "top_k_first", "where the two orders keep other tokens"),
    _quick(49, 500, "normal", "per_row", "per_row", "joint", "every kind of k and p in one batch"),
    _quick(49, 500, "normal", "per_row", "per_row", "top_k_first", "the same, in sequence"),
    _quick(64, 111, "normal", 10, 0.99, "joint", "k decides"),
    _quick(64, 111, "normal", 100, 0.3, "joint", "p decides"),
    _quick(64, 111, "normal", 2, 0.55, "top_k_first", "two tokens, then one or both"),
    _quick(16, 500, "normal", 20, 1.0, "joint", "p = 1: top-k alone"),
    _quick(16, 500, "normal", 20, 1.0, "top_k_first", "p = 1 after top-k"),
    _quick(16, 500, "normal", ALL_TOKENS, 0.9, "joint", "k > V: top-p alone"),
    _quick(16, 500, "normal", 500, 0.9, "top_k_first", "k = V: top-p alone"),
    _quick(4, 500, "normal", ALL_TOKENS, 1.0, "joint", "nothing is filtered"),
    _quick(16, 500, "normal", 20, 0.0, "joint", "p = 0 keeps the maximum"),
    _quick(16, 500, "bf16_ties", 1, 0.9, "top_k_first", "k = 1 with ties among the maxima"),
    _quick(16, 1024, "tie_classes", 100, 1.0, "joint", "ties at the k-th"),
    _quick(16, 1024, "tie_classes", 100, 0.6, "top_k_first", "ties where the mass reaches p"),
    _quick(16, 1024, "bf16_ties", 200, 0.8, "joint", "bf16-derived ties"),
    _quick(16, 1024, "bf16_ties", 60, 0.95, "top_k_first", "bf16-derived ties, in sequence"),
    _quick(64, 500, "halving", 12, 0.75, "joint", "mass == p on the dot is not below p"),
    _quick(4, 1024, "all_equal", 10, 0.5, "joint", "every token ties"),
    _quick(4, 1024, "one_hot", 3, 0.9, "top_k_first", "one token alone"),
    _quick(16, 500, "zero_rows", 20, 0.9, "joint", "zero rows give zeros"),
    _quick(16, 500, "zero_rows", 20, 0.9, "top_k_first", "zero rows in between stay zero"),
    _quick(16, 1024, "denormal", 700, 0.95, "joint", "denormal probabilities beyond p"),
    _quick(64, 1024, "peaked", 8, 0.6, "top_k_first", "the boundary token is large"),
    _quick(4, 32000, "uniform", 500, 0.9, "top_k_first", "zeros would pass a tolerance of 1e-3"),
    _quick(1, 151937, "last_token", 50, 0.45, "joint", "an odd vocabulary whose last token wins"),
    _quick(2, 151936, "normal", 20, 0.9, "top_k_first", "Qwen's vocabulary"),
    _quick(14, 1000, "normal", "per_row", "per_row", "top_k_first", "row stride V + 10",
           "strided"),
    _quick(14, 1000, "normal", "per_row", "per_row", "joint",
           "base pointers not 16-byte aligned", "offset"),
    _quick(3, 32000, "normal", 50, 0.9, "joint", "a stride where several blocks share a row",
           "strided"),
    _quick(3, 32000, "normal", 50, 0.9, "top_k_first", "offset where several blocks share a row",
           "offset"),
    _quick(3, 32000, "normal", 3000, 0.9, "top_k_first", "more than a block's buffer holds"),
    _quick(600, 111, "normal", "per_row", "per_row", "joint", "more rows than processors"),
    _quick(0, 500, "normal", 10, 0.9, "joint", "no rows"),
    _quick(16, 500, "unnormalised", "per_row", "per_row", "joint", "no distributions"),
    _quick(16, 500, "nan_rows", 10, 0.9, "top_k_first", "NaN must not lead out of bounds"),
    _full(99, 32000, "uniform", 100, 0.5, "joint", "aiter's k, flashinfer's p"),
    _full(99, 32000, "uniform", 500, 0.9, "top_k_first", "aiter's k, flashinfer's p"),
    _full(99, 128256, "uniform", 10, 0.1, "joint", "aiter's k, flashinfer's p"),
    _full(64, 151936, "normal", 20, 0.9, "joint", "the settings of sglang#23388"),
    _full(16, 32000, "normal", 20, 0.9, "joint", "the shape of sglang#23388's figures"),
    _full(64, 32000, "bf16_ties", "per_row", "per_row", "joint", "ties, every kind of k and p"),
    _full(16, 128256, "zipf", "per_row", "per_row", "top_k_first", "Llama-3-sized vocabulary"),
    _full(16, 151937, "tie_classes", 12000, 0.9, "top_k_first", "odd vocabulary, ties everywhere"),
)  # fmt: skip

SPEC = OpSpec(
    name="top_k_top_p_renorm_probs",
    summary="top-k and top-p filters in one call, then division by the kept sum",
    source="sgl-project/sglang#23388 (joint); flashinfer-ai/flashinfer flashinfer/sampling.py "
    "@fb28d724, filter_apply_order",
    sizes=RENORM_SIZES,
    dtypes=("fp32",),
    params={
        "top_k": TOP_K_PARAM,
        "top_p": TOP_P_PARAM,
        "filter_apply_order": Param(
            "word", "joint: both on the original; top_k_first: renormalise in between", ORDERS
        ),
    },
    patterns=tuple(PATTERNS),
    inputs=(
        PROBS,
        TOP_K,
        TOP_P,
        Argument("filter_apply_order", doc="joint or top_k_first"),
    ),
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
