"""Harmed kernels of topk_softmax."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.gating import sort_experts
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    Outputs,
    drop_last_row,
    edit_input,
    spoil_outputs,
)
from rocmoe.ops.harms.shared.gating import (
    LOG2_E,
    Pair,
    always_renormalize,
    clamp_maximum,
    list_gating_harms,
    lose_ties,
    reverse_choice,
    strike_out,
)
from rocmoe.ops.harms.shared.values import drop_lane
from rocmoe.ops.topk_softmax import run_torch


def _lose_tied_expert(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """Every round of the maximum removes all experts that share the winner's key."""
    import torch

    probabilities = torch.softmax(gating_output.float(), dim=-1)
    return _weigh(probabilities, lose_ties(probabilities, topk), renormalize)


def _strike_out_finite(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """A winner's logit becomes -1e4 instead of -inf, so that it wins again below that."""
    import torch

    logits = torch.nan_to_num(gating_output.float(), nan=-9e3, posinf=3e38, neginf=-9e3)
    return _weigh(torch.softmax(logits, dim=-1), strike_out(logits, topk, -1e4), renormalize)


def _clamp_maximum(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    probabilities = clamp_maximum(gating_output)
    return _weigh(probabilities, sort_experts(probabilities, topk), renormalize)


def _weigh(probabilities: Any, ids: Any, renormalize: bool) -> Pair:
    weights = probabilities.gather(1, ids)
    if renormalize:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights, ids.int()


def _is_half(inputs: Inputs) -> bool:
    return str(inputs["gating_output"].dtype) != "torch.float32"


def _drop_fresh_row(inputs: Inputs, *outputs: Any) -> Outputs:
    return tuple(drop_last_row(output) for output in outputs)


def _softmax_of_chosen(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """Right: choose by logit, then exp(x - logsumexp), rounded differently throughout."""
    import torch

    logits = torch.nan_to_num(gating_output.float(), nan=-3e38, posinf=3e38, neginf=-3e38)
    values, ids = torch.sort(logits, dim=-1, descending=True, stable=True)
    base = values[:, :topk] if renormalize else values
    weights = torch.exp2((values[:, :topk] - values[:, :1]) * LOG2_E)
    total = torch.exp2((base - values[:, :1]) * LOG2_E).sum(dim=-1, keepdim=True)
    return weights * total.reciprocal(), ids[:, :topk].int()


HARMS = (
    *list_gating_harms(run_torch),
    Harm("drop_lane", "lane 63 is left out of the reduction",
         edit_input(run_torch, "gating_output", lambda logits: drop_lane(logits, float("-inf")))),
    Harm("lose_tied_expert", "experts tied with a winner are lost", _lose_tied_expert),
    Harm("strike_out_finite", "winners are struck out with -1e4, not -inf", _strike_out_finite),
    Harm("clamp_maximum", "the maximum of a row is taken to be at least 0", _clamp_maximum),
    Harm("renormalize_half", "fp16 and bf16 are always renormalised",
         always_renormalize(run_torch, _is_half)),
    Harm("drop_fresh_row", "the last row of what is returned is never written",
         spoil_outputs(run_torch, _drop_fresh_row)),
    Harm("ascending_order", "smallest weight first", spoil_outputs(run_torch, reverse_choice),
         right=True),
    Harm("softmax_of_chosen", "chosen by logit, exp2 and reciprocal", _softmax_of_chosen,
         right=True),
)  # fmt: skip
