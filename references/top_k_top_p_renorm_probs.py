"""Top-k and top-p renormalisation in one call.

Semantics: `joint` applies both rules to the original probabilities, as aiter's
`top_k_top_p_sampling_from_probs` does (csrc/cpp_itfs/sampling @e4048607); `top_k_first`
renormalises in between, the default of flashinfer's parameter filter_apply_order
(flashinfer/sampling.py @fb28d724).  [.4, .3, .2, .1] with k = 2 and p = .55 keeps two tokens
jointly and one in sequence: they are two functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import top_k_renorm_probs, top_p_renorm_probs
from .judging.blocks import judge_in_blocks
from .judging.elementwise import Array
from .judging.support import (
    Support,
    divide_kept,
    find_specified,
    judge_renorm,
    sort_descending,
    spread,
    support_top_k,
    support_top_p,
)
from .judging.verdict import Judgement, Verdict


def oracle(
    probs: Array, top_k: int | Array, top_p: float | Array, filter_apply_order: str
) -> dict[str, Any]:
    """probs f64 [B, V], top_k int or i64 [B], top_p float or f64 [B] -> renorm_probs f64 [B, V].

    filter_apply_order: joint or top_k_first.  Rows that are neither normalised nor zero give NaN,
    which stands for `unspecified`.
    """
    by_rank = top_k_renorm_probs.oracle(probs, top_k)["renorm_probs"]
    if filter_apply_order == "top_k_first":
        return top_p_renorm_probs.oracle(by_rank, top_p)
    by_mass = top_p_renorm_probs.oracle(probs, top_p)["renorm_probs"]
    specified = ~np.isnan(by_rank).any(axis=1)
    kept = np.where((by_rank > 0.0) & (by_mass > 0.0), probs, 0.0)
    renorm_probs = divide_kept(kept, np.zeros(len(probs)))
    renorm_probs[~specified] = np.nan
    return {"renorm_probs": renorm_probs}


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge renorm_probs [B, V] for the inputs of `oracle`.

    Ties at the k-th largest are kept whole, strict or not; ties where the mass reaches top_p may
    be cut by default.
    """
    del dtype  # the op is float32 throughout
    top_ks, top_ps = (spread(inputs[name], len(inputs["probs"])) for name in ("top_k", "top_p"))
    sequential = inputs["filter_apply_order"] == "top_k_first"
    divisions = 2 if sequential else 1

    def judge_rows(part: slice) -> Verdict:
        probs, top_k, top_p = inputs["probs"][part], top_ks[part], top_ps[part]
        found = outputs["renorm_probs"][part]
        rows = find_specified(probs) & (top_k >= 1) & ~np.isnan(top_p)
        probs = np.where(rows[:, None], probs, 0.0)
        judgement = Judgement()
        support = _find_support(sort_descending(probs), top_k, top_p, sequential, strict)
        judge_renorm(judgement, probs, found, support, rows, strict=strict, divisions=divisions)
        return judgement.verdict()

    return judge_in_blocks(judge_rows, *inputs["probs"].shape)


def _find_support(
    ranked: Array, top_k: Array, top_p: Array, sequential: bool, strict: bool
) -> Support:
    floor = support_top_k(ranked, top_k).certain
    if sequential:
        ranked = np.where(ranked >= floor[:, None], ranked, 0.0)
    return support_top_p(ranked, top_p, strict=strict, divided=sequential).above(floor)
