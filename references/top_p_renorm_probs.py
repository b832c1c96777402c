"""Top-p renormalisation: the smallest set of likeliest tokens that reaches mass p, divided by it.

Semantics: a token is kept iff the mass strictly above its probability is below top_p, as in
flashinfer `top_p_renorm_probs` (flashinfer/sampling.py and include/flashinfer/sampling.cuh
@fb28d724), so that tokens that tie at the boundary are all kept.  The sort, cumulative sum and
scatter that sglang falls back to cuts ties by rank, which only strict refuses.
top_p <= 0 keeps the maxima, top_p >= 1 keeps all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .judging.blocks import judge_in_blocks
from .judging.elementwise import Array
from .judging.support import (
    divide_kept,
    find_specified,
    judge_renorm,
    sort_descending,
    spread,
    sum_above,
    support_top_p,
    take_rank,
)
from .judging.verdict import Judgement, Verdict


def oracle(probs: Array, top_p: float | Array) -> dict[str, Any]:
    """probs f64 [B, V], top_p float or f64 [B] -> renorm_probs f64 [B, V].

    Rows that are neither normalised nor zero give NaN, which stands for `unspecified`.
    """
    specified = find_specified(probs)
    probs = np.where(specified[:, None], probs, 0.0)
    target = spread(top_p, len(probs))
    ranked = sort_descending(probs)
    floor = take_rank(ranked, (sum_above(ranked) < target[:, None]).sum(axis=1))
    renorm_probs = divide_kept(probs, np.where(target >= 1.0, 0.0, floor))
    renorm_probs[~specified] = np.nan
    return {"renorm_probs": renorm_probs}


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge renorm_probs [B, V] for the inputs of `oracle`."""
    del dtype  # the op is float32 throughout
    top_ps = spread(inputs["top_p"], len(inputs["probs"]))

    def judge_rows(part: slice) -> Verdict:
        probs, top_p = inputs["probs"][part], top_ps[part]
        found = outputs["renorm_probs"][part]
        rows = find_specified(probs) & ~np.isnan(top_p)
        probs = np.where(rows[:, None], probs, 0.0)
        judgement = Judgement()
        support = support_top_p(sort_descending(probs), top_p, strict=strict)
        judge_renorm(judgement, probs, found, support, rows, strict=strict)
        return judgement.verdict()

    return judge_in_blocks(judge_rows, *inputs["probs"].shape)
