"""Judging a choice of experts: which ids were chosen, never whether a peer chose the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .verdict import Index, Judgement, format_element

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Ids = NDArray[Any]


def judge_ids(judgement: Judgement, topk_ids: Ids, num_experts: int) -> Mask:
    """Check that ids are in [0, num_experts) and unique in their row.

    Returns the rows [T] for which both hold: only their ids can be used as indices.
    """
    outside = (topk_ids < 0) | (topk_ids >= num_experts)
    judgement.exact(
        "ids_in_range",
        outside,
        output="topk_ids",
        found=topk_ids,
        wanted=f"an id in [0, {num_experts})",
    )
    repeated = find_repeats(topk_ids)
    judgement.exact(
        "ids_unique",
        repeated,
        output="topk_ids",
        found=topk_ids,
        wanted="an id not named before in its row",
    )
    return np.asarray(~(outside | repeated).any(axis=1))


def find_repeats(ids: Ids) -> Mask:
    """True [T, k] where an id stands in an earlier slot of its row too."""
    order = np.argsort(ids, axis=1, kind="stable")
    ordered = np.take_along_axis(ids, order, axis=1)
    again = np.zeros(ids.shape, dtype=bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeats = np.zeros(ids.shape, dtype=bool)
    np.put_along_axis(repeats, order, again, axis=1)
    return repeats


def mark_chosen(topk_ids: Ids, num_experts: int) -> Mask:
    """True [T, E] for the chosen experts; every id must be in range."""
    chosen = np.zeros((len(topk_ids), num_experts), dtype=bool)
    np.put_along_axis(chosen, topk_ids.astype(np.int64), True, axis=1)
    return chosen


def judge_best(
    judgement: Judgement,
    topk_ids: Ids,
    keys: Array,
    slack: Array,
    rows: Mask,
    eligible: Mask | None = None,
) -> None:
    """Check that no expert left out has a key above a chosen one, beyond rounding.

    keys, slack [T, E]: the oracle's selection keys and how far rounding may move each; two keys
    are interchangeable when they differ by no more than the sum of their slacks.  Only `rows` [T]
    are judged, and only `eligible` [T, E] experts can have been left out wrongly.
    """
    ids = np.where(rows[:, None], topk_ids, 0).astype(np.int64)
    left_out = ~mark_chosen(ids, keys.shape[1])
    if eligible is not None:
        left_out &= eligible
    rival = np.argmax(np.where(left_out, keys - slack, -np.inf), axis=1)[:, None]
    rivalled = np.take_along_axis(left_out, rival, axis=1)
    key, best = (np.take_along_axis(keys, at, axis=1) for at in (ids, rival))
    allowed = np.take_along_axis(slack, ids, axis=1) + np.take_along_axis(slack, rival, axis=1)
    with np.errstate(invalid="ignore"):
        shortfall = np.where(rows[:, None] & rivalled, np.maximum(best - key, 0.0), 0.0)
    # Equal infinities are interchangeable; their difference is not a number.
    shortfall = np.where(key == best, 0.0, shortfall)
    judgement.bounded(
        "selection_is_top_k",
        shortfall,
        np.where(np.isfinite(allowed) & (allowed > 0), allowed, np.finfo(float).tiny),
        output="topk_ids",
        found=describe_experts(ids, key),
        wanted=describe_experts(
            np.broadcast_to(rival, ids.shape), np.broadcast_to(best, ids.shape)
        ),
        detail="key of the best expert left out - key of the chosen one, over their rounding",
    )


def judge_order(
    judgement: Judgement,
    topk_ids: Ids,
    keys: Array,
    slack: Array,
    rows: Mask,
    eligible: Mask | None = None,
) -> None:
    """Strict: keys descend, and among exactly equal oracle keys the lowest index wins.

    Only `eligible` [T, E] experts can have been left out wrongly.
    """
    ids = np.where(rows[:, None], topk_ids, 0).astype(np.int64)
    key, room = (np.take_along_axis(values, ids, axis=1) for values in (keys, slack))
    before, before_room = (np.roll(values, 1, axis=1) for values in (key, room))
    before_ids = np.roll(ids, 1, axis=1)
    with np.errstate(invalid="ignore"):
        rises = (key - before > room + before_room) | ((key == before) & (ids < before_ids))
    rises[:, :1] = False
    judgement.exact(
        "descending",
        rises & rows[:, None],
        output="topk_ids",
        found=describe_experts(ids, key),
        wanted=describe_experts(before_ids, before, "no more than "),
    )
    lower = _lower_equal_left_out(ids, keys, eligible)
    judgement.exact(
        "lowest_index_wins_ties",
        (lower < ids) & rows[:, None],
        output="topk_ids",
        found=topk_ids,
        wanted=lower,
    )


def find_certain(keys: Array, slack: Array, topk: int, eligible: Mask | None = None) -> Mask:
    """True [T, E] for the experts that every choice [T, k] holds which `judge_best` accepts.

    Only `eligible` [T, E] experts can be chosen.
    """
    low, high = keys - slack, keys + slack
    if eligible is not None:
        low, high = (np.where(eligible, bound, -np.inf) for bound in (low, high))
    others = keys.shape[1] - topk
    if others == 0:
        return np.ones(keys.shape, dtype=bool)
    # An expert above the (k + 1)-th largest key can be displaced by none of those below it.
    return np.asarray(low > np.partition(high, others - 1, axis=1)[:, others - 1, None])


def keep_certain(topk_ids: Ids, certain: Mask) -> NDArray[np.int64]:
    """topk_ids [T, k] ascending, -1 for each that is not `certain` [T, E]: others may replace it.

    One form for all choices that are as good as each other; ids out of range are not certain.
    """
    inside = (topk_ids >= 0) & (topk_ids < certain.shape[1])
    ids = np.where(inside, topk_ids, 0).astype(np.int64)
    sure = np.take_along_axis(certain, ids, axis=1) & inside
    return np.sort(np.where(sure, ids, -1), axis=1)


def _lower_equal_left_out(
    ids: NDArray[np.int64], keys: Array, eligible: Mask | None
) -> NDArray[np.int64]:
    """[T, k]: the lowest expert left out whose key exactly equals the slot's, else E."""
    num_experts = keys.shape[1]
    left_out = ~mark_chosen(ids, num_experts)
    if eligible is not None:
        left_out &= eligible
    key = np.take_along_axis(keys, ids, axis=1)
    lowest = np.full(ids.shape, num_experts, dtype=np.int64)
    for slot in range(ids.shape[1]):
        equal = (keys == key[:, slot : slot + 1]) & left_out
        lowest[:, slot] = np.where(equal.any(axis=1), equal.argmax(axis=1), num_experts)
    return lowest


def describe_experts(ids: Ids, keys: Array, words: str = "") -> Callable[[Index], str]:
    """A function of [row, slot] that gives a text like `expert 3 (key 0.25)`."""
    return lambda at: f"{words}expert {ids[at]} (key {format_element(keys[at])})"
