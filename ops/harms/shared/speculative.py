"""Harmed kernels that both speculative verification ops can have, made from their torch forms.

They take the canonical inputs by keyword.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.harm import Harm

Kernel = Callable[..., tuple[Any, ...]]
#: Changes inputs before a kernel sees them, by name.
Edit = Callable[[dict[str, Any]], dict[str, Any]]

LAST_COIN = "uniform_samples_for_final_sampling"


def list_speculative_harms(run: Kernel) -> tuple[Harm, ...]:
    """The harms that need nothing of an op but its inputs and outputs."""
    edits = (
        ("ignore_threshold_single", "no draft is accepted for its own probability", _ignore_single),
        ("ignore_threshold_acc", "probabilities are not divided", _ignore_acc),
        ("reject_at_threshold", "a coin on its threshold rejects", _raise_coins),
        ("coin_of_next_node", "each node reads the coin of the one after", _shift_coins),
        ("reuse_coin", "the last draw takes the first coin again", _reuse_coin),
        ("first_token_is_draft", "the token already accepted is taken for a draft", _shift_tokens),
        ("temperature", "the target is that of temperature 1.02", _warm),
        ("half_precision", "the target is rounded to bfloat16", _round_target),
        ("drop_tail", "tokens past the last 64 are never drawn", _drop_tail),
        ("fall_back_to_first", "where nothing has mass, token 0 is drawn", _fall_back_to_first),
        ("ignore_stride", "the row stride of the target is ignored", _read_densely),
    )
    return (
        *(Harm(name, summary, edit_inputs(run, edit)) for name, summary, edit in edits),
        Harm("mutate_input", "rejected drafts are struck out of the target", _mutate_target(run)),
        Harm("id_off_by_one", "tokens from 99 on are one too low", _lower_tokens(run)),
        Harm("cache_by_pointer", "answers are remembered by address", _CacheByPointer(run)),
        Harm("disturb_next_call", "a call's draw depends on the one before", _DisturbNext(run)),
    )


def edit_inputs(run: Kernel, edit: Edit) -> Kernel:
    """A kernel that sees other inputs than it is given."""

    def harmed(**inputs: Any) -> tuple[Any, ...]:
        return run(**{**inputs, **edit(inputs)})

    return harmed


def write_past(tensor: Any) -> None:
    """Write the element after the last of a contiguous tensor."""
    tensor.as_strided((1,), (1,), tensor.storage_offset() + tensor.numel()).fill_(0)


def draw_in_float32(mass: Any, coins: Any) -> Any:
    """`draw_tokens` with a scan of log2(V) rounds in float32, and normalised masses."""
    import torch

    total = add_up(mass)[:, -1:]
    share = mass * torch.where(total > 0, total, 1.0).reciprocal()
    present = mass > 0
    hit = (add_up(share) > coins[:, None]) & present
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


def _ignore_single(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"threshold_single": 2.0}


def _ignore_acc(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"threshold_acc": 1.0}


def _raise_coins(inputs: dict[str, Any]) -> dict[str, Any]:
    """coin < bar in float32 is nextafter(coin) <= bar."""
    import torch

    coins = inputs["uniform_samples"]
    return {"uniform_samples": torch.nextafter(coins, torch.ones_like(coins))}


def _shift_coins(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"uniform_samples": inputs["uniform_samples"].roll(-1, dims=1)}


def _reuse_coin(inputs: dict[str, Any]) -> dict[str, Any]:
    return {LAST_COIN: inputs["uniform_samples"][:, 0]}


def _shift_tokens(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": inputs["candidates"].roll(1, dims=1)}


def _warm(inputs: dict[str, Any]) -> dict[str, Any]:
    warmed = inputs["target_probs"] ** (1.0 / 1.02)
    total = warmed.sum(dim=-1, keepdim=True)
    return {"target_probs": warmed / total.clamp(min=1e-30)}


def _round_target(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"target_probs": inputs["target_probs"].bfloat16().float()}


def _drop_tail(inputs: dict[str, Any]) -> dict[str, Any]:
    target = inputs["target_probs"].clone()
    target[:, :, target.shape[2] // 64 * 64 :] = 0.0
    return {"target_probs": target}


def _fall_back_to_first(inputs: dict[str, Any]) -> dict[str, Any]:
    target = inputs["target_probs"].clone()
    target[:, :, 0].clamp_(min=1e-30)
    return {"target_probs": target}


def _read_densely(inputs: dict[str, Any]) -> dict[str, Any]:
    target = inputs["target_probs"]
    _, nodes, vocabulary = target.shape
    strides = (nodes * vocabulary, vocabulary, 1)
    return {"target_probs": target.as_strided(target.shape, strides)}


def _mutate_target(run: Kernel) -> Kernel:
    """Every draft is struck out of the caller's target, as if that were scratch."""

    def harmed(**inputs: Any) -> tuple[Any, ...]:
        answer = run(**inputs)
        inputs["target_probs"].scatter_(2, inputs["candidates"][:, :, None], 0.0)
        return answer

    return harmed


def _lower_tokens(run: Kernel) -> Kernel:
    """What a relative tolerance of 1 % on integers accepts, in the output that holds tokens."""

    def harmed(**inputs: Any) -> tuple[Any, ...]:
        outputs = list(run(**inputs))
        tokens = 0 if len(outputs) == 3 else 1
        outputs[tokens] = outputs[tokens] - (outputs[tokens] >= 99).int()
        return tuple(outputs)

    return harmed


class _CacheByPointer:
    """The answer of an earlier call is handed out for the same address."""

    def __init__(self, run: Kernel) -> None:
        self._run = run
        self._answers: dict[tuple[int, ...], tuple[Any, ...]] = {}

    def __call__(self, **inputs: Any) -> tuple[Any, ...]:
        target = inputs["target_probs"]
        key = (target.data_ptr(), *target.shape)
        if key not in self._answers:
            self._answers[key] = self._run(**inputs)
        return self._answers[key]


class _DisturbNext:
    """Every second call draws with another coin, as if a generator's state were kept."""

    def __init__(self, run: Kernel) -> None:
        self._run = run
        self._calls = 0

    def __call__(self, **inputs: Any) -> tuple[Any, ...]:
        self._calls += 1
        if self._calls % 2 == 0:
            inputs = {**inputs, LAST_COIN: 0.5 * inputs[LAST_COIN]}
        return self._run(**inputs)
