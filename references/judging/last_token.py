"""Judging the token that is drawn after the accepted drafts.

The draw is an inversion of the cumulative sum with a given coin, so that the right token is known,
but for coins that lie within the rounding of float32 sums of an edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .elementwise import TINY, Array
from .replay import Drafts, Ints, Replay, draw_tokens, take_residual
from .selection import Mask
from .support import EXACT_STEP, accumulation_error
from .verdict import Judgement, format_element


@dataclass(frozen=True)
class LastTokens:
    """The last token of each row against what it was to be drawn from; all fields [B].

    own: its mass; lower, upper: its part of the cumulative sum; target: coin * sum; due: the token
    that the oracle draws; kept: the one it would draw with the rejected drafts kept; rejected: it
    is a rejected draft itself; exact: nothing that leads to it can round.
    """

    tokens: NDArray[Any]
    usable: Mask
    own: Array
    lower: Array
    upper: Array
    target: Array
    total: Array
    due: Ints
    kept: Ints
    rejected: Mask
    exact: Mask

    def measure_error(self, vocabulary: int) -> Array:
        """How far coin * sum is from each token's part; infinite where no rounding leads there."""
        outside = np.maximum(np.maximum(self.lower - self.target, self.target - self.upper), 0.0)
        inside = (self.lower <= self.target) & (self.target < self.upper)
        error = np.where(self.exact, np.where(inside, 0.0, np.inf), outside)
        error = np.where(self.usable & (self.own > 0), error, np.inf)
        # Hardware may flush what is below the smallest normal number, and then finds nothing.
        fallen_back = (self.total < TINY) & (self.tokens == vocabulary - 1)
        return np.where(fallen_back, 0.0, error)

    def describe_found(self, row: int) -> str:
        """What the token of a row is."""
        if not self.usable[row]:
            fault = "not in the vocabulary"
        elif self.rejected[row]:
            fault = "rejected as a draft, drawn again"
        elif self.own[row] == 0:
            fault = "has no probability"
        elif self.tokens[row] == self.kept[row] != self.due[row]:
            fault = "due only if the rejected drafts were kept in the draw"
        else:
            ends = format_element(self.lower[row]), format_element(self.upper[row])
            fault = f"cumulative sum from {ends[0]} to {ends[1]}"
        return f"token {self.tokens[row]} ({fault})"

    def describe_wanted(self, row: int) -> str:
        """What the token of a row was to be."""
        target = f"coin * sum is {format_element(self.target[row])}"
        reason = target if self.total[row] > 0 else "nothing is left to draw from"
        return f"token {self.due[row]} ({reason})"


def find_last_tokens(
    drafts: Drafts, walk: Replay, tokens: NDArray[Any], coins: Array
) -> LastTokens:
    """Hold tokens [B], any integers, against what `coins` [B] draw after `walk`."""
    mass = take_residual(drafts, walk)
    batch, vocabulary = mass.shape
    rows = np.arange(batch)
    usable = (tokens >= 0) & (tokens < vocabulary)
    safe = np.where(usable, tokens, 0).astype(np.int64)
    prefix = np.cumsum(mass, axis=1)
    total = prefix[:, -1]
    again = walk.rejected & (drafts.candidates == tokens[:, None])
    return LastTokens(
        tokens=tokens,
        usable=usable,
        own=mass[rows, safe],
        lower=np.where(safe > 0, prefix[rows, safe - 1], 0.0),
        upper=prefix[rows, safe],
        target=coins * total,
        total=total,
        due=draw_tokens(mass, coins),
        kept=draw_tokens(drafts.target_probs[rows, walk.last], coins),
        rejected=again.any(axis=1),
        exact=_adds_exactly(mass, total),
    )


def _adds_exactly(mass: Array, total: Array) -> Mask:
    """Rows in which no float32 sum, normalisation or product with a coin rounds, in any order."""
    power_of_two = (np.frexp(total)[0] == 0.5) & (total <= 1.0)
    return np.asarray(power_of_two & (np.mod(mass, EXACT_STEP) == 0.0).all(axis=1))


def judge_last_tokens(
    judgement: Judgement,
    output: str,
    found: LastTokens,
    vocabulary: int,
    rows: Mask,
    places: Ints,
    size: int,
) -> None:
    """Check the last tokens of `rows` [B]; `places` [B] say where they stand in `output` [size].

    A token passes when it has mass and coin * sum is no further from its part of the cumulative
    sum than float32 accumulation moves either.  Where nothing has mass, V - 1 is due.
    """
    error, limit, row_at = np.zeros(size), np.ones(size), np.zeros(size, dtype=np.int64)
    band = np.maximum(accumulation_error(vocabulary) * found.total, np.finfo(float).tiny)
    error[places[rows]] = found.measure_error(vocabulary)[rows]
    limit[places[rows]] = band[rows]
    row_at[places] = np.arange(len(places))
    judgement.bounded(
        "last_token",
        error,
        limit,
        output=output,
        found=lambda at: found.describe_found(int(row_at[at])),
        wanted=lambda at: found.describe_wanted(int(row_at[at])),
        detail="distance of coin * sum from the token's part of the cumulative sum, over rounding",
    )
