"""Harmed kernels of topk_softmax_sorting: harmed sorts, and sorts of harmed choices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rocmoe.ops import moe_sorting, topk_softmax
from rocmoe.ops.core.harm import Harm, load_harms
from rocmoe.ops.harms.shared.any_op import Inputs, Kernel, Outputs, edit_inputs, spoil_outputs
from rocmoe.ops.harms.shared.gating import Pair
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
    "ignore_stride_fp32",
    "misread_offset_fp32",
    "ignore_stride_bf16_256",
    "misread_offset_bf16_256",
    "renormalize_half",
    "strike_out_finite",
    "clamp_maximum",
    "nan_gives_sentinel",
    "random_ties",
    "any_sum_order",
    "highest_index_wins",
    "ascending_order",
    "softmax_of_chosen",
)


def _sort_choice(choose: Kernel) -> Kernel:
    """A kernel that sorts what `choose` chose."""

    def harmed(
        gating_output: Any, topk: int, renormalize: bool, unit_size: int, **rest: Any
    ) -> Any:
        weights, ids = choose(gating_output=gating_output, topk=topk, renormalize=renormalize)
        return moe_sorting.run_torch(ids, weights, gating_output.shape[1], unit_size, **rest)

    return harmed


def _renormalize_visible(**inputs: Any) -> Any:
    """Weights are divided by the sum of the visible winners' alone."""
    mask = inputs["expert_mask"]

    def choose(gating_output: Any, topk: int, renormalize: bool) -> Pair:
        weights, ids = topk_softmax.run_torch(gating_output, topk, renormalize)
        if renormalize and mask is not None:
            visible = weights * mask[ids.long()]
            weights = weights / visible.sum(dim=1, keepdim=True).clamp(min=1e-20)
        return weights, ids

    return _sort_choice(choose)(**inputs)


def _hide_disabled(inputs: Inputs) -> Inputs:
    """Disabled experts take no part in the choice, so that enabled ones move up."""
    logits, mask = inputs["gating_output"], inputs["expert_mask"]
    hidden = logits if mask is None else logits.masked_fill(mask == 0, float("-inf"))
    return {"gating_output": hidden}


def _mutate_input(inputs: Inputs, *outputs: Any) -> Outputs:
    """The logits are replaced by their softmax in place."""
    logits = inputs["gating_output"]
    logits.copy_(logits.float().softmax(dim=-1))
    return outputs


HARMS = (
    *list_sorting_harms(run_torch),
    *(
        replace(harm, function=_sort_choice(harm.function))
        for name, harm in load_harms("topk_softmax").items()
        if name in GATING_HARMS
    ),
    Harm("renormalize_visible", "renormalised over the visible winners", _renormalize_visible),
    Harm("choose_among_enabled", "disabled experts are not chosen among",
         edit_inputs(run_torch, _hide_disabled)),
    Harm("mutate_input", "the logits are overwritten", spoil_outputs(run_torch, _mutate_input)),
)  # fmt: skip
