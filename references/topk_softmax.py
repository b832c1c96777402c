"""Softmax gating: softmax over all experts, the k most probable, optionally renormalised.

Semantics: vLLM `topk_softmax` (csrc/moe/topk_softmax_kernels.cu) and its descendants in aiter,
sgl-kernel and FlyDSL.  Kernels compare logits or float32 probabilities, so any expert whose
probability equals another's within float32 rounding may stand for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .judging.blocks import judge_in_blocks
from .judging.elementwise import TINY, Array
from .judging.gating import (
    ROUNDINGS,
    begin_rows,
    choose_weights,
    find_specified,
    judge_gating,
    take_top,
)
from .judging.selection import Ids, Mask, find_certain, keep_certain
from .judging.verdict import Verdict


def oracle(gating_output: Array, topk: int, renormalize: bool) -> dict[str, Any]:
    """gating_output f64 [T, E] -> topk_weights f64 [T, k], topk_ids i32 [T, k].

    Descending, lowest index among equals; rows that hold NaN, +inf or only -inf give ids 0..k-1
    and NaN weights, which stands for `unspecified`.
    """
    specified = find_specified(gating_output)
    probabilities = softmax(np.where(specified[:, None], gating_output, 0.0))
    ids = take_top(probabilities, topk)
    weights = choose_weights(probabilities, ids, renormalize)
    weights[~specified] = np.nan
    return {"topk_weights": weights, "topk_ids": ids.astype(np.int32)}


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge topk_weights [T, k] and topk_ids [T, k] for the inputs of `oracle`."""
    del dtype  # the logits are exact in float64 and every kernel computes in float32
    renormalize = inputs["renormalize"]

    def judge_rows(part: slice) -> Verdict:
        judgement, found, rows, logits = begin_rows(inputs["gating_output"], outputs, part)
        scores, slack = score_with_slack(logits)
        judge_gating(judgement, found, scores, scores, slack, rows, renormalize, strict)
        return judgement.verdict()

    return judge_in_blocks(judge_rows, *inputs["gating_output"].shape)


def erase_unspecified(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Ids]:
    """The experts that every right answer names, -1 in place of others: one form for all of them.

    Weights are left out: they vary by the rounding of a sum.
    """
    certain = find_certain_experts(inputs["gating_output"], inputs["topk"])
    return {"topk_ids": keep_certain(outputs["topk_ids"], certain)}


def find_certain_experts(logits: Array, topk: int) -> Mask:
    """True [T, E] for the experts that every right top k of a specified row holds."""
    rows = find_specified(logits)[:, None]
    logits = np.where(rows, logits, 0.0)
    return find_certain(*score_with_slack(logits), topk) & rows


def softmax(logits: Array) -> Array:
    """Softmax over the last axis; every row holds a finite maximum."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def score_with_slack(logits: Array) -> tuple[Array, Array]:
    """The softmax, and how far float32 rounding may move each probability, absolutely.

    exp(x - max) is off by a relative |x - max| * 2^-24 twice, once for the subtraction and once
    for the product with log2(e); below the smallest normal number it may be flushed to zero.
    """
    with np.errstate(invalid="ignore"):
        distance = logits.max(axis=-1, keepdims=True, initial=-np.inf) - logits
    finite = np.where(np.isfinite(distance), distance, 0.0)
    probabilities = softmax(logits)
    return probabilities, probabilities * (ROUNDINGS + finite * 2.0**-23) + TINY
