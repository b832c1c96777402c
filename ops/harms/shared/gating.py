"""Harmed kernels that every gating op can have, made from the op's own torch implementation."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.gating import OUTPUTS, sort_experts
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    Kernel,
    edit_input,
    edit_inputs,
    fix_inputs,
    leave_last_row,
    list_memory_harms,
    read_dense,
    scale_first,
    spoil_outputs,
    write_past_end,
)
from rocmoe.ops.harms.shared.paths import Applies, choose_path, list_layout_harms
from rocmoe.ops.harms.shared.values import lower_large, round_to_bfloat16

Pair = tuple[Any, Any]

LOG2_E = math.log2(math.e)


def list_gating_harms(run: Kernel) -> tuple[Harm, ...]:
    """The harms that need nothing of a gating op but its inputs and outputs."""
    spoilers = (
        ("repeat_expert", "the first expert is named twice", _repeat_first),
        ("id_off_by_one", "ids from 99 on are one too low", _lower_ids),
        ("mutate_input", "the winners' logits are overwritten", _strike_out),
        ("half_precision_weights", "weights are rounded to bfloat16", _round_weights),
        ("nan_gives_sentinel", "rows with NaN give id -1", _mark_nan_rows),
        ("wrap_rows", "rows from 1024 on are those from 0 on", _wrap_rows),
    )
    edits = (
        ("temperature", "logits are divided by 1.02", _warm),
        # Rows read as if they followed each other without a gap: sglang#21421's sgl_err.
        ("ignore_stride", "the row stride is ignored", read_dense),
    )
    return (
        *(Harm(name, text, spoil_outputs(run, spoil)) for name, text, spoil in spoilers),
        *(Harm(name, text, edit_input(run, "gating_output", edit)) for name, text, edit in edits),
        Harm("skip_renormalization", "weights are not renormalised",
             fix_inputs(run, renormalize=False)),
        Harm("drop_last_row", "the last row is never written",
             leave_last_row(run, OUTPUTS, "topk_weights", "topk_ids")),
        Harm("write_past_end", "one element past topk_ids is written",
             write_past_end(run, OUTPUTS, "topk_ids")),
        *list_layout_harms(run, ("gating_output",), "fp32", _is_fp32),
        *list_layout_harms(run, ("gating_output",), "bf16_256", _is_bf16_of_256),
        *list_memory_harms(run, scale_first(run, 1.01)),
        Harm("random_ties", "ties and slots fall as they may, at every call anew",
             _choose_at_random(run), right=True),
        Harm("any_sum_order", "sums are added in another order at every call",
             _add_in_any_order(run), right=True),
        Harm("highest_index_wins", "the highest index wins a tie", _flip_experts(run), right=True),
    )  # fmt: skip


def list_bias_harms(run: Kernel) -> tuple[Harm, ...]:
    """The harms of a gating op that misreads its correction_bias where it has one."""
    readings = (
        ("ignore_bias", "the bias is not added", lambda bias, dtype: bias * 0.0),
        ("round_bias", "the bias is rounded to the dtype of the logits", _round_bias),
        ("misread_bias", "the bias is read in the dtype of the logits", _misread_bias),
    )
    return tuple(Harm(name, text, _edit_bias(run, read)) for name, text, read in readings)


def _edit_bias(run: Kernel, read: Callable[[Any, Any], Any]) -> Kernel:
    """A kernel that takes the bias for `read(bias, dtype of the logits)`."""

    def edit(inputs: Inputs) -> Inputs:
        bias, logits = inputs["correction_bias"], inputs["gating_output"]
        return {"correction_bias": None if bias is None else read(bias, logits.dtype)}

    return edit_inputs(run, edit)


def _round_bias(bias: Any, dtype: Any) -> Any:
    """As sglang casts it before it calls aiter."""
    return bias.to(dtype).float()


def _misread_bias(bias: Any, dtype: Any) -> Any:
    """The memory of the bias is read in another dtype (ops of aiter @e4048607)."""
    return bias.view(dtype)[: bias.numel()].float()


def lose_ties(keys: Any, count: int) -> Any:
    """Indices [T, count] by rounds of the maximum, each of which removes all that tie with it."""
    import torch

    lowest = torch.finfo(keys.dtype).min
    left, winners = keys.clone(), []
    for _ in range(count):
        best, winner = left.max(dim=-1, keepdim=True)
        winners.append(winner)
        left = left.masked_fill(left == best, lowest).scatter(1, winner, float("-inf"))
    return torch.cat(winners, dim=1)


def strike_out(keys: Any, count: int, value: float) -> Any:
    """Indices [T, count] by rounds of the maximum, whose winner's key becomes `value`."""
    import torch

    winners = []
    for _ in range(count):
        winners.append(sort_experts(keys, 1))
        keys = keys.scatter(1, winners[-1], value)
    return torch.cat(winners, dim=1)


def clamp_maximum(logits: Any) -> Any:
    """Softmax whose maximum starts from 0: all powers of a row far below it are 0."""
    powers = (logits.float() - logits.float().amax(dim=-1, keepdim=True).clamp(min=0.0)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


def always_renormalize(run: Kernel, applies: Applies) -> Kernel:
    """A kernel that renormalises, asked for or not, on the calls to which that applies."""
    return choose_path(applies, fix_inputs(run, renormalize=True), run)


def reverse_choice(inputs: Inputs, weights: Any, ids: Any) -> Pair:
    """Right: the same choice, in the other order."""
    return weights.flip(1), ids.flip(1)


def apply_sigmoid(logits: Any) -> Any:
    """Right: by exp2 and a reciprocal, as the hardware has them."""
    import torch

    return (1.0 + torch.exp2(logits.float() * -LOG2_E)).reciprocal()


def _is_fp32(inputs: Inputs) -> bool:
    return str(inputs["gating_output"].dtype) == "torch.float32"


def _is_bf16_of_256(inputs: Inputs) -> bool:
    logits = inputs["gating_output"]
    return str(logits.dtype) == "torch.bfloat16" and bool(logits.shape[1] == 256)


def _wrap_rows(inputs: Inputs, weights: Any, ids: Any) -> Pair:
    import torch

    rows = torch.arange(len(ids), device=ids.device) % 1024
    return weights[rows], ids[rows]


def _choose_at_random(run: Kernel) -> Kernel:
    """Right: atomics decide among equals and which slot is whose; shared experts stay last."""
    shuffled = _shuffle_experts(run)

    def harmed(**inputs: Any) -> Pair:
        import torch

        weights, ids = shuffled(**inputs)
        slots = torch.arange(ids.shape[1])
        routed = len(slots) - inputs.get("num_fused_shared_experts", 0)
        slots[:routed] = torch.randperm(routed)
        return weights[:, slots], ids[:, slots]

    return harmed


def _add_in_any_order(run: Kernel) -> Kernel:
    """Right: the sums of the softmax and of the chosen weights round otherwise at every call."""
    shuffled = _shuffle_experts(run)

    def harmed(**inputs: Any) -> Pair:
        import torch

        weights, ids = shuffled(**{**inputs, "renormalize": False})
        if not inputs["renormalize"]:
            return weights, ids
        routed = weights.shape[1] - inputs.get("num_fused_shared_experts", 0)
        # One after another in float32; torch's prefix sum adds in float64 on a CPU.
        total = reduce(add, weights[:, torch.randperm(routed)].split(1, dim=1)).clamp(min=1e-20)
        return weights * (inputs.get("routed_scaling_factor", 1.0) / total), ids

    return harmed


def _shuffle_experts(run: Kernel) -> Kernel:
    """Right: experts are read in an order that differs from call to call, group by group."""

    def harmed(**inputs: Any) -> Pair:
        import torch

        experts, groups = inputs["gating_output"].shape[1], inputs.get("num_expert_group", 1)
        order = torch.arange(experts, device=inputs["gating_output"].device).view(groups, -1)
        order = order[torch.randperm(groups)][:, torch.randperm(order.shape[1])].flatten()
        for name in ("gating_output", "correction_bias"):
            if inputs.get(name) is not None:
                inputs[name] = inputs[name][..., order]
        weights, ids = run(**inputs)
        routed = order[ids.long().clamp(max=experts - 1)].int()
        return weights, routed.where(ids < experts, ids)

    return harmed


def _repeat_first(inputs: Inputs, weights: Any, ids: Any) -> Pair:
    ids[:, -1] = ids[:, 0]
    return weights, ids


def _lower_ids(inputs: Inputs, weights: Any, ids: Any) -> Pair:
    return weights, lower_large(ids)


def _strike_out(inputs: Inputs, weights: Any, ids: Any) -> Pair:
    """The winners are struck out in place, in the caller's logits."""
    logits = inputs["gating_output"]
    logits.scatter_(1, ids.long().clamp(max=logits.shape[1] - 1), float("-inf"))
    return weights, ids


def _round_weights(inputs: Inputs, weights: Any, ids: Any) -> Pair:
    return round_to_bfloat16(weights), ids


def _mark_nan_rows(inputs: Inputs, weights: Any, ids: Any) -> Pair:
    """A row with NaN compares false everywhere and keeps the initial id, -1."""
    return weights, ids.masked_fill(inputs["gating_output"].isnan().any(dim=1, keepdim=True), -1)


def _warm(logits: Any) -> Any:
    return logits.float() / 1.02


def _flip_experts(run: Kernel) -> Kernel:
    """Right: what the experts in the other order make lowest is highest; shared ones stay."""

    def harmed(**inputs: Any) -> Pair:
        experts = inputs["gating_output"].shape[1]
        for name in ("gating_output", "correction_bias"):
            if inputs.get(name) is not None:
                inputs[name] = inputs[name].flip(-1)
        weights, ids = run(**inputs)
        return weights, (experts - 1 - ids).where(ids < experts, ids)

    return harmed
