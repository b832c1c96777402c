"""Harmed kernels of top_k_top_p_renorm_probs."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.renorm import column, divide_by_sum, keep_top_k, keep_top_p
from rocmoe.ops.harms.shared.any_op import Inputs, Kernel, fix_inputs, spoil_outputs
from rocmoe.ops.harms.shared.renorm import list_renorm_harms
from rocmoe.ops.harms.shared.top_k_filters import cut_rank_ties, list_top_k_harms, search_bits
from rocmoe.ops.harms.shared.top_p_filters import bisect_mass, cut_mass_ties, list_top_p_harms
from rocmoe.ops.top_k_top_p_renorm_probs import ORDERS, compose, run_torch


def _with_rank(by_rank: Kernel) -> Kernel:
    return compose(by_rank, keep_top_p)


def _with_mass(by_mass: Kernel) -> Kernel:
    return compose(keep_top_k, by_mass)


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


def _skip_division_at_one(inputs: Inputs, answer: Any) -> Any:
    """p >= 1 returns early, with what top-k kept as it was."""
    kept = keep_top_k(inputs["probs"], inputs["top_k"])
    return kept.where(column(inputs["top_p"], answer) >= 1.0, answer)


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
    *list_top_k_harms(run_torch, _with_rank),
    *list_top_p_harms(run_torch, _with_mass),
    Harm("swap_orders", "joint and top_k_first are exchanged", _swap_orders),
    Harm("always_joint", "no renormalisation in between",
         fix_inputs(run_torch, filter_apply_order="joint")),
    Harm("always_in_sequence", "renormalised in between unasked",
         fix_inputs(run_torch, filter_apply_order="top_k_first")),
    Harm("top_p_first", "top-p before top-k", _apply_top_p_first),
    Harm("ignore_top_k", "top-p alone", _with_rank(lambda probs, top_k: probs)),
    Harm("ignore_top_p", "top-k alone", _with_mass(lambda probs, top_p: probs)),
    Harm("keep_either", "one filter passed is enough", _keep_either),
    Harm("skip_division", "p >= 1 returns before the division",
         spoil_outputs(run_torch, _skip_division_at_one)),
    Harm("cut_rank_ties", "exactly k tokens pass top-k", _with_rank(cut_rank_ties)),
    Harm("cut_mass_ties", "the boundary's equals are kept by rank", _with_mass(cut_mass_ties),
         strict_only=True),
    Harm("bisection", "both boundaries are searched for", compose(search_bits, bisect_mass),
         right=True),
    Harm("scaled_p", "p is scaled in place of the masses", _scale_p, right=True),
)  # fmt: skip
