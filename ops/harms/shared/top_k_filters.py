"""Harmed top-k filters: each takes probs and top_k, and zeroes what it drops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.renorm import column, keep_from, rank_probs
from rocmoe.ops.harms.shared.any_op import Kernel
from rocmoe.ops.harms.shared.renorm import edit_param, keep_ranked, read_row_zero


def list_top_k_harms(run: Kernel, compose: Callable[[Kernel], Kernel]) -> tuple[Harm, ...]:
    """The harms of an op that keeps the k largest; `compose` makes the op with another filter."""
    edits = (
        ("one_too_few", "k - 1 tokens are kept", _subtract_one),
        ("one_too_many", "k + 1 tokens are kept", _add_one),
        ("row_zero_top_k", "row 0's k serves all", read_row_zero),
        ("large_k_is_50", "k > V counts as 50", _clamp_to_50),
        ("scalar_k_is_512", "a scalar k beyond 512 counts as 512", _clamp_scalar),
    )
    return (
        *(Harm(name, text, edit_param(run, "top_k", edit)) for name, text, edit in edits),
        Harm("count_ties_once", "the k largest distinct values are kept", compose(_keep_distinct)),
    )


def cut_rank_ties(probs: Any, top_k: Any) -> Any:
    """Exactly k tokens are kept: what torch.topk's indices give."""
    import torch

    order = torch.sort(probs, dim=-1, descending=True, stable=True).indices
    place = torch.arange(probs.shape[1], device=probs.device)
    chosen = (place < column(top_k, probs)).expand_as(probs)
    return keep_ranked(probs, order, chosen)


def _keep_distinct(probs: Any, top_k: Any) -> Any:
    """Ties are counted once: the k largest distinct values are kept."""
    ranked = rank_probs(probs)
    step = ranked[:, 1:] != ranked[:, :-1]
    later = step.cumsum(dim=-1) >= column(top_k, probs)
    first_dropped = (~later).sum(dim=-1, keepdim=True)
    return keep_from(probs, ranked.gather(1, first_dropped))


def search_bits(probs: Any, top_k: Any) -> Any:
    """Right: the k-th largest is found bit by bit, as radix kernels do.

    Numbers that are not negative are ordered as their bits are.
    """
    import torch

    wanted = column(top_k, probs).clamp(max=probs.shape[1])
    bits = probs.contiguous().view(torch.int32)
    floor = torch.zeros(len(probs), 1, dtype=torch.int32, device=probs.device)
    for bit in range(30, -1, -1):
        higher = floor | 1 << bit
        enough = (bits >= higher).sum(dim=-1, keepdim=True) >= wanted
        floor = torch.where(enough, higher, floor)
    return torch.where(bits >= floor, probs, 0.0)


def _subtract_one(value: Any, vocabulary: int) -> Any:
    """k - 1, but one at least."""
    return value.sub(1).clamp(min=1) if hasattr(value, "clamp") else max(value - 1, 1)


def _add_one(value: Any, vocabulary: int) -> Any:
    """k + 1."""
    return value + 1


def _clamp_to_50(value: Any, vocabulary: int) -> Any:
    """A k beyond the vocabulary is taken for 50."""
    if hasattr(value, "where"):
        return value.where(value <= vocabulary, 50)
    return value if value <= vocabulary else 50


def _clamp_scalar(value: Any, vocabulary: int) -> Any:
    """A scalar k beyond what a block's buffer holds, unless it asks for all tokens."""
    return min(value, 512) if isinstance(value, int) and value < vocabulary else value
