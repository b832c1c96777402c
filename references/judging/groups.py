"""Judging a choice among groups of experts: any groups that rounding allows may be kept.

Experts stand in groups of E / G consecutive ids, and a token goes to experts of a few groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .elementwise import Array
from .selection import Mask, find_certain, mark_chosen
from .verdict import Index, Judgement, format_element

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Grouping:
    """Experts in `count` groups, of which the `kept` of largest score stay.

    A group's score is the sum of its two largest keys when `by_sum`, else its largest key; the
    score of a group of one expert is its key.
    """

    count: int
    kept: int
    by_sum: bool

    def split(self, values: NDArray[Any]) -> NDArray[Any]:
        """[T, E] as [T, G, E / G]."""
        return values.reshape(len(values), self.count, values.shape[1] // self.count)

    def spread(self, groups: Mask, num_experts: int) -> Mask:
        """[T, G] as [T, E]: what holds for a group, at each of its experts."""
        return np.repeat(groups, num_experts // self.count, axis=1)

    def find_tops(self, keys: Array) -> Array:
        """[T, G, 1 or 2]: the keys that make up a group's score, ascending."""
        split = self.split(keys)
        used = min(2 if self.by_sum else 1, split.shape[2])
        return np.asarray(np.sort(split, axis=2)[:, :, split.shape[2] - used :])

    def score(self, keys: Array) -> Array:
        """[T, G]: the scores of the groups."""
        return np.asarray(self.find_tops(keys).sum(axis=2))

    def keep(self, keys: Array) -> Mask:
        """[T, G]: the groups to keep, lowest index among equal scores."""
        best = np.argsort(-self.score(keys), axis=1, kind="stable")[:, : self.kept]
        return mark_chosen(best, self.count)


def judge_groups(
    judgement: Judgement, ids: Ids, keys: Array, slack: Array, rows: Mask, grouping: Grouping
) -> Mask:
    """Check that the experts ids [T, k] of `rows` [T] come from groups that may be kept.

    Returns the mask [T, E] of the experts that the choice is made from: those of the groups that
    must be kept or are used and, where rounding leaves open which groups complete the number, those
    whose best expert left out is the worst, so that a choice is refused only if no set of groups
    explains it.  In a chain of near-ties a group may pass that is worse by two slacks.
    """
    must, may = _bound_groups(keys, slack, grouping)
    group = ids // (keys.shape[1] // grouping.count)
    used = mark_chosen(group, grouping.count)
    crowded = (must | used).sum(axis=1, keepdims=True) > grouping.kept
    stray = ~np.take_along_axis(may, group, axis=1)
    stray |= crowded & ~np.take_along_axis(must, group, axis=1)
    score = grouping.score(keys)
    least = -np.sort(-score, axis=1)[:, grouping.kept - 1]

    def describe(at: Index) -> str:
        return (
            f"expert {ids[at]} (group {group[at]}, score {format_element(score[at[0], group[at]])})"
        )

    judgement.exact(
        "groups_are_top",
        stray & rows[:, None],
        output="topk_ids",
        found=describe,
        wanted=lambda at: (
            f"an expert of the {grouping.kept} best groups "
            f"(score {format_element(least[at[0]])} or more)"
        ),
    )
    certain = must | (used & may)
    rival = np.where(may, _find_best_left_out(ids, keys - slack, grouping), np.inf)
    order = np.argsort(np.where(certain, -np.inf, rival), axis=1, kind="stable")
    completed = certain | mark_chosen(order[:, : grouping.kept], grouping.count)
    return grouping.spread(completed, keys.shape[1])


def find_certain_in_groups(keys: Array, slack: Array, topk: int, grouping: Grouping) -> Mask:
    """True [T, E] for the experts that every choice holds which passes all checks of a choice.

    None of a row in which rounding leaves open which groups are kept.
    """
    must, _ = _bound_groups(keys, slack, grouping)
    decided = must.sum(axis=1, keepdims=True) == grouping.kept
    kept = grouping.spread(must, keys.shape[1])
    return np.asarray(find_certain(keys, slack, topk, kept) & decided)


def judge_group_ties(
    judgement: Judgement, ids: Ids, keys: Array, slack: Array, rows: Mask, grouping: Grouping
) -> Mask:
    """Strict: among groups whose scores are made up of exactly equal keys the lowest index wins.

    A group of lower index than a used one of the same score is kept too: there must be room for
    it, and none of its experts left out may beat the worst chosen one.  Returns the mask [T, E] of
    the experts of all groups that are known to be kept.
    """
    must, may = _bound_groups(keys, slack, grouping)
    group = ids // (keys.shape[1] // grouping.count)
    used = mark_chosen(group, grouping.count)
    known = must | (used & may)
    tops = grouping.find_tops(keys)
    lower = []
    for slot in range(ids.shape[1]):
        own = group[:, slot, None]
        equal = (tops == np.take_along_axis(tops, own[:, :, None], axis=1)).all(axis=2)
        lower.append(equal & ~used & (np.arange(grouping.count) < own))
        known = known | lower[-1]
    worst = np.take_along_axis(keys + slack, ids, axis=1).min(axis=1, keepdims=True)
    dropped = _find_best_left_out(ids, keys - slack, grouping) > worst
    dropped |= known.sum(axis=1, keepdims=True) > grouping.kept
    lost = np.stack([mask & dropped for mask in lower], axis=1)
    judgement.exact(
        "lowest_group_wins_ties",
        lost.any(axis=2) & rows[:, None],
        output="topk_ids",
        found=lambda at: f"expert {ids[at]} of group {group[at]}",
        wanted=lambda at: f"an expert of group {lost[at].argmax()}, whose score is the same",
    )
    return grouping.spread(known, keys.shape[1])


def _bound_groups(keys: Array, slack: Array, grouping: Grouping) -> tuple[Mask, Mask]:
    """[T, G] twice: the groups that are kept however the keys are rounded, and that may be."""
    rounding = 2.0**-24 * np.abs(grouping.score(keys)) if grouping.by_sum else 0.0
    low = grouping.score(keys - slack) - rounding
    high = grouping.score(keys + slack) + rounding
    rival = np.full((len(keys), 1), -np.inf)
    if grouping.kept < grouping.count:
        rival = -np.sort(-high, axis=1)[:, grouping.kept, None]
    return low > rival, high >= -np.sort(-low, axis=1)[:, grouping.kept - 1, None]


def _find_best_left_out(ids: Ids, keys: Array, grouping: Grouping) -> Array:
    """[T, G]: the largest key of a group's experts that were not chosen, -inf where all were."""
    left_out = np.where(mark_chosen(ids, keys.shape[1]), -np.inf, keys)
    return np.asarray(grouping.split(left_out).max(axis=2))
