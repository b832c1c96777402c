"""Harmed kernels of top_p_renorm_probs."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.renorm import (
    column,
    divide_by_sum,
    keep_from,
    keep_top_p,
    rank_probs,
    sum_before,
)
from rocmoe.ops.harms.shared.renorm import Run, edit_param, list_renorm_harms, read_row_zero
from rocmoe.ops.top_p_renorm_probs import run_torch


def cut_boundary(probs: Any, top_p: Any) -> Any:
    """The token that crosses p is dropped, unless it is the first."""
    ranked = rank_probs(probs)
    inclusive = sum_before(ranked) + ranked
    count = (inclusive <= column(top_p, probs)).sum(dim=-1, keepdim=True)
    return keep_from(probs, ranked.gather(1, (count - 1).clamp(min=0)))


def keep_one_more(probs: Any, top_p: Any) -> Any:
    """The likeliest token outside is kept too."""
    import torch

    kept = keep_top_p(probs, top_p)
    outside = torch.where(kept == 0.0, probs, 0.0)
    return torch.where(outside == outside.amax(dim=-1, keepdim=True), probs, kept)


def compare_inclusively(probs: Any, top_p: Any) -> Any:
    """A token is kept while the mass above it is p or less."""
    ranked = rank_probs(probs)
    count = (sum_before(ranked)[:, 1:] <= column(top_p, probs)).sum(dim=-1, keepdim=True)
    return keep_from(probs, ranked.gather(1, count))


def keep_one_of_ties(probs: Any, top_p: Any) -> Any:
    """One token alone is kept of those that tie where p is reached."""
    import torch

    kept = keep_top_p(probs, top_p)
    smallest = torch.where(kept > 0.0, kept, 2.0).amin(dim=-1, keepdim=True)
    tied = kept == smallest
    return torch.where(tied & (tied.cumsum(dim=-1) > 1), 0.0, kept)


def drop_ties(probs: Any, top_p: Any) -> Any:
    """No token is kept of those that tie where p is reached."""
    import torch

    kept = keep_top_p(probs, top_p)
    smallest = torch.where(kept > 0.0, kept, 2.0).amin(dim=-1, keepdim=True)
    tied = kept == smallest
    return torch.where(tied & (tied.sum(dim=-1, keepdim=True) > 1), 0.0, kept)


def keep_none_at_zero(probs: Any, top_p: Any) -> Any:
    """`mass before < p` alone: nothing passes at p = 0."""
    return keep_top_p(probs, top_p).masked_fill(column(top_p, probs) <= 0.0, 0.0)


def cut_mass_ties(probs: Any, top_p: Any) -> Any:
    """Tokens are kept by rank until p is reached, the first of equals by their place."""
    import torch

    target = column(top_p, probs)
    ranked, order = torch.sort(probs, dim=-1, descending=True, stable=True)
    chosen = (sum_before(ranked) < target) | (target >= 1.0)
    chosen[:, 0] = True
    return torch.where(torch.empty_like(chosen).scatter_(1, order, chosen), probs, 0.0)


def bisect_mass(probs: Any, top_p: Any) -> Any:
    """Right: float64 pivots between which the boundary is caught, as flashinfer searches."""
    import torch

    target = column(top_p, probs)
    low = torch.zeros(len(probs), 1, dtype=torch.float64, device=probs.device)
    high = probs.amax(dim=-1, keepdim=True).double()
    for _ in range(60):
        pivot = (low + high) / 2.0
        mass = torch.where(probs > pivot, probs, 0.0).sum(dim=-1, keepdim=True)
        reached = mass >= target
        low, high = torch.where(reached, pivot, low), torch.where(reached, high, pivot)
    kept = torch.where(probs > low, probs, 0.0)
    maxima = keep_from(probs, probs.amax(dim=-1, keepdim=True))
    return torch.where(target >= 1.0, probs, torch.maximum(kept, maxima))


def take_p_relatively(probs: Any, top_p: Any) -> Any:
    """Right: p of the row's own float32 sum, as flashinfer's radix search does."""
    import torch

    target = column(top_p, probs).float()
    whole = probs.sum(dim=-1, keepdim=True)
    return keep_top_p(probs, torch.where(target >= 1.0, target, target * whole).flatten())


def discard_from_below(probs: Any, top_p: Any) -> Any:
    """Right: tokens are discarded while the ascending float32 mass is at most 1 - p."""
    import torch

    target = column(top_p, probs).float().clamp(0.0, 1.0)
    ranked = torch.sort(probs, dim=-1).values
    discarded = ranked.cumsum(dim=-1) <= 1.0 - target
    count = discarded[:, :-1].sum(dim=-1, keepdim=True)
    floor = torch.where(target <= 0.0, ranked[:, -1:], ranked.gather(1, count))
    return keep_from(probs, floor.masked_fill(target >= 1.0, 0.0))


def _copy_all(probs: Any, top_p: Any) -> Any:
    """Right: with p >= 1 a row that sums to one is multiplied by one, not divided by its sum."""
    import torch

    return torch.where(column(top_p, probs) >= 1.0, probs, run_torch(probs, top_p))


def _divide(keep: Run) -> Run:
    def harmed(probs: Any, top_p: Any) -> Any:
        return divide_by_sum(keep(probs, top_p))

    return harmed


HARMS = (
    *list_renorm_harms(run_torch),
    Harm("cut_boundary", "the token that crosses p is dropped", _divide(cut_boundary)),
    Harm("keep_one_more", "the likeliest token outside is kept", _divide(keep_one_more)),
    Harm("inclusive", "mass == p still keeps a token", _divide(compare_inclusively)),
    Harm("one_of_ties", "one of the boundary's equals is kept", _divide(keep_one_of_ties)),
    Harm("drop_ties", "all of the boundary's equals are dropped", _divide(drop_ties)),
    Harm("none_at_zero", "p = 0 keeps nothing", _divide(keep_none_at_zero)),
    Harm("row_zero_top_p", "row 0's p serves all", edit_param(run_torch, "top_p", read_row_zero)),
    Harm("cut_ties", "the boundary's equals are kept by rank", _divide(cut_mass_ties),
         strict_only=True),
    Harm("rank_cut", "the boundary's equals are kept by rank until p is reached",
         _divide(cut_mass_ties), right=True),
    Harm("bisection", "the boundary is searched with float64 pivots", _divide(bisect_mass),
         right=True),
    Harm("relative_p", "p of the row's own sum", _divide(take_p_relatively), right=True),
    Harm("ascending_mass", "discards from below, in float32", _divide(discard_from_below),
         right=True),
    Harm("copy_all", "p >= 1 multiplies by one", _copy_all, right=True),
)  # fmt: skip
