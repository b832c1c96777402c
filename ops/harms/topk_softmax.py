"""Harmed kernels of topk_softmax."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.topk_softmax import run_torch

Pair = tuple[Any, Any]


def _drop_lane(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """Lane 63 of every 64 never takes part in the reduction."""
    import torch

    lanes = torch.arange(gating_output.shape[1], device=gating_output.device) % 64
    lost = gating_output.masked_fill(lanes == 63, float("-inf"))
    return run_torch(lost, topk, renormalize)


def _lose_tied_expert(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """Every round of the maximum removes all experts that share the winner's key."""
    import torch

    probabilities = torch.softmax(gating_output.float(), dim=-1)
    keys, ids = probabilities.clone(), []
    for _ in range(topk):
        best, winner = keys.max(dim=-1, keepdim=True)
        ids.append(winner)
        keys = keys.masked_fill(keys == best, -1.0).scatter(1, winner, -2.0)
    chosen = torch.cat(ids, dim=1)
    return _finish(probabilities, chosen, renormalize)


def _repeat_expert(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    weights, ids = run_torch(gating_output, topk, renormalize)
    ids[:, -1] = ids[:, 0]
    return weights, ids


def _id_off_by_one(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """Ids from 99 on are one too low: what a relative tolerance of 1 % on integers accepts."""
    weights, ids = run_torch(gating_output, topk, renormalize)
    return weights, ids - (ids >= 99).int()


def _skip_renormalization(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    del renormalize
    return run_torch(gating_output, topk, False)


def _temperature(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    return run_torch(gating_output.float() / 1.02, topk, renormalize)


def _ignore_stride(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """Rows are read as if they followed each other without a gap (sglang#21421's sgl_err)."""
    dense = gating_output.as_strided(gating_output.shape, (gating_output.shape[1], 1))
    return run_torch(dense, topk, renormalize)


def _drop_last_row(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """The last token's row is allocated and never written."""
    import torch

    weights, ids = run_torch(gating_output, topk, renormalize)
    short_weights, short_ids = torch.empty_like(weights), torch.empty_like(ids)
    short_weights[:-1], short_ids[:-1] = weights[:-1], ids[:-1]
    return short_weights, short_ids


def _write_past_end(
    gating_output: Any, topk: int, renormalize: bool, topk_weights: Any, topk_ids: Any
) -> None:
    """One row more than there are tokens is written, as a kernel does that rounds rows up."""
    weights, ids = run_torch(gating_output, topk, renormalize)
    topk_weights.copy_(weights)
    topk_ids.copy_(ids)
    topk_ids.as_strided((1,), (1,), topk_ids.storage_offset() + topk_ids.numel()).fill_(0)


def _mutate_input(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """The winners are struck out in place, in the caller's logits."""
    weights, ids = run_torch(gating_output, topk, renormalize)
    gating_output.scatter_(1, ids.long(), float("-inf"))
    return weights, ids


def _half_precision_weights(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    weights, ids = run_torch(gating_output, topk, renormalize)
    return weights.bfloat16().float(), ids


def _nan_gives_sentinel(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """A row with NaN compares false everywhere and keeps the initial id, -1."""
    weights, ids = run_torch(gating_output, topk, renormalize)
    return weights, ids.masked_fill(gating_output.isnan().any(dim=1, keepdim=True), -1)


class _CacheByPointer:
    """The answer of an earlier call is handed out for the same address."""

    def __init__(self) -> None:
        self._answers: dict[tuple[int, int, int], Pair] = {}

    def __call__(self, gating_output: Any, topk: int, renormalize: bool) -> Pair:
        key = (gating_output.data_ptr(), gating_output.numel(), topk)
        if key not in self._answers:
            self._answers[key] = run_torch(gating_output, topk, renormalize)
        return self._answers[key]


class _DisturbNextCall:
    """Every second call is off by what the first left behind."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, gating_output: Any, topk: int, renormalize: bool) -> Pair:
        self._calls += 1
        weights, ids = run_torch(gating_output, topk, renormalize)
        return weights * (1.0 + 0.01 * (self._calls % 2 == 0)), ids


def _take_last_of_ties(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """Right: the highest index wins a tie."""
    weights, ids = run_torch(gating_output.flip(1), topk, renormalize)
    return weights, gating_output.shape[1] - 1 - ids


def _ascending_order(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """Right: the same choice, smallest weight first."""
    weights, ids = run_torch(gating_output, topk, renormalize)
    return weights.flip(1), ids.flip(1)


def _softmax_of_chosen(gating_output: Any, topk: int, renormalize: bool) -> Pair:
    """Right: choose by logit, then exp(x - logsumexp), rounded differently throughout."""
    import torch

    logits = torch.nan_to_num(gating_output.float(), nan=-3e38, posinf=3e38, neginf=-3e38)
    values, ids = torch.sort(logits, dim=-1, descending=True, stable=True)
    base = values[:, :topk] if renormalize else values
    weights = torch.exp2((values[:, :topk] - values[:, :1]) * 1.4426950408889634)
    total = torch.exp2((base - values[:, :1]) * 1.4426950408889634).sum(dim=-1, keepdim=True)
    return weights * total.reciprocal(), ids[:, :topk].int()


def _finish(probabilities: Any, ids: Any, renormalize: bool) -> Pair:
    weights = probabilities.gather(1, ids)
    if renormalize:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights, ids.int()


HARMS = (
    Harm("drop_lane", "lane 63 is left out of the reduction", _drop_lane),
    Harm("lose_tied_expert", "experts tied with a winner are lost", _lose_tied_expert),
    Harm("repeat_expert", "the first expert is named twice", _repeat_expert),
    Harm("id_off_by_one", "ids from 99 on are one too low", _id_off_by_one),
    Harm("skip_renormalization", "weights are not renormalised", _skip_renormalization),
    Harm("temperature", "logits are divided by 1.02", _temperature),
    Harm("ignore_stride", "the row stride is ignored", _ignore_stride),
    Harm("drop_last_row", "the last row is never written", _drop_last_row),
    Harm("write_past_end", "one element past topk_ids is written", _write_past_end),
    Harm("mutate_input", "the winners' logits are overwritten", _mutate_input),
    Harm("half_precision_weights", "weights are rounded to bfloat16", _half_precision_weights),
    Harm("nan_gives_sentinel", "rows with NaN give id -1", _nan_gives_sentinel),
    Harm("cache_by_pointer", "answers are remembered by address", _CacheByPointer()),
    Harm("disturb_next_call", "a call's answer depends on the one before", _DisturbNextCall()),
    Harm("highest_index_wins", "the highest index wins a tie", _take_last_of_ties, right=True),
    Harm("ascending_order", "smallest weight first", _ascending_order, right=True),
    Harm(
        "softmax_of_chosen", "chosen by logit, exp2 and reciprocal", _softmax_of_chosen, right=True
    ),
)
