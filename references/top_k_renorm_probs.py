"""Top-k renormalisation: the k largest probabilities of each row, divided by their sum.

Semantics: aiter `top_k_renorm_probs` (aiter/ops/sampling.py and csrc/cpp_itfs/sampling @e4048607)
and flashinfer `top_k_renorm_probs` (flashinfer/sampling.py @fb28d724): every token that equals the
k-th largest is kept with it.  k >= V keeps all; k <= 0 is out of contract.
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
    support_top_k,
    take_rank,
)
from .judging.verdict import Judgement, Verdict


def oracle(probs: Array, top_k: int | Array) -> dict[str, Any]:
    """probs f64 [B, V], top_k int or i64 [B] -> renorm_probs f64 [B, V].

    Rows that are neither normalised nor zero give NaN, which stands for `unspecified`.
    """
    specified = find_specified(probs)
    probs = np.where(specified[:, None], probs, 0.0)
    floor = take_rank(sort_descending(probs), spread(top_k, len(probs)))
    renorm_probs = divide_kept(probs, floor)
    renorm_probs[~specified] = np.nan
    return {"renorm_probs": renorm_probs}


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge renorm_probs [B, V] for the inputs of `oracle`.

    A cut through the tokens that tie with the k-th largest is refused, strict or not.
    """
    del dtype  # the op is float32 throughout
    top_ks = spread(inputs["top_k"], len(inputs["probs"]))

    def judge_rows(part: slice) -> Verdict:
        probs, top_k = inputs["probs"][part], top_ks[part]
        found = outputs["renorm_probs"][part]
        rows = find_specified(probs) & (top_k >= 1)
        probs = np.where(rows[:, None], probs, 0.0)
        judgement = Judgement()
        support = support_top_k(sort_descending(probs), top_k)
        judge_renorm(judgement, probs, found, support, rows, strict=strict)
        return judgement.verdict()

    return judge_in_blocks(judge_rows, *inputs["probs"].shape)
