"""qk_rmsnorm: RMSNorm of every query head and every key head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.hidden_states import PATTERNS
from rocmoe.ops.core.spec import (
    DTYPES,
    LAYOUTS,
    Argument,
    Cost,
    Inputs,
    OpSpec,
    Row,
    compare_nothing,
)
from rocmoe.ops.families.gating import ITEM_BYTES
from rocmoe.ops.families.qk import (
    DERIVED,
    EPS,
    HEAD_SIZES,
    check_heads,
    draw_heads,
    draw_weight,
    find_eps,
    find_head_sizes,
    heads_degenerate,
    join_heads,
    normalize_heads,
)
from rocmoe.references import qk_rmsnorm as reference


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """q [T, Hq*D] and k [T, Hkv*D] by the case's pattern, two weights [D]."""
    return {
        "q": draw_heads(case, rng, case.sizes["Hq"]),
        "k": draw_heads(case, rng, case.sizes["Hkv"]),
        "q_weight": draw_weight(case, rng),
        "k_weight": draw_weight(case, rng),
        "eps": case.params["eps"],
    }


def run_torch(q: Any, k: Any, q_weight: Any, k_weight: Any, eps: float) -> tuple[Any, Any]:
    """q_out, k_out as q, k: float32 inside, rounded once."""
    return (
        join_heads(normalize_heads(q, q_weight, eps), q),
        join_heads(normalize_heads(k, k_weight, eps), k),
    )


def estimate_cost(case: Case) -> Cost:
    """Heads read and written once, weights read once; square, sum, scale and weight each."""
    sizes = case.sizes
    item = ITEM_BYTES[case.dtype]
    elements = sizes["T"] * (sizes["Hq"] + sizes["Hkv"]) * sizes["D"]
    weights = 2 * sizes["D"] if sizes["T"] else 0
    return Cost((elements + weights) * item, elements * item, 4 * elements)


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """Models that normalise each query and key head."""
    sizes = find_head_sizes(model)
    return None if sizes is None else (sizes, {"eps": find_eps(model)})


def _row(
    suite: str, T: int, Hq: int, Hkv: int, D: int, dtype: str, pattern: str, why: str,
    layout: str = "contiguous", eps: float = 1e-6,
) -> Row:  # fmt: skip
    sizes = {"T": T, "Hq": Hq, "Hkv": Hkv, "D": D}
    return Row(suite, sizes, dtype, {"eps": eps}, pattern, layout, why)


CASES = (
    _row("smoke", 16, 32, 8, 128, "bf16", "normal", "Qwen3-8B: 32 query heads, 8 key heads"),
    _row("smoke", 7, 4, 4, 64, "fp32", "scaled_heads", "as many key heads as query heads"),
    _row("quick", 17, 32, 8, 128, "bf16", "scaled_heads", "q and k are views of one qkv: "
         "sgl-project/sglang#23159", layout="qkv_views"),
    _row("quick", 9, 16, 2, 256, "fp16", "normal", "views of one qkv, the key rows far apart",
         layout="qkv_views"),
    _row("quick", 17, 8, 2, 64, "fp32", "normal", "views of one qkv, four bytes an element",
         layout="qkv_views"),
    _row("quick", 17, 8, 2, 128, "fp16", "scaled_heads", "strided, where vectors of 16 bytes fit "
         "a head", layout="strided"),
    _row("quick", 17, 8, 2, 128, "bf16", "scaled_heads", "offset, where vectors of 16 bytes fit "
         "a head", layout="offset"),
    _row("quick", 17, 4, 2, 64, "fp32", "scaled_heads", "offset, four bytes an element",
         layout="offset"),
    _row("quick", 600, 2, 1, 32, "bf16", "scaled_heads", "more tokens than a GPU has processors"),
    _row("quick", 33, 6, 2, 80, "bf16", "normal", "row stride not a multiple of 16 bytes",
         layout="strided"),
    _row("quick", 33, 8, 1, 96, "fp16", "uniform", "base pointers not 16-byte aligned",
         layout="offset"),
    _row("quick", 64, 8, 8, 64, "fp32", "small", "eps decides as much as the heads do"),
    _row("quick", 64, 8, 2, 128, "bf16", "small", "a larger eps", eps=1e-5),
    _row("quick", 64, 8, 1, 192, "bf16", "one_hot", "a lane left out; 192 = 128 + 64"),
    _row("quick", 64, 5, 3, 80, "fp32", "heavy_tail", "the tail of 80 = 64 + 16"),
    _row("quick", 64, 12, 4, 128, "fp16", "large", "squares overflow in float16"),
    _row("quick", 64, 4, 2, 128, "bf16", "overflow", "squares overflow in float32"),
    _row("quick", 64, 4, 2, 64, "fp32", "overflow", "squares overflow in float32", eps=1e-5),
    _row("quick", 64, 8, 4, 128, "bf16", "outliers", "a sum in bf16 loses most elements"),
    _row("quick", 33, 4, 2, 64, "fp32", "zero_heads", "zeros stay zeros: no 0 * inf"),
    _row("quick", 33, 4, 4, 128, "bf16", "denormal", "denormal heads among normal ones"),
    _row("quick", 33, 4, 4, 64, "fp16", "denormal", "float16 denormals are kept"),
    _row("quick", 33, 4, 2, 64, "bf16", "nan_heads", "a NaN stays in its head"),
    _row("quick", 33, 4, 2, 128, "fp32", "inf_heads", "an infinity stays in its head"),
    _row("quick", 33, 1, 1, 1024, "bf16", "normal", "one head a row, as aiter's test: "
         "N1 = N2 = 1024"),
    _row("quick", 64, 2, 6, 64, "bf16", "normal", "more key heads than query heads"),
    _row("quick", 31, 3, 2, 1, "fp32", "normal", "heads of one element: only a sign is left"),
    _row("quick", 31, 3, 1, 37, "fp32", "normal", "an odd head, no vector access"),
    _row("quick", 0, 32, 8, 128, "bf16", "normal", "zero tokens"),
    _row("quick", 1, 32, 8, 128, "bf16", "normal", "one token"),
    _row("full", 1000, 32, 8, 128, "bf16", "normal", "Qwen3-8B prefill, 1000 tokens"),
    _row("full", 400, 32, 8, 128, "fp16", "scaled_heads", "views at a prefill's size",
         layout="qkv_views"),
    _row("full", 2048, 8, 4, 128, "bf16", "normal", "aiter's N1 = 1024, N2 = 512"),
    _row("full", 1024, 12, 8, 128, "fp16", "normal", "aiter's N1 = 1536, N2 = 1024"),
    _row("full", 65536, 1, 1, 32, "bf16", "normal", "aiter's most rows; from 16384 on it "
         "launches twice"),
    _row("full", 16385, 2, 1, 64, "fp32", "normal", "one past the row count where aiter changes"),
    _row("full", 512, 16, 2, 256, "bf16", "outliers", "Qwen3-Next-sized"),
    _row("full", 128, 1, 1, 8192, "fp32", "normal", "the widest row that aiter takes"),
)  # fmt: skip

SPEC = OpSpec(
    name="qk_rmsnorm",
    summary="RMSNorm of every query head and every key head",
    source="ROCm/aiter aiter/ops/fused_qk_rmsnorm_group_quant.py @e4048607, used per head as "
    "sgl-project/sglang apply_qk_norm does",
    sizes=HEAD_SIZES,
    derived=DERIVED,
    dtypes=DTYPES,
    params={"eps": EPS},
    patterns=tuple(PATTERNS),
    layouts=tuple(LAYOUTS),
    row_pitch=DERIVED["qkv_width"],
    inputs=(
        Argument("q", ("T", "q_width"), "case", doc="query heads, side by side"),
        Argument("k", ("T", "kv_width"), "case", doc="key heads, side by side"),
        Argument("q_weight", ("D",), "case", doc="weight of every query head"),
        Argument("k_weight", ("D",), "case", doc="weight of every key head"),
        Argument("eps", doc="added to the mean square, inside the root"),
    ),
    outputs=(
        Argument("q_out", ("T", "q_width"), "case", doc="normalised query heads"),
        Argument("k_out", ("T", "kv_width"), "case", doc="normalised key heads"),
    ),
    draw=draw,
    oracle=reference.oracle,
    judge=reference.judge,
    run_torch=run_torch,
    cases=CASES,
    cost=estimate_cost,
    canonical=compare_nothing,
    degenerate=heads_degenerate,
    refuse_case=check_heads,
    from_model=from_model,
)
