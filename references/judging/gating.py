"""What every gating op shares: the chosen ids, their weights, and the rows that are specified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .elementwise import TINY, Array, judge_close
from .selection import Mask, judge_best, judge_ids, judge_order
from .verdict import Judgement

#: Roundings of float32 in a score, the sum and the division.  A tree sum of E <= 1024 rounds ten
#: times and a lane's sequential part at most 16 times; exp2 and rcp are good to 1 ulp on CDNA
#: and 2 ulp on CUDA.  32 half-ulps cover a score, and 32 more what renormalising adds.
ROUNDINGS = 32 * 2.0**-24

#: Chosen scores that sum to less than this have no specified weights when renormalised: aiter and
#: FlyDSL divide by max(sum, 1e-20), DeepSeek's own router by sum + 1e-20, vLLM and sgl-kernel by
#: the sum itself.  Above it, those agree to a tenth of a float32 rounding.
SMALLEST_SUM = 1e-12


def begin_rows(
    gating_output: Array, outputs: Mapping[str, Any], part: slice
) -> tuple[Judgement, Mapping[str, Any], Mask, Array]:
    """Of some rows: a judgement of their ids, their outputs, those [R] that are to be judged
    further, and logits [R, E], zeros in the others."""
    logits = gating_output[part]
    found = {name: values[part] for name, values in outputs.items()}
    judgement = Judgement()
    rows = judge_ids(judgement, found["topk_ids"], logits.shape[1]) & find_specified(logits)
    return judgement, found, rows, np.where(rows[:, None], logits, 0.0)


def judge_gating(
    judgement: Judgement,
    outputs: Mapping[str, Any],
    scores: Array,
    keys: Array,
    slack: Array,
    rows: Mask,
    renormalize: bool,
    strict: bool,
    key_slack: Array | None = None,
) -> None:
    """The checks of a plain top-k, for `rows` whose ids are usable and contents specified.

    scores, keys [T, E]: what a chosen expert weighs, and what it is chosen by.  slack [T, E]: how
    far float32 rounding moves the scores, and the keys too unless `key_slack` says otherwise.
    """
    ids = np.where(rows[:, None], outputs["topk_ids"], 0).astype(np.int64)
    room = slack if key_slack is None else key_slack
    judge_best(judgement, ids, keys, room, rows)
    if strict:
        judge_order(judgement, ids, keys, room, rows)
    judge_weights(judgement, outputs["topk_weights"], ids, scores, slack, rows, renormalize)


def judge_weights(
    judgement: Judgement,
    topk_weights: NDArray[Any],
    ids: NDArray[np.int64],
    scores: Array,
    slack: Array,
    rows: Mask,
    renormalize: bool,
    factor: float = 1.0,
    num_shared: int = 0,
) -> None:
    """Check topk_weights [T, k + num_shared] against the scores [T, E] of the chosen ids [T, k].

    Rows whose chosen scores are lost in rounding have no specified renormalised weights.
    """
    if renormalize:
        total, doubt = (_sum_chosen(values, ids) for values in (scores, slack))
        rows = rows & (total > SMALLEST_SUM)[:, 0] & (doubt <= 0.25 * total)[:, 0]
    judge_close(
        judgement,
        "weights",
        output="topk_weights",
        found=topk_weights,
        wanted=choose_weights(scores, ids, renormalize, factor, num_shared),
        relative=ROUNDINGS,
        absolute=_weight_slack(scores, slack, ids, renormalize, factor, num_shared),
        where=rows[:, None],
    )


def find_specified(logits: Array) -> Mask:
    """Rows [T] whose answer is specified: no NaN, no +inf, at least one finite logit."""
    bad = np.isnan(logits) | (logits == np.inf)
    return np.asarray(~bad.any(axis=1) & np.isfinite(logits).any(axis=1))


def take_top(keys: Array, topk: int) -> NDArray[np.int64]:
    """ids [T, k] of the largest keys, descending, lowest index among equals."""
    return np.argsort(-keys, axis=1, kind="stable")[:, :topk].astype(np.int64)


def add_bias(scores: Array, correction_bias: Array | None) -> Array:
    """The keys that experts are chosen by: scores [T, E] plus the finite bias [E], if any."""
    return scores if correction_bias is None else scores + correction_bias


def widen_by_bias(slack: Array, keys: Array, correction_bias: Array | None) -> Array:
    """The slack of `keys`: that of the scores, and the rounding of the sum with the bias."""
    return slack if correction_bias is None else slack + 2.0**-24 * np.abs(keys)


def choose_weights(
    scores: Array,
    ids: NDArray[Any],
    renormalize: bool,
    factor: float = 1.0,
    num_shared: int = 0,
) -> Array:
    """The scores [T, E] of the chosen ids [T, k], divided by their sum if asked, times `factor`.

    Each of `num_shared` columns more weighs sum / factor before it is divided and multiplied.
    """
    weights = np.take_along_axis(scores, ids, axis=1)
    total = weights.sum(axis=1, keepdims=True)
    weights = _append_columns(weights, total / factor, num_shared)
    if renormalize:
        weights = weights / np.where(total > 0, total, 1.0)
    return np.asarray(weights * factor)


def _weight_slack(
    scores: Array,
    slack: Array,
    ids: NDArray[Any],
    renormalize: bool,
    factor: float,
    num_shared: int,
) -> Array:
    """How far the slack of the scores moves each weight that `choose_weights` gives."""
    room = np.take_along_axis(slack, ids, axis=1)
    doubt = _sum_chosen(slack, ids)
    if not renormalize:
        return factor * _append_columns(room, doubt / factor, num_shared)
    total = _sum_chosen(scores, ids)
    # (s + d) / (sum - D) - s / sum <= (d + s / sum * D) / (sum - D)
    share = np.take_along_axis(scores, ids, axis=1) / np.where(total > 0, total, 1.0)
    room = (room + share * doubt) / np.maximum(total - doubt, SMALLEST_SUM)
    # A shared expert's weight is the sum divided by itself, whatever the sum is.
    return factor * _append_columns(room, np.full_like(doubt, TINY), num_shared)


def _sum_chosen(values: Array, ids: NDArray[Any]) -> Array:
    return np.asarray(np.take_along_axis(values, ids, axis=1).sum(axis=1, keepdims=True))


def _append_columns(values: Array, column: Array, count: int) -> Array:
    return np.concatenate([values, *[column] * count], axis=1)
