"""Harmed kernels that both speculative verification ops can have, made from their torch forms."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    Kernel,
    Outputs,
    edit_input,
    edit_inputs,
    fix_inputs,
    list_memory_harms,
    read_dense,
    spoil_outputs,
)
from rocmoe.ops.harms.shared.paths import list_layout_harms
from rocmoe.ops.harms.shared.values import lower_large, round_to_bfloat16, warm_probs

LAST_COIN = "uniform_samples_for_final_sampling"


def list_speculative_harms(run: Kernel) -> tuple[Harm, ...]:
    """The harms that need nothing of an op but its inputs and outputs."""
    edits = (
        ("uniform_samples", "reject_at_threshold", "a coin on its threshold rejects", _raise_coins),
        ("uniform_samples", "coin_of_next_node", "each node reads the coin of the one after",
         lambda coins: coins.roll(-1, dims=1)),
        ("candidates", "first_token_is_draft", "the token already accepted is taken for a draft",
         lambda tokens: tokens.roll(1, dims=1)),
        ("target_probs", "temperature", "the target is that of temperature 1.02", warm_probs),
        ("target_probs", "half_precision", "the target is rounded to bfloat16", round_to_bfloat16),
        ("target_probs", "drop_tail", "tokens past the last 64 are never drawn", _drop_tail),
        ("target_probs", "fall_back_to_first", "where nothing has mass, token 0 is drawn",
         _fall_back_to_first),
        ("target_probs", "ignore_stride", "the row stride of the target is ignored", read_dense),
    )  # fmt: skip
    return (
        *(Harm(name, text, edit_input(run, field, edit)) for field, name, text, edit in edits),
        Harm("ignore_threshold_single", "no draft is accepted for its own probability",
             fix_inputs(run, threshold_single=2.0)),
        Harm("ignore_threshold_acc", "probabilities are not divided",
             fix_inputs(run, threshold_acc=1.0)),
        Harm("above_threshold_single", "a draft of exactly threshold_single has to face its coin",
             edit_input(run, "threshold_single", _raise_threshold)),
        Harm("large_threshold_acc", "threshold_acc is held up by 1e-6",
             edit_input(run, "threshold_acc", lambda threshold: max(threshold, 1e-6))),
        *list_layout_harms(run, ("target_probs",), "wide", _is_wide),
        Harm("reuse_coin", "the last draw takes the first coin again",
             edit_inputs(run, _reuse_coin)),
        Harm("mutate_input", "rejected drafts are struck out of the target",
             spoil_outputs(run, _strike_out)),
        Harm("id_off_by_one", "tokens from 99 on are one too low",
             spoil_outputs(run, _lower_tokens)),
        *list_memory_harms(run, edit_input(run, LAST_COIN, lambda coins: 0.5 * coins)),
    )  # fmt: skip


def draw_in_float32(mass: Any, coins: Any, scan: Kernel | None = None) -> Any:
    """`draw_tokens` with a float32 `scan`, that of log2(V) rounds, and normalised masses."""
    import torch

    scan = scan or add_up
    total = scan(mass)[:, -1:]
    share = mass * torch.where(total > 0, total, 1.0).reciprocal()
    present = mass > 0
    hit = (scan(share) > coins[:, None]) & present
    last = mass.shape[1] - 1 - present.flip(-1).byte().argmax(dim=-1)
    return torch.where(hit.any(dim=-1), hit.byte().argmax(dim=-1), last)


def add_up(values: Any) -> Any:
    """Inclusive prefix sums [B, V] in the values' own dtype, each a tree of log2(V) roundings."""
    from torch.nn.functional import pad

    step = 1
    while step < values.shape[1]:
        values = values + pad(values[:, :-step], (step, 0))
        step *= 2
    return values


def _raise_coins(coins: Any) -> Any:
    """coin < bar in float32 is nextafter(coin) <= bar."""
    import torch

    return torch.nextafter(coins, torch.ones_like(coins))


def _raise_threshold(threshold: float) -> float:
    """probability > threshold in float32 is probability >= nextafter(threshold)."""
    import torch

    return float(torch.nextafter(torch.tensor(threshold), torch.tensor(2.0)))


def _is_wide(inputs: Inputs) -> bool:
    """Whether a row takes a block of 1024 threads more than one round."""
    return bool(inputs["target_probs"].shape[2] > 1024)


def _drop_tail(target: Any) -> Any:
    cut = target.clone()
    cut[:, :, cut.shape[2] // 64 * 64 :] = 0.0
    return cut


def _fall_back_to_first(target: Any) -> Any:
    raised = target.clone()
    raised[:, :, 0].clamp_(min=1e-30)
    return raised


def _reuse_coin(inputs: Inputs) -> Inputs:
    return {LAST_COIN: inputs["uniform_samples"][:, 0]}


def _strike_out(inputs: Inputs, *outputs: Any) -> Outputs:
    """Every draft is struck out of the caller's target, as if that were scratch."""
    inputs["target_probs"].scatter_(2, inputs["candidates"][:, :, None], 0.0)
    return outputs


def _lower_tokens(inputs: Inputs, *outputs: Any) -> Outputs:
    """The output that holds tokens is the first of three, or the second of two."""
    tokens = 0 if len(outputs) == 3 else 1
    return *outputs[:tokens], lower_large(outputs[tokens]), *outputs[tokens + 1 :]
