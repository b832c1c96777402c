"""Harmed kernels that every gating op can have, made from the op's own torch implementation.

They take the canonical inputs by keyword, whichever the op has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.harm import Harm

Pair = tuple[Any, Any]
Gate = Callable[..., Pair]
#: Makes another answer of an answer: (inputs, weights, ids) -> (weights, ids).
Spoil = Callable[[dict[str, Any], Any, Any], Pair]


def list_gating_harms(run: Gate) -> tuple[Harm, ...]:
    """The harms that need nothing of a gating op but its inputs and outputs."""
    return (
        Harm("repeat_expert", "the first expert is named twice", spoil_answer(run, _repeat_first)),
        Harm("id_off_by_one", "ids from 99 on are one too low", spoil_answer(run, _lower_ids)),
        Harm("skip_renormalization", "weights are not renormalised", _skip_renormalization(run)),
        Harm("temperature", "logits are divided by 1.02", edit_logits(run, _warm)),
        Harm("ignore_stride", "the row stride is ignored", edit_logits(run, _read_densely)),
        Harm("drop_last_row", "the last row is never written", _drop_last_row(run)),
        Harm("write_past_end", "one element past topk_ids is written", _write_past_end(run)),
        Harm("mutate_input", "the winners' logits are overwritten", spoil_answer(run, _strike_out)),
        Harm(
            "half_precision_weights",
            "weights are rounded to bfloat16",
            spoil_answer(run, lambda inputs, weights, ids: (weights.bfloat16().float(), ids)),
        ),
        Harm("nan_gives_sentinel", "rows with NaN give id -1", spoil_answer(run, _mark_nan_rows)),
        Harm("cache_by_pointer", "answers are remembered by address", _CacheByPointer(run)),
        Harm("disturb_next_call", "a call's answer depends on the one before", _DisturbNext(run)),
    )


def spoil_answer(run: Gate, spoil: Spoil) -> Gate:
    """A kernel whose answer is changed by `spoil`."""

    def harmed(**inputs: Any) -> Pair:
        return spoil(inputs, *run(**inputs))

    return harmed


def edit_logits(run: Gate, edit: Callable[[Any], Any]) -> Gate:
    """A kernel that sees other logits than it is given."""

    def harmed(gating_output: Any, **rest: Any) -> Pair:
        return run(gating_output=edit(gating_output), **rest)

    return harmed


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


def _repeat_first(inputs: dict[str, Any], weights: Any, ids: Any) -> Pair:
    ids[:, -1] = ids[:, 0]
    return weights, ids


def _lower_ids(inputs: dict[str, Any], weights: Any, ids: Any) -> Pair:
    """What a relative tolerance of 1 % on integers accepts."""
    return weights, ids - (ids >= 99).int()


def _strike_out(inputs: dict[str, Any], weights: Any, ids: Any) -> Pair:
    """The winners are struck out in place, in the caller's logits."""
    logits = inputs["gating_output"]
    logits.scatter_(1, ids.long().clamp(max=logits.shape[1] - 1), float("-inf"))
    return weights, ids


def _mark_nan_rows(inputs: dict[str, Any], weights: Any, ids: Any) -> Pair:
    """A row with NaN compares false everywhere and keeps the initial id, -1."""
    return weights, ids.masked_fill(inputs["gating_output"].isnan().any(dim=1, keepdim=True), -1)


def _warm(logits: Any) -> Any:
    return logits.float() / 1.02


def _read_densely(logits: Any) -> Any:
    """Rows are read as if they followed each other without a gap (sglang#21421's sgl_err)."""
    return logits.as_strided(logits.shape, (logits.shape[1], 1))


def _skip_renormalization(run: Gate) -> Gate:
    def harmed(renormalize: bool, **rest: Any) -> Pair:
        return run(renormalize=False, **rest)

    return harmed


def _drop_last_row(run: Gate) -> Callable[..., None]:
    """The last token's row is handed over and never written."""

    def harmed(topk_weights: Any, topk_ids: Any, **inputs: Any) -> None:
        weights, ids = run(**inputs)
        topk_weights[:-1], topk_ids[:-1] = weights[:-1], ids[:-1]

    return harmed


def _write_past_end(run: Gate) -> Callable[..., None]:
    """One row more than there are tokens is written, as a kernel does that rounds rows up."""

    def harmed(topk_weights: Any, topk_ids: Any, **inputs: Any) -> None:
        weights, ids = run(**inputs)
        topk_weights.copy_(weights)
        topk_ids.copy_(ids)
        topk_ids.as_strided((1,), (1,), topk_ids.storage_offset() + topk_ids.numel()).fill_(0)

    return harmed


class _CacheByPointer:
    """The answer of an earlier call is handed out for the same address."""

    def __init__(self, run: Gate) -> None:
        self._run = run
        self._answers: dict[tuple[int, int, int], Pair] = {}

    def __call__(self, gating_output: Any, topk: int, **rest: Any) -> Pair:
        key = (gating_output.data_ptr(), gating_output.numel(), topk)
        if key not in self._answers:
            self._answers[key] = self._run(gating_output=gating_output, topk=topk, **rest)
        return self._answers[key]


class _DisturbNext:
    """Every second call is off by what the first left behind."""

    def __init__(self, run: Gate) -> None:
        self._run = run
        self._calls = 0

    def __call__(self, **inputs: Any) -> Pair:
        self._calls += 1
        weights, ids = self._run(**inputs)
        return weights * (1.0 + 0.01 * (self._calls % 2 == 0)), ids
