"""Harmed kernels of top_k_top_p_renorm_probs."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.renorm import column, divide_by_sum, keep_top_k, keep_top_p
from rocmoe.ops.harms.shared.renorm import Run, edit_param, list_renorm_harms, read_row_zero
from rocmoe.ops.harms.top_k_renorm_probs import (
    clamp_to_50,
    cut_rank_ties,
    keep_distinct,
    less_one,
    one_more,
    search_bits,
)
from rocmoe.ops.harms.top_p_renorm_probs import (
    bisect_mass,
    compare_inclusively,
    cut_boundary,
    cut_mass_ties,
    discard_from_below,
    drop_ties,
    keep_none_at_zero,
    keep_one_more,
    keep_one_of_ties,
    take_p_relatively,
)
from rocmoe.ops.top_k_top_p_renorm_probs import ORDERS, compose, run_torch


def _with_rank(by_rank: Run) -> Run:
    return compose(by_rank, keep_top_p)


def _with_mass(by_mass: Run) -> Run:
    return compose(keep_top_k, by_mass)


def _always(order: str) -> Run:
    """The filters are applied in this order whatever is asked for."""

    def harmed(probs: Any, top_k: Any, top_p: Any, filter_apply_order: str) -> Any:
        return run_torch(probs, top_k, top_p, order)

    return harmed


def _swap_orders(probs: Any, top_k: Any, top_p: Any, filter_apply_order: str) -> Any:
    other = ORDERS[1 - ORDERS.index(filter_apply_order)]
    return run_torch(probs, top_k, top_p, other)


def _apply_top_p_first(probs: Any, top_k: Any, top_p: Any, filter_apply_order: str) -> Any:
    """Right for joint; in sequence it takes p of the whole row instead of the k largest."""
    return divide_by_sum(keep_top_k(keep_top_p(probs, top_p), top_k))


def _keep_either(probs: Any, top_k: Any, top_p: Any, filter_apply_order: str) -> Any:
    """Tokens that pass one of the filters are kept."""
    import torch

    return divide_by_sum(torch.maximum(keep_top_k(probs, top_k), keep_top_p(probs, top_p)))


def _skip_division_at_one(probs: Any, top_k: Any, top_p: Any, filter_apply_order: str) -> Any:
    """p >= 1 returns early, with what top-k kept as it was."""
    import torch

    answer = run_torch(probs, top_k, top_p, filter_apply_order)
    return torch.where(column(top_p, probs) >= 1.0, keep_top_k(probs, top_k), answer)


def _scale_p(probs: Any, top_k: Any, top_p: Any, filter_apply_order: str) -> Any:
    """Right: in sequence, p of the kept mass is compared with masses that were never divided."""
    import torch

    if filter_apply_order == "joint":
        return run_torch(probs, top_k, top_p, filter_apply_order)
    kept = keep_top_k(probs, top_k)
    target = column(top_p, probs)
    scaled = torch.where(target >= 1.0, target, target * kept.sum(dim=-1, keepdim=True))
    return divide_by_sum(keep_top_p(kept, scaled.flatten()))


HARMS = (
    *list_renorm_harms(run_torch),
    Harm("swap_orders", "joint and top_k_first are exchanged", _swap_orders),
    Harm("always_joint", "no renormalisation in between", _always("joint")),
    Harm("always_in_sequence", "renormalised in between unasked", _always("top_k_first")),
    Harm("top_p_first", "top-p before top-k", _apply_top_p_first),
    Harm("ignore_top_k", "top-p alone", _with_rank(lambda probs, top_k: probs)),
    Harm("ignore_top_p", "top-k alone", _with_mass(lambda probs, top_p: probs)),
    Harm("keep_either", "one filter passed is enough", _keep_either),
    Harm("skip_division", "p >= 1 returns before the division", _skip_division_at_one),
    Harm("one_too_few", "k - 1 tokens are kept", edit_param(run_torch, "top_k", less_one)),
    Harm("one_too_many", "k + 1 tokens are kept", edit_param(run_torch, "top_k", one_more)),
    Harm("cut_rank_ties", "exactly k tokens pass top-k", _with_rank(cut_rank_ties)),
    Harm("count_ties_once", "the k largest distinct values pass", _with_rank(keep_distinct)),
    Harm("large_k_is_50", "k > V counts as 50", edit_param(run_torch, "top_k", clamp_to_50)),
    Harm("cut_boundary", "the token that crosses p is dropped", _with_mass(cut_boundary)),
    Harm("keep_one_more", "the likeliest token outside is kept", _with_mass(keep_one_more)),
    Harm("inclusive", "mass == p still keeps a token", _with_mass(compare_inclusively)),
    Harm("one_of_ties", "one of the boundary's equals is kept", _with_mass(keep_one_of_ties)),
    Harm("drop_ties", "the boundary's equals are dropped", _with_mass(drop_ties)),
    Harm("none_at_zero", "p = 0 keeps nothing", _with_mass(keep_none_at_zero)),
    Harm("row_zero_top_k", "row 0's k serves all", edit_param(run_torch, "top_k", read_row_zero)),
    Harm("row_zero_top_p", "row 0's p serves all", edit_param(run_torch, "top_p", read_row_zero)),
    Harm("cut_mass_ties", "the boundary's equals are kept by rank", _with_mass(cut_mass_ties),
         strict_only=True),
    Harm("rank_cut", "the boundary's equals are kept by rank until p is reached",
         _with_mass(cut_mass_ties), right=True),
    Harm("bisection", "both boundaries are searched for", compose(search_bits, bisect_mass),
         right=True),
    Harm("relative_p", "p of the row's own sum", _with_mass(take_p_relatively), right=True),
    Harm("ascending_mass", "discards from below, in float32", _with_mass(discard_from_below),
         right=True),
    Harm("scaled_p", "p is scaled in place of the masses", _scale_p, right=True),
)  # fmt: skip
