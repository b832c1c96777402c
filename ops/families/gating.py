"""What the gating ops share in their declarations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.patterns import biases
from rocmoe.ops.core.patterns.logits import SHIFTED
from rocmoe.ops.core.spec import Argument, Cost, Param

GATING_SIZES = {"T": "tokens", "E": "experts", "k": "experts a token goes to (topk)"}

OUTPUTS = (
    Argument("topk_weights", ("T", "k"), "fp32", doc="weights of the chosen experts"),
    Argument("topk_ids", ("T", "k"), "i32", doc="the chosen experts, unique in a row"),
)

RENORMALIZE = Param("bool", "divide the chosen weights by their sum")
CORRECTION_BIAS = Param(
    "word or none", "contents of the bias that experts are chosen by", tuple(biases.PATTERNS)
)
BIAS_ARGUMENT = Argument(
    "correction_bias", ("E",), "fp32", optional=True, doc="added to a score to choose by it"
)

ITEM_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


def check_topk(case: Case) -> str | None:
    """k must lie in [1, E]."""
    topk, experts = case.sizes["k"], case.sizes["E"]
    return None if 1 <= topk <= experts else f"k={topk} is not in [1, E={experts}]"


def gating_degenerate(case: Case) -> str | None:
    """Cases on which a trivial choice of experts is right."""
    if case.sizes["T"] == 0:
        return "no tokens: nothing is computed"
    if case.pattern == "all_equal":
        return "every expert ties: any choice is right"
    if case.sizes["E"] == 1:
        return "a single expert: nothing is chosen"
    return None


def scores_vanish(case: Case) -> str | None:
    """Cases of sigmoid or softplus on which no score is told from 0: tokens choose alike."""
    return "every score underflows to 0: no token differs" if case.pattern in SHIFTED else None


def gating_cost(case: Case) -> Cost:
    """Logits and bias read once, weights and ids written once, one comparison a logit."""
    sizes = case.sizes
    logits = sizes["T"] * sizes["E"]
    bias = 4 * sizes["E"] if case.params.get("correction_bias") else 0
    return Cost(logits * ITEM_BYTES[case.dtype] + bias, sizes["T"] * sizes["k"] * 8, logits)


def draw_bias(case: Case, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """correction_bias [E] by the case's word for it, None where it has none."""
    word = case.params["correction_bias"]
    return None if word is None else biases.PATTERNS[str(word)].fill(rng, case.sizes["E"])


def sort_experts(keys: Any, count: int) -> Any:
    """Torch indices [T, count] of the largest keys; lowest index among equals, NaN sorts last."""
    import torch

    usable = keys.masked_fill(keys.isnan(), float("-inf"))
    return torch.sort(usable, dim=-1, descending=True, stable=True).indices[:, :count]
