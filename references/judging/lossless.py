"""Whether speculative verification leaves the target's distribution as it was.

At thresholds (1, 1), with distinct siblings and coins that are independent and uniform, a token
is emitted with just its target probability: a draft x passes with probability q(x), and what is
rejected is drawn from the rest of q in proportion.  That holds for whatever drafts, so long as
they do not depend on the coins (Leviathan, Kalman and Matias, Fast Inference from Transformers
via Speculative Decoding, 2023, with a point mass as the draft distribution).  The same holds for
the second token given that the first was an accepted draft: its coins are others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .replay import Drafts, Ints, find_parents
from .sampling import SMALLEST_SAMPLE, judge_fits, measure_fit
from .selection import Mask
from .verdict import Check, Judgement

NAME = "lossless"


@dataclass(frozen=True)
class Emitted:
    """Tokens [B] emitted at one position by `rows` [B], each due from the row of `nodes` [B]."""

    tokens: NDArray[Any]
    nodes: Ints
    rows: Mask


def judge_lossless(
    judgement: Judgement, output: str, drafts: Drafts, emitted: Mapping[str, Emitted]
) -> None:
    """Add the check `lossless` where the inputs make it due; emitted: by the position's name.

    It is due where verification is lossless, at least SMALLEST_SAMPLE rows emit a token, and all
    of these share one distribution, so that their tokens are draws from it.
    """
    if len(drafts.candidates) < SMALLEST_SAMPLE or not is_lossless(drafts):
        return
    fits = {}
    for what, position in emitted.items():
        rows = np.flatnonzero(position.rows)
        if len(rows) < SMALLEST_SAMPLE:
            continue
        target = drafts.target_probs[rows, position.nodes[rows]]
        tokens = position.tokens[rows]
        if not (target == target[0]).all() or not target[0].sum() > 0:
            continue
        if ((tokens < 0) | (tokens >= target.shape[1])).any():
            note = f"not checked: the {what} is not always in the vocabulary"
            judgement.checks.append(Check(NAME, None, 0.0, 1.0, note))
            return
        fits[what] = measure_fit(tokens.astype(np.int64), target[0])
    if fits:
        judge_fits(judgement, NAME, output, fits)


def is_lossless(drafts: Drafts) -> bool:
    """Whether the contract keeps the target's distribution: thresholds one, siblings distinct."""
    if drafts.threshold_single != 1.0 or drafts.threshold_acc != 1.0:
        return False
    parents = find_parents(drafts)
    nodes = parents.shape[1]
    for node in range(1, nodes):
        same = (parents[:, :node] == parents[:, node : node + 1]) & (parents[:, :node] >= 0)
        if (same & (drafts.candidates[:, :node] == drafts.candidates[:, node : node + 1])).any():
            return False
    return True
