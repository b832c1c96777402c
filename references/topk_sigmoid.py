"""Sigmoid gating: sigmoid of every logit, the k largest by score plus bias, weighed by the score.

Semantics: without a bias Llama-4's router and Composable Kernel's topk_sigmoid (example
09_topk_softmax @078ec9d), with one the ungrouped router of DeepSeek-V3's descendants as aiter
`topk_gating` (score_func="sigmoid", @e4048607) and sgl-kernel `topk_sigmoid` compute it.  The
former compares logits and the latter float32 scores, which are all 1 from a logit of 17 on; keys
that are equal within float32 rounding are interchangeable, so that both pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .judging.blocks import judge_in_blocks
from .judging.elementwise import TINY, Array
from .judging.gating import (
    add_bias,
    begin_rows,
    choose_weights,
    find_specified,
    judge_gating,
    take_top,
    widen_by_bias,
)
from .judging.selection import Ids, find_certain, keep_certain
from .judging.verdict import Verdict

#: Roundings of float32 in a sigmoid: exp2, the reciprocal and an approximate division are good to
#: 2 ulp, which is four half-ulps each, and adding 1 rounds once: 13, and three to spare.
ROUNDINGS = 16 * 2.0**-24


def oracle(
    gating_output: Array, topk: int, renormalize: bool, correction_bias: Array | None
) -> dict[str, Any]:
    """gating_output f64 [T, E], finite correction_bias f64 [E] -> weights f64, ids i32 [T, k].

    Descending by key, lowest index among equals; rows that hold NaN, +inf or only -inf give ids
    0..k-1 and NaN weights, which stands for `unspecified`.
    """
    specified = find_specified(gating_output)
    scores = sigmoid(np.where(specified[:, None], gating_output, 0.0))
    keys = np.where(specified[:, None], add_bias(scores, correction_bias), 0.0)
    ids = take_top(keys, topk)
    weights = choose_weights(scores, ids, renormalize)
    weights[~specified] = np.nan
    return {"topk_weights": weights, "topk_ids": ids.astype(np.int32)}


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge topk_weights [T, k] and topk_ids [T, k] for the inputs of `oracle`."""
    del dtype  # the logits are exact in float64 and every kernel computes in float32
    bias, renormalize = inputs["correction_bias"], inputs["renormalize"]

    def judge_rows(part: slice) -> Verdict:
        judgement, found, rows, logits = begin_rows(inputs["gating_output"], outputs, part)
        scores, slack = score_with_slack(logits)
        keys = add_bias(scores, bias)
        room = widen_by_bias(slack, keys, bias)
        judge_gating(judgement, found, scores, keys, slack, rows, renormalize, strict, room)
        return judgement.verdict()

    return judge_in_blocks(judge_rows, *inputs["gating_output"].shape)


def erase_unspecified(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Ids]:
    """The experts that every right answer names, -1 in place of others: one form for all of them.

    Weights are left out: renormalised ones vary by the rounding of a sum.
    """
    logits, bias = inputs["gating_output"], inputs["correction_bias"]
    rows = find_specified(logits)[:, None]
    scores, slack = score_with_slack(np.where(rows, logits, 0.0))
    keys = add_bias(scores, bias)
    room = widen_by_bias(slack, keys, bias)
    certain = find_certain(keys, room, inputs["topk"]) & rows
    return {"topk_ids": keep_certain(outputs["topk_ids"], certain)}


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-x)) of any logits but NaN, without overflow and exact at both ends."""
    power = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits < 0, power, 1.0) / (1.0 + power))


def score_with_slack(logits: Array) -> tuple[Array, Array]:
    """The sigmoid of each logit, and how far float32 rounding may move it, absolutely.

    exp(-x) is off by a relative |x| * 2^-24 twice, once for the product with log2(e) and once for
    that constant, which reaches the score by a share of 1 - sigmoid(x); below the smallest normal
    number the score may be flushed to zero.
    """
    scores = sigmoid(logits)
    distance = np.where(np.isfinite(logits), np.abs(logits), 0.0)
    return scores, scores * (ROUNDINGS + (1.0 - scores) * distance * 2.0**-23) + TINY
