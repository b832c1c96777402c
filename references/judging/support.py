"""Judging renormalised probabilities: which tokens are kept, and what they are divided by.

The kept set is judged from the input's own values, never by comparing answers: between what every
right answer keeps and what none keeps, a right answer keeps larger probabilities first and enough
of them.  Quotients are then held against the sum of what the candidate itself kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .elementwise import TINY, Array, judge_close
from .selection import Mask
from .verdict import Index, Judgement, format_element

#: A kept token below this may come out as zero: hardware may flush it, before or after the
#: division by a sum that rounding may put above one.
FLUSHED = 2.0 * TINY

#: Multiples of this that sum to at most one are added by float32 without error, in any order.
EXACT_STEP = 2.0**-24

#: Two probabilities this close, relatively, may become one float32 number when both are divided:
#: neighbours are up to 2^-23 apart, relatively, and a product with a reciprocal rounds once more.
DIVISION_BLUR = 2.0**-22

OUTPUT = "renorm_probs"


@dataclass(frozen=True)
class Support:
    """What may be kept of each row; every field is f64 [B].

    Every right answer keeps the tokens of at least `certain`; none keeps a token below `possible`.
    In between the larger ones come first, and the kept mass reaches `need`, which the tokens of
    value `boundary` do.  blur: the relative difference up to which two values may tie.
    """

    certain: Array
    possible: Array
    boundary: Array
    need: Array
    blur: float = 0.0

    def above(self, floor: Array) -> Support:
        """This support without the tokens below `floor` [B]."""
        return replace(
            self,
            certain=np.maximum(self.certain, floor),
            possible=np.maximum(self.possible, floor),
            need=np.where(self.boundary < floor, 0.0, self.need),
        )


def accumulation_error(vocabulary: int) -> float:
    """Relative error of a float32 sum of probabilities, and of a quotient by it.

    Each of V roundings is at most 2^-24 of the total; independent ones make a random walk of
    sqrt(V) steps.  Kernels do better: their lanes (256 or more) add V / 256 numbers each and then
    a tree of them, which is V / 512 + 8 even if all roundings go one way, and less than this up to
    V = 2^18.  The 8 also covers a quotient by an approximate reciprocal.  A single running sum
    over tens of thousands of equal numbers, whose roundings do all go one way, is not good enough.
    """
    return float(2.0**-24 * (8.0 + np.sqrt(vocabulary)))


def spread(value: Array | float, rows: int) -> NDArray[np.float64]:
    """A scalar, or one value a row, as f64 [rows]."""
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (rows,))


def find_specified(probs: Array) -> Mask:
    """Rows [B] of probabilities that sum to one within float32 rounding, and rows of zeros."""
    usable = np.asarray(np.all(np.isfinite(probs) & (probs >= 0.0), axis=1))
    total = np.where(usable[:, None], probs, 0.0).sum(axis=1)
    normalised = np.abs(total - 1.0) <= accumulation_error(probs.shape[1])
    return np.asarray(usable & (normalised | (total == 0.0)))


def sort_descending(probs: Array) -> Array:
    """Each row [B, V] from its largest probability to its smallest."""
    return np.asarray(-np.sort(-probs, axis=1))


def take_rank(ranked: Array, rank: Array) -> Array:
    """The rank-th largest value of each row [B], counted from one and kept within [1, V]."""
    place = np.clip(rank, 1, ranked.shape[1]).astype(np.int64) - 1
    return np.take_along_axis(ranked, place[:, None], axis=1)[:, 0]


def sum_above(ranked: Array) -> Array:
    """The mass [B, V] before each place of a row in descending order."""
    above = np.zeros_like(ranked)
    np.cumsum(ranked[:, :-1], axis=1, out=above[:, 1:])
    return above


def divide_kept(probs: Array, floor: Array) -> Array:
    """The probabilities [B, V] of at least `floor` [B], divided by their sum; zero rows stay."""
    kept = np.where(probs >= floor[:, None], probs, 0.0)
    total = kept.sum(axis=1, keepdims=True)
    return np.asarray(kept / np.where(total > 0.0, total, 1.0))


def support_top_k(ranked: Array, top_k: Array) -> Support:
    """Exactly the tokens no smaller than the k-th largest: comparisons do not round."""
    floor = take_rank(ranked, top_k)
    return Support(floor, floor, np.full_like(floor, -np.inf), np.zeros_like(floor))


def support_top_p(ranked: Array, top_p: Array, *, strict: bool, divided: bool = False) -> Support:
    """The tokens whose mass strictly above is below top_p [B].

    The mass may be off by the accumulation error of the row's sum, and top_p may be taken as it
    is or relative to that sum; where float32 adds without error it may not be off.  divided: a
    kernel compares float32 quotients by the row's sum, which depend on two sums, and may tie.
    By default part of the tokens that tie at the boundary may be left out once the kept mass
    reaches top_p; strict keeps all of them.
    """
    total = ranked.sum(axis=1)
    band = accumulation_error(ranked.shape[1]) * total
    band = 2.0 * band if divided else np.where(_adds_exactly(ranked, top_p), 0.0, band)
    one = total if divided else np.ones_like(total)
    blur = DIVISION_BLUR if divided else 0.0
    above = sum_above(ranked)
    low = top_p * np.minimum(total, one) - band
    high = np.where(top_p <= 0.0, 0.0, top_p * np.maximum(total, one) + band)
    boundary = take_rank(ranked, (above < low[:, None]).sum(axis=1))
    possible = take_rank(ranked, (above < high[:, None]).sum(axis=1)) * (1.0 - blur)
    certain = boundary if strict else _next_above(ranked, boundary)
    need = np.maximum(low, ranked[:, 0])
    everything = top_p >= 1.0
    certain, possible, boundary, need = (
        np.where(everything, 0.0, values) for values in (certain, possible, boundary, need)
    )
    return Support(certain, possible, boundary, need, blur)


def judge_renorm(
    judgement: Judgement,
    probs: Array,
    found: NDArray[np.float64],
    support: Support,
    rows: Mask,
    *,
    strict: bool,
    divisions: int = 1,
) -> None:
    """Check the kept set and the quotients of `rows` [B]; probs (finite), found [B, V].

    divisions: how many times the candidate may divide by a float32 sum.
    """
    finite = np.isfinite(found)
    judgement.exact(
        "finite", ~finite & rows[:, None], output=OUTPUT, found=found, wanted="a finite number"
    )
    _judge_kept(judgement, probs, found, support, rows, strict)
    _judge_mass(judgement, probs, found, support, rows)
    _judge_quotients(judgement, probs, found, rows & finite.all(axis=1), divisions)


def _judge_kept(
    judgement: Judgement,
    probs: Array,
    found: NDArray[np.float64],
    support: Support,
    rows: Mask,
    strict: bool,
) -> None:
    """Nothing below the boundary is kept, nothing above it dropped, no tie cut that may not be."""
    kept, judged = found != 0.0, rows[:, None]
    outside = (probs < support.possible[:, None]) | (probs == 0.0)
    judgement.exact(
        "none_kept_outside",
        kept & outside & judged & np.isfinite(found),
        output=OUTPUT,
        found=found,
        wanted=_describe("0: the probability {} is below {}", probs, support.possible),
    )
    solid = (probs >= FLUSHED) & ~outside & judged
    smallest = np.where(kept & solid, probs, np.inf).min(axis=1, initial=np.inf)
    due = _find_due(probs, support, smallest, strict)
    dropped = ~kept & solid & due
    tied = probs == smallest[:, None]
    judgement.exact(
        "none_dropped_inside",
        dropped & ~tied,
        output=OUTPUT,
        found=found,
        wanted=_describe("kept: the probability {} is no smaller than {}", probs, support.possible),
    )
    judgement.exact(
        "ties_kept",
        dropped & tied,
        output=OUTPUT,
        found=found,
        wanted=_describe("kept (tie cut): the equal probability {} is kept", probs, smallest),
    )


def _judge_mass(
    judgement: Judgement,
    probs: Array,
    found: NDArray[np.float64],
    support: Support,
    rows: Mask,
) -> None:
    """Enough of the tokens that reach the wanted mass are kept."""
    kept = found != 0.0
    mass = np.where(kept, probs, 0.0).sum(axis=1)
    short = rows & (mass < support.need)
    lacking = ~kept & (probs >= FLUSHED) & (probs == support.boundary[:, None])
    judgement.exact(
        "mass_reached",
        lacking & short[:, None],
        output=OUTPUT,
        found=lambda at: f"0 (the kept mass is {format_element(mass[at[0]])})",
        wanted=_describe("kept: the probability {} reaches {}", probs, support.need),
    )


def _find_due(probs: Array, support: Support, smallest: Array, strict: bool) -> Mask:
    """True [B, V] where `smallest` [B], the smallest probability kept, makes a token due."""
    ahead = probs > (smallest * (1.0 + support.blur))[:, None]
    if strict:
        ahead |= probs == smallest[:, None]
    return np.asarray(ahead | (probs >= support.certain[:, None]))


def _judge_quotients(
    judgement: Judgement, probs: Array, found: NDArray[np.float64], rows: Mask, divisions: int
) -> None:
    """Each kept token is its probability over the sum of those kept; together they are one."""
    kept = (found != 0.0) & rows[:, None]
    total = np.where(kept, probs, 0.0).sum(axis=1, keepdims=True)
    limit = divisions * accumulation_error(probs.shape[1])
    judge_close(
        judgement,
        "quotients",
        output=OUTPUT,
        found=found,
        wanted=probs / np.where(total > 0.0, total, 1.0),
        relative=limit,
        where=kept,
        detail="probability over the sum of the kept ones",
    )
    filled = rows & (probs > 0.0).any(axis=1)
    sums = np.where(filled, np.where(rows[:, None], found, 0.0).sum(axis=1), 1.0)
    judgement.bounded(
        "sums_to_one",
        np.abs(sums - 1.0),
        limit,
        output=OUTPUT,
        found=lambda at: f"a row that sums to {format_element(sums[at])}",
        wanted="1",
    )


def _adds_exactly(ranked: Array, top_p: Array) -> Mask:
    """Rows [B] of multiples of EXACT_STEP that sum to one or less, as top_p must be one too."""
    exact = _on_step(np.clip(top_p, 0.0, 1.0)) & (ranked.sum(axis=1) <= 1.0)
    exact[exact] = _on_step(ranked[exact]).all(axis=1)
    return np.asarray(exact)


def _on_step(values: Array) -> Mask:
    steps = values / EXACT_STEP
    return np.asarray(steps == np.floor(steps))


def _next_above(ranked: Array, value: Array) -> Array:
    """The smallest probability of each row above `value` [B], infinite where there is none."""
    larger = (ranked > value[:, None]).sum(axis=1)
    return np.where(larger > 0, take_rank(ranked, larger), np.inf)


def _describe(words: str, probs: Array, limit: Array) -> Callable[[Index], str]:
    """A function of [row, column] that puts the probability and the row's limit into `words`."""
    return lambda at: words.format(format_element(probs[at]), format_element(limit[at[0]]))
