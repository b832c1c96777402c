"""Harmed kernels of topk_softmax_sorting: harmed sorts, and sorts of harmed choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rocmoe.ops import moe_sorting, topk_softmax
from rocmoe.ops.core.harm import Harm, load_harms
from rocmoe.ops.harms.shared.sorting import list_sorting_harms
from rocmoe.ops.topk_softmax_sorting import run_torch

#: Harmed choices that the sort of them must be caught, or accepted, by.
GATING_HARMS = (
    "drop_lane",
    "lose_tied_expert",
    "repeat_expert",
    "skip_renormalization",
    "temperature",
    "ignore_stride",
    "nan_gives_sentinel",
    "highest_index_wins",
    "ascending_order",
    "softmax_of_chosen",
)


def _sort_choice(choose: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    """A kernel that sorts what `choose` chose."""

    def harmed(
        gating_output: Any, topk: int, renormalize: bool, unit_size: int, **rest: Any
    ) -> Any:
        chosen = choose(gating_output=gating_output, topk=topk, renormalize=renormalize)
        weights, ids = chosen
        return moe_sorting.run_torch(ids, weights, gating_output.shape[1], unit_size, **rest)

    return harmed


def _renormalize_visible(
    gating_output: Any,
    topk: int,
    renormalize: bool,
    unit_size: int,
    expert_mask: Any,
    num_local_tokens: Any,
    model_dim: int,
) -> Any:
    """Weights are divided by the sum of the visible winners' alone."""
    weights, ids = topk_softmax.run_torch(gating_output, topk, renormalize)
    if renormalize and expert_mask is not None:
        visible = weights * expert_mask[ids.long()]
        weights = weights / visible.sum(dim=1, keepdim=True).clamp(min=1e-20)
    experts = gating_output.shape[1]
    return moe_sorting.run_torch(
        ids, weights, experts, unit_size, expert_mask, num_local_tokens, model_dim
    )


def _choose_among_enabled(gating_output: Any, expert_mask: Any, **rest: Any) -> Any:
    """Disabled experts take no part in the choice, so that enabled ones move up."""
    if expert_mask is not None:
        gating_output = gating_output.masked_fill(expert_mask == 0, float("-inf"))
    return run_torch(gating_output=gating_output, expert_mask=expert_mask, **rest)


def _mutate_input(gating_output: Any, **rest: Any) -> Any:
    """The logits are replaced by their softmax in place."""
    outputs = run_torch(gating_output=gating_output, **rest)
    gating_output.copy_(gating_output.float().softmax(dim=-1))
    return outputs


HARMS = (
    *list_sorting_harms(run_torch),
    *(
        replace(harm, function=_sort_choice(harm.function))
        for name, harm in load_harms("topk_softmax").items()
        if name in GATING_HARMS
    ),
    Harm("renormalize_visible", "renormalised over the visible winners", _renormalize_visible),
    Harm("choose_among_enabled", "disabled experts are not chosen among", _choose_among_enabled),
    Harm("mutate_input", "the logits are overwritten", _mutate_input),
)
