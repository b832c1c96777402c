"""Which tokens a float32 sampler may keep after temperature, top-k and top-p, and their mass.

Judging starts from the logits, so that every bound below is a property of the exact weights
exp((logit - largest) / T).  A token is `certain` where every right answer keeps it, and `possible`
where one may: in between lie those that rounding moves across a boundary and, unless judged
strictly, those that tie there, as a rank-based cut may drop any of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .elementwise import Array
from .replay import Ints
from .selection import Mask
from .support import FLUSHED, accumulation_error, sort_descending, sum_above, take_rank

#: Half-ulps of a weight that do not grow with its exponent: an exponential good to 1 ulp (2 on
#: CUDA), the division by the row's sum, and those by the sums of top-k and top-p.
WEIGHT_ROUNDINGS = 8.0

#: Half-ulps of the exponent (logit - largest) / T for each unit of (|logit| + |largest|) / T.
#: sglang divides every logit by T first: up to 3 for a product with an approximate reciprocal of
#: T, and the difference and its product with log2(e) round twice more.
EXPONENT_ROUNDINGS = 5.0

_ROUNDOFF = 2.0**-24


@dataclass(frozen=True)
class Kept:
    """Rows [R, V] after temperature, top-k and top-p, and what rounding leaves open.

    weights: f64 [R, V], exp((logit - largest) / T).  error: f64 [R, V], the relative error of each
    in float32.  certain, possible: bool [R, V].  need: f64 [R], the least mass that any right
    answer keeps.
    """

    weights: Array
    error: Array
    certain: Mask
    possible: Mask
    need: Array

    def take(self, rows: Ints) -> Kept:
        """Some of the rows."""
        return Kept(*(getattr(self, each.name)[rows] for each in fields(self)))

    @property
    def mass_error(self) -> Array:
        """Relative error [R] of a sum of kept weights, and of any part of it over all of it."""
        return measure_error(self.weights, self.error, self.possible)


def measure_error(weights: Array, error: Array, kept: Mask) -> Array:
    """Relative error [R] of the mass of `kept` [R, V], and of a part of it over the whole."""
    mass = np.where(kept, weights, 0.0)
    total = mass.sum(axis=1)
    mean = (mass * error).sum(axis=1) / np.where(total > 0.0, total, 1.0)
    return np.asarray(2.0 * (mean + accumulation_error(weights.shape[1])))


def keep(logits: Array, temperatures: Array, top_k: Array, top_p: Array, *, strict: bool) -> Kept:
    """What is kept of logits [R, V], finite or -inf, with T > 0, k >= 1 and p of each row [R]."""
    scaled = logits / temperatures[:, None]
    peak = scaled.max(axis=1, initial=-np.inf)
    weights = np.exp(scaled - peak[:, None])
    size = np.abs(np.where(weights > 0.0, scaled, 0.0)) + np.abs(peak)[:, None]
    error = _ROUNDOFF * (WEIGHT_ROUNDINGS + EXPONENT_ROUNDINGS * size)
    ranked = sort_descending(weights)
    k_floors = _find_k_floors(ranked, peak, top_k, strict)
    # By rank just k tokens are kept, so that this is the least of what the second filter gets.
    least = take_rank(np.cumsum(ranked, axis=1), top_k)
    reach = np.where(weights >= k_floors[1][:, None], weights, 0.0)
    most = reach.sum(axis=1)
    slack = measure_error(weights, error, reach > 0.0) * most
    low = np.where(top_p <= 0.0, 0.0, top_p * least - slack)
    high = np.where(top_p <= 0.0, 0.0, top_p * most + slack)
    p_floors = _find_p_floors(ranked, peak, low, high, strict)
    everything = top_p >= 1.0
    certain, possible = (
        np.maximum(of_k, np.where(everything, 0.0, of_p))[:, None]
        for of_k, of_p in zip(k_floors, p_floors, strict=True)
    )
    # A weight this small may be flushed to zero before anything is divided by the kept mass.
    solid = weights >= FLUSHED * weights.sum(axis=1, keepdims=True)
    need = np.where(everything, least, np.maximum(low, ranked[:, 0]))
    present = weights > 0.0
    return Kept(
        weights,
        error,
        (weights >= certain) & present & solid,
        (weights >= possible) & present,
        np.minimum(need, least),
    )


def _blur(weight: Array, peak: Array) -> Array:
    """How far apart, relatively, a weight [R] and its neighbour may be and still tie."""
    exponent = peak + np.log(np.where(weight > 0.0, weight, 1.0))
    size = np.abs(exponent) + np.abs(peak)
    return np.asarray(2.0 * _ROUNDOFF * (WEIGHT_ROUNDINGS + EXPONENT_ROUNDINGS * size))


def _find_k_floors(ranked: Array, peak: Array, top_k: Array, strict: bool) -> tuple[Array, Array]:
    """The floors [R] of what top-k keeps for certain, and of what it may keep."""
    value = take_rank(ranked, top_k)
    blur = _blur(value, peak)
    possible = value * (1.0 - blur)
    at_possible = (ranked >= possible[:, None]).sum(axis=1)
    at_value = (ranked >= value[:, None]).sum(axis=1)
    settled = at_possible == (at_value if strict else np.minimum(at_value, np.maximum(top_k, 1)))
    return np.where(settled, value, _just_above(value * (1.0 + blur))), possible


def _find_p_floors(
    ranked: Array, peak: Array, low: Array, high: Array, strict: bool
) -> tuple[Array, Array]:
    """The floors [R] of what top-p keeps for certain and may keep; mass to reach: low to high."""
    above = sum_above(ranked)
    count = np.maximum((above < low[:, None]).sum(axis=1), 1)
    value = take_rank(ranked, count)
    following = np.where(count < ranked.shape[1], take_rank(ranked, count + 1), -np.inf)
    blur = _blur(value, peak)
    cut = (following >= value * (1.0 - blur)) & (not strict)
    certain = np.where(cut, _just_above(value * (1.0 + blur)), value)
    last = take_rank(ranked, (above < high[:, None]).sum(axis=1))
    return certain, last * (1.0 - _blur(last, peak))


def _just_above(value: Array) -> Array:
    return np.asarray(np.nextafter(value, np.inf))


def bound_shares(kept: Kept, tokens: Ints) -> tuple[Array, Array]:
    """The least and the largest probability [R] of a token of each row after the filters.

    A token out of the vocabulary has none.
    """
    rows = np.arange(len(tokens))
    inside = (tokens >= 0) & (tokens < kept.weights.shape[1])
    at = np.where(inside, tokens, 0)
    own = kept.weights[rows, at]
    possible = kept.possible[rows, at] & inside
    certain = kept.certain[rows, at] & inside
    least = np.where(kept.certain, kept.weights, 0.0).sum(axis=1)
    least = np.maximum(least + np.where(possible & ~certain, own, 0.0), kept.need)
    most = np.maximum(np.where(kept.possible, kept.weights, 0.0).sum(axis=1), least)
    band = kept.error[rows, at] + kept.mass_error
    low = np.where(certain, own / most * np.maximum(1.0 - band, 0.0), 0.0)
    return low, np.where(possible, own / least * (1.0 + band), 0.0)


@dataclass(frozen=True)
class Draw:
    """The last token of each row against its draw; all fields [R].

    error: how far coin * sum is from the token's part of the cumulative sum, whatever may be kept;
    infinite where the token cannot be drawn at all.  limit: what rounding may move.
    """

    error: Array
    limit: Array


def measure_draw(kept: Kept, rejected: Ints, tokens: Ints, coins: Array) -> Draw:
    """Hold tokens [R] against what coins [R] draw of the kept tokens without `rejected` [R].

    rejected: -1 where no draft was.  Of the tokens that may or may not be kept, those are taken
    that bring the token closest, which a subset of them does: each weighs no more than the token.
    """
    batch, vocabulary = kept.weights.shape
    columns = np.arange(vocabulary)
    left = columns != rejected[:, None]
    usable = (tokens >= 0) & (tokens < vocabulary)
    at = np.where(usable, tokens, 0)[:, None]
    drawn, before = columns == at, columns < at
    possible = kept.possible & left
    certain = kept.certain & left
    open_ = np.where(possible & ~certain & ~drawn, kept.weights, 0.0)
    sure = np.where(certain | drawn, kept.weights, 0.0)
    open_before = (open_ * before).sum(axis=1)
    sure_before = (sure * before).sum(axis=1)
    total, open_after = sure.sum(axis=1), open_.sum(axis=1) - open_before
    own = kept.weights[np.arange(batch), at[:, 0]]
    start = sure_before - coins * (total + open_after)
    end = sure_before + open_before + own - coins * (total + open_before)
    error = np.maximum(np.maximum(start, -end), 0.0)
    can_be = possible[np.arange(batch), at[:, 0]] & usable
    error = np.where(can_be, error, np.inf)
    # Where nothing is certain to be left, the draw may find nothing, and V - 1 is due.
    error[~certain.any(axis=1) & (tokens == vocabulary - 1)] = 0.0
    band = measure_error(kept.weights, kept.error, possible) * (total + open_.sum(axis=1))
    return Draw(error, np.maximum(band, np.finfo(float).tiny))
