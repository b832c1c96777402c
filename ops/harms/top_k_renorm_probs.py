"""Harmed kernels of top_k_renorm_probs."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.renorm import column, divide_by_sum, keep_from, rank_probs
from rocmoe.ops.harms.shared.renorm import Run, edit_param, list_renorm_harms, read_row_zero
from rocmoe.ops.top_k_renorm_probs import run_torch


def cut_rank_ties(probs: Any, top_k: Any) -> Any:
    """Exactly k tokens are kept: what torch.topk's indices give."""
    import torch

    order = torch.sort(probs, dim=-1, descending=True, stable=True).indices
    place = torch.arange(probs.shape[1], device=probs.device)
    chosen = (place < column(top_k, probs)).expand_as(probs)
    return torch.where(torch.empty_like(chosen).scatter_(1, order, chosen), probs, 0.0)


def keep_distinct(probs: Any, top_k: Any) -> Any:
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


def less_one(value: Any, vocabulary: int) -> Any:
    """k - 1, but one at least."""
    return value.sub(1).clamp(min=1) if hasattr(value, "clamp") else max(value - 1, 1)


def one_more(value: Any, vocabulary: int) -> Any:
    """k + 1."""
    return value + 1


def clamp_to_50(value: Any, vocabulary: int) -> Any:
    """A k beyond the vocabulary is taken for 50."""
    if hasattr(value, "where"):
        return value.where(value <= vocabulary, 50)
    return value if value <= vocabulary else 50


def _keep_none_of_all(probs: Any, top_k: Any) -> Any:
    """A k beyond the vocabulary is taken for zero."""
    answer = run_torch(probs, top_k)
    return answer.masked_fill(column(top_k, probs) > probs.shape[1], 0.0)


def _copy_all(probs: Any, top_k: Any) -> Any:
    """Right: with k >= V a row that sums to one is handed back as it is."""
    import torch

    everything = column(top_k, probs) >= probs.shape[1]
    return torch.where(everything, probs, run_torch(probs, top_k))


def _divide(keep: Run) -> Run:
    def harmed(probs: Any, top_k: Any) -> Any:
        return divide_by_sum(keep(probs, top_k))

    return harmed


HARMS = (
    *list_renorm_harms(run_torch),
    Harm("one_too_few", "k - 1 tokens are kept", edit_param(run_torch, "top_k", less_one)),
    Harm("one_too_many", "k + 1 tokens are kept", edit_param(run_torch, "top_k", one_more)),
    Harm("cut_ties", "exactly k tokens are kept, ties or not", _divide(cut_rank_ties)),
    Harm("count_ties_once", "the k largest distinct values are kept", _divide(keep_distinct)),
    Harm("row_zero_top_k", "row 0's k serves all", edit_param(run_torch, "top_k", read_row_zero)),
    Harm("large_k_is_50", "k > V counts as 50", edit_param(run_torch, "top_k", clamp_to_50)),
    Harm("large_k_is_zero", "k > V keeps nothing", _keep_none_of_all),
    Harm("radix_search", "the k-th largest is found bit by bit", _divide(search_bits), right=True),
    Harm("copy_all", "k >= V copies the row", _copy_all, right=True),
)
