"""top_k_renorm_probs: the k largest probabilities of each row, divided by their sum."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.probabilities import PATTERNS
from rocmoe.ops.core.spec import Inputs, OpSpec
from rocmoe.ops.families.renorm import (
    ALL_TOKENS,
    OUTPUTS,
    PROBS,
    RENORM_SIZES,
    TOP_K,
    TOP_K_PARAM,
    check_renorm,
    divide_by_sum,
    draw_probs,
    draw_top_k,
    keep_top_k,
    make_row,
    mark_kept,
    renorm_cost,
    renorm_degenerate,
    renorm_out_of_contract,
    vocabulary_of,
)
from rocmoe.references import top_k_renorm_probs as reference


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """probs [B, V] by the case's pattern; top_k as the case says."""
    return {"probs": draw_probs(case, rng), "top_k": draw_top_k(case, rng)}


def run_torch(probs: Any, top_k: Any) -> Any:
    """renorm_probs f32 [B, V]; every token that equals the k-th largest is kept with it."""
    return divide_by_sum(keep_top_k(probs, top_k))


def degenerate(case: Case) -> str | None:
    """Cases of which a copy is right."""
    top_k = case.params["top_k"]
    if isinstance(top_k, int) and top_k >= case.sizes["V"]:
        return "k >= V keeps all: the copy is right"
    return renorm_degenerate(case)


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """A model's vocabulary, with vLLM's and aiter's customary k."""
    sizes = vocabulary_of(model)
    return (sizes, {"top_k": 50}) if sizes else None


_smoke, _quick, _full = (partial(make_row, suite) for suite in ("smoke", "quick", "full"))

CASES = (
    _smoke(16, 1024, "normal", "a small vocabulary, the customary k", top_k=50),
    _smoke(14, 500, "bf16_ties", "every kind of k in one batch, and ties", top_k="per_row"),
    _quick(99, 111, "uniform", "aiter's smallest vocabulary", top_k=10),
    _quick(64, 111, "normal", "k = 1 keeps the maximum alone", top_k=1),
    _quick(16, 500, "normal", "k = V - 1 drops one token", top_k=499),
    _quick(4, 500, "uniform", "k = V", top_k=500),
    _quick(4, 500, "normal", "k > V, sglang's word for all tokens", top_k=ALL_TOKENS),
    _quick(16, 1024, "tie_classes", "a class of equals around the k-th", top_k=100),
    _quick(16, 1024, "bf16_ties", "bf16-derived ties around the k-th", top_k=50),
    _quick(4, 1024, "all_equal", "every token ties", top_k=10),
    _quick(4, 1024, "one_hot", "fewer positive tokens than k", top_k=3),
    _quick(16, 500, "zero_rows", "zero rows give zeros", top_k=10),
    _quick(16, 111, "denormal", "the k-th largest is a denormal number", top_k=80),
    _quick(16, 1024, "denormal", "denormal numbers below the k-th", top_k=100),
    _quick(16, 500, "halving", "powers of two and zeros", top_k=12),
    _quick(64, 500, "peaked", "the kept sum is nearly one", top_k=2),
    _quick(4, 32000, "flat", "near-ties throughout", top_k=500),
    _quick(14, 1024, "zipf", "mixed k, as aiter#5191's batches", top_k="per_row"),
    _quick(4, 32000, "uniform", "zeros would pass flashinfer's tolerance", top_k=100),
    _quick(1, 151937, "last_token", "an odd vocabulary whose last token wins", top_k=50),
    _quick(2, 151936, "normal", "Qwen's vocabulary", top_k=20),
    _quick(7, 1000, "normal", "row stride V + 10", top_k="per_row", layout="strided"),
    _quick(7, 1000, "normal", "base pointers not 16-byte aligned", top_k="per_row",
           layout="offset"),
    _quick(3, 32000, "normal", "a stride where several blocks share a row", top_k=50,
           layout="strided"),
    _quick(3, 32000, "normal", "offset where several blocks share a row", top_k=50,
           layout="offset"),
    _quick(3, 32000, "normal", "more than a block's buffer of candidates", top_k=3000),
    _quick(600, 111, "normal", "more rows than a GPU has processors", top_k="per_row"),
    _quick(0, 500, "normal", "no rows", top_k=10),
    _quick(16, 500, "unnormalised", "rows that are no distributions", top_k="per_row"),
    _quick(16, 500, "nan_rows", "NaN must not lead out of bounds", top_k=10),
    _full(99, 32000, "uniform", "aiter's grid", top_k=10),
    _full(19, 128256, "uniform", "aiter's grid", top_k=500),
    _full(99, 128256, "uniform", "aiter's grid", top_k=100),
    _full(64, 151936, "normal", "the settings of sglang#23388, at Qwen's vocabulary", top_k=20),
    _full(64, 32000, "bf16_ties", "ties in a Llama-2-sized vocabulary", top_k="per_row"),
    _full(16, 128256, "zipf", "mixed k in a Llama-3-sized vocabulary", top_k="per_row"),
    _full(16, 151937, "tie_classes", "an odd vocabulary, ties at every boundary", top_k=500),
    _full(99, 500, "flat", "aiter's grid, near-ties", top_k=100),
)  # fmt: skip

SPEC = OpSpec(
    name="top_k_renorm_probs",
    summary="keep the k largest probabilities of each row, divide by their sum",
    source="ROCm/aiter aiter/ops/sampling.py and csrc/cpp_itfs/sampling @e4048607, "
    "flashinfer-ai/flashinfer flashinfer/sampling.py @fb28d724",
    sizes=RENORM_SIZES,
    dtypes=("fp32",),
    params={"top_k": TOP_K_PARAM},
    patterns=tuple(PATTERNS),
    inputs=(PROBS, TOP_K),
    outputs=OUTPUTS,
    draw=draw,
    oracle=reference.oracle,
    judge=reference.judge,
    run_torch=run_torch,
    cases=CASES,
    cost=renorm_cost,
    canonical=mark_kept,
    degenerate=degenerate,
    out_of_contract=renorm_out_of_contract,
    refuse_case=check_renorm,
    from_model=from_model,
)
