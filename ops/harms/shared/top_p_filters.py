"""Harmed top-p filters: each takes probs and top_p, and zeroes what it drops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.renorm import column, keep_from, keep_top_p, rank_probs, sum_before
from rocmoe.ops.harms.shared.any_op import Kernel
from rocmoe.ops.harms.shared.renorm import edit_param, keep_ranked, read_row_zero
from rocmoe.ops.harms.shared.values import scan_in_any_order


def list_top_p_harms(run: Kernel, compose: Callable[[Kernel], Kernel]) -> tuple[Harm, ...]:
    """The harms of an op that keeps mass p; `compose` makes the op with another filter."""
    wrong = (
        ("cut_boundary", "the token that crosses p is dropped", _cut_boundary),
        ("keep_one_more", "the likeliest token outside is kept", _keep_one_more),
        ("inclusive", "mass == p still keeps a token", _compare_inclusively),
        ("one_of_ties", "one of the boundary's equals is kept", _keep_one_of_ties),
        ("drop_ties", "all of the boundary's equals are dropped", _drop_ties),
        ("none_at_zero", "p = 0 keeps nothing", _keep_none_at_zero),
    )
    right = (
        ("rank_cut", "the boundary's equals are kept by rank until p is reached", cut_mass_ties),
        ("relative_p", "p of the row's own sum", _take_p_relatively),
        ("any_prefix_order", "masses are added in another order at every call", _add_in_any_order),
        ("ascending_mass", "discards from below, in float32", _discard_from_below),
    )
    return (
        *(Harm(name, text, compose(keep)) for name, text, keep in wrong),
        Harm("row_zero_top_p", "row 0's p serves all", edit_param(run, "top_p", read_row_zero)),
        *(Harm(name, text, compose(keep), right=True) for name, text, keep in right),
    )


def _cut_boundary(probs: Any, top_p: Any) -> Any:
    """The token that crosses p is dropped, unless it is the first."""
    ranked = rank_probs(probs)
    inclusive = sum_before(ranked) + ranked
    count = (inclusive <= column(top_p, probs)).sum(dim=-1, keepdim=True)
    return keep_from(probs, ranked.gather(1, (count - 1).clamp(min=0)))


def _keep_one_more(probs: Any, top_p: Any) -> Any:
    """The likeliest token outside is kept too."""
    import torch

    kept = keep_top_p(probs, top_p)
    outside = torch.where(kept == 0.0, probs, 0.0)
    return torch.where(outside == outside.amax(dim=-1, keepdim=True), probs, kept)


def _compare_inclusively(probs: Any, top_p: Any) -> Any:
    """A token is kept while the mass above it is p or less."""
    ranked = rank_probs(probs)
    count = (sum_before(ranked)[:, 1:] <= column(top_p, probs)).sum(dim=-1, keepdim=True)
    return keep_from(probs, ranked.gather(1, count))


def _keep_one_of_ties(probs: Any, top_p: Any) -> Any:
    """One token alone is kept of those that tie where p is reached."""
    import torch

    kept = keep_top_p(probs, top_p)
    tied = _find_boundary(kept)
    return torch.where(tied & (tied.cumsum(dim=-1) > 1), 0.0, kept)


def _drop_ties(probs: Any, top_p: Any) -> Any:
    """No token is kept of those that tie where p is reached."""
    import torch

    kept = keep_top_p(probs, top_p)
    tied = _find_boundary(kept)
    return torch.where(tied & (tied.sum(dim=-1, keepdim=True) > 1), 0.0, kept)


def _keep_none_at_zero(probs: Any, top_p: Any) -> Any:
    """`mass before < p` alone: nothing passes at p = 0."""
    return keep_top_p(probs, top_p).masked_fill(column(top_p, probs) <= 0.0, 0.0)


def cut_mass_ties(probs: Any, top_p: Any) -> Any:
    """Tokens are kept by rank until p is reached, the first of equals by their place."""
    import torch

    target = column(top_p, probs)
    ranked, order = torch.sort(probs, dim=-1, descending=True, stable=True)
    chosen = (sum_before(ranked) < target) | (target >= 1.0)
    chosen[:, 0] = True
    return keep_ranked(probs, order, chosen)


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


def _take_p_relatively(probs: Any, top_p: Any) -> Any:
    """Right: p of the row's own float32 sum, as flashinfer's radix search does."""
    import torch

    target = column(top_p, probs).float()
    whole = probs.sum(dim=-1, keepdim=True)
    return keep_top_p(probs, torch.where(target >= 1.0, target, target * whole).flatten())


def _discard_from_below(probs: Any, top_p: Any) -> Any:
    """Right: tokens are discarded while the ascending float32 mass is at most 1 - p."""
    import torch

    target = column(top_p, probs).float().clamp(0.0, 1.0)
    ranked = torch.sort(probs, dim=-1).values
    discarded = ranked.cumsum(dim=-1) <= 1.0 - target
    count = discarded[:, :-1].sum(dim=-1, keepdim=True)
    floor = torch.where(target <= 0.0, ranked[:, -1:], ranked.gather(1, count))
    return keep_from(probs, floor.masked_fill(target >= 1.0, 0.0))


def _add_in_any_order(probs: Any, top_p: Any) -> Any:
    """Right: float32 masses whose rounding differs from call to call."""
    target = column(top_p, probs).float()
    ranked = rank_probs(probs)
    count = (scan_in_any_order(ranked)[:, :-1] < target).sum(dim=-1, keepdim=True)
    return keep_from(probs, ranked.gather(1, count).masked_fill(target >= 1.0, 0.0))


def _find_boundary(kept: Any) -> Any:
    """True [B, V] for the smallest tokens kept."""
    import torch

    smallest = torch.where(kept > 0.0, kept, 2.0).amin(dim=-1, keepdim=True)
    return kept == smallest
