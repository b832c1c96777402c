"""What every gating op shares: the chosen ids, their weights, and the rows that are specified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .elementwise import TINY, Array, judge_close
from .selection import Mask, judge_best, judge_order
from .verdict import Judgement

#: Roundings of float32 in a score, the sum and the division.  A tree sum of E <= 1024 rounds ten
#: times and a lane's sequential part at most 16 times; exp2 and rcp are good to 1 ulp on CDNA
#: and 2 ulp on CUDA.  32 half-ulps cover a score, and 32 more what renormalising adds.
ROUNDINGS = 32 * 2.0**-24

#: Chosen scores that sum to less than this have no specified weights when renormalised: aiter and
#: FlyDSL divide by max(sum, 1e-20), vLLM and sgl-kernel by the sum itself.
SMALLEST_SUM = 1e-18


def judge_gating(
    judgement: Judgement,
    outputs: Mapping[str, Any],
    scores: Array,
    keys: Array,
    slack: Array,
    rows: Mask,
    renormalize: bool,
    strict: bool,
) -> None:
    """The checks every gating op shares, for `rows` whose ids are usable and contents specified.

    scores, keys, slack [T, E]: what a chosen expert weighs, what it is chosen by, and how far
    float32 rounding moves either.
    """
    ids = np.where(rows[:, None], outputs["topk_ids"], 0).astype(np.int64)
    judge_best(judgement, ids, keys, slack, rows)
    if strict:
        judge_order(judgement, ids, keys, slack, rows)
    expected = choose_weights(scores, ids, renormalize)
    room = np.take_along_axis(slack, ids, axis=1)
    if renormalize:
        total = np.take_along_axis(scores, ids, axis=1).sum(axis=1)
        rows = rows & (total > SMALLEST_SUM)
        room = room / np.maximum(total, SMALLEST_SUM)[:, None]
    judge_close(
        judgement,
        "weights",
        output="topk_weights",
        found=outputs["topk_weights"],
        wanted=expected,
        relative=ROUNDINGS,
        absolute=room,
        where=rows[:, None],
    )


def find_specified(logits: Array) -> Mask:
    """Rows [T] whose answer is specified: no NaN, no +inf, at least one finite logit."""
    bad = np.isnan(logits) | (logits == np.inf)
    return np.asarray(~bad.any(axis=1) & np.isfinite(logits).any(axis=1))


def take_top(keys: Array, topk: int) -> NDArray[np.int64]:
    """ids [T, k] of the largest keys, descending, lowest index among equals."""
    return np.argsort(-keys, axis=1, kind="stable")[:, :topk].astype(np.int64)


def choose_weights(scores: Array, ids: NDArray[Any], renormalize: bool) -> Array:
    """The scores [T, E] of the chosen ids [T, k], divided by their sum if asked."""
    weights = np.take_along_axis(scores, ids, axis=1)
    if renormalize:
        total = weights.sum(axis=1, keepdims=True)
        weights = weights / np.where(total > 0, total, 1.0)
    return weights
