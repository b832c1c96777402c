"""What the gating ops share in their declarations."""

from __future__ import annotations

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.spec import Argument, Cost

GATING_SIZES = {"T": "tokens", "E": "experts", "k": "experts a token goes to (topk)"}

OUTPUTS = (
    Argument("topk_weights", ("T", "k"), "fp32", doc="weights of the chosen experts"),
    Argument("topk_ids", ("T", "k"), "i32", doc="the chosen experts, unique in a row"),
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


def gating_cost(case: Case) -> Cost:
    """Logits read once, weights and ids written once, one comparison a logit."""
    sizes = case.sizes
    logits = sizes["T"] * sizes["E"]
    return Cost(logits * ITEM_BYTES[case.dtype], sizes["T"] * sizes["k"] * 8, logits)
