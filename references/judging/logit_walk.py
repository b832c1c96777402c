"""Verifying a chain of drafts from logits: what float32 decides at each node, and what it may not.

The answer says how far it went; each decision on its way is held against bounds of the draft's
probability, so that one within rounding follows the answer, and any other must be as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .blocks import BLOCK_ELEMENTS
from .elementwise import Array
from .filters import EXPONENT_ROUNDINGS, WEIGHT_ROUNDINGS, bound_shares, keep, measure_draw
from .replay import QUOTIENT_ROUNDINGS, SMALLEST_THRESHOLD, Ints
from .selection import Mask

#: sglang's _SAMPLING_EPS: a temperature below it means greedy.
GREEDY_BELOW = 1e-6

#: What turns logits into a distribution, one value a sequence.
SETTINGS = ("temperatures", "top_k", "top_p")

_ROUNDOFF = 2.0**-24


def find_greedy(temperatures: Array, top_k: Ints) -> Mask:
    """The greedy sequences [B]."""
    return np.asarray((temperatures < GREEDY_BELOW) | (top_k == 1))


@dataclass(frozen=True)
class Walk:
    """What is known of each decision and of each last token, if the answer's path is taken.

    low, high: f64 [B, N], bounds of what a coin is held against after node j; of greedy sequences
    1 for a draft that may be the argmax, else 0, with no coin.  must_accept, must_reject:
    bool [B, N].  error, limit: f64 [B] of the last token.  Nodes past the answer's length hold
    nothing.
    """

    low: Array
    high: Array
    must_accept: Mask
    must_reject: Mask
    error: Array
    limit: Array


def walk_logits(
    inputs: Mapping[str, Any], length: Ints, bonus: Ints, greedy: Mask, strict: bool
) -> Walk:
    """Look at every row up to the one that the answer draws its last token from."""
    batch, nodes, vocabulary = inputs["target_logits"].shape
    shape = (batch, nodes)
    walk = Walk(
        np.zeros(shape), np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool),
        np.zeros(batch), np.ones(batch),
    )  # fmt: skip
    last = np.clip(length, 0, nodes - 1)
    visited = np.arange(nodes) <= last[:, None]
    step = max(BLOCK_ELEMENTS // vocabulary, 1)
    for look, sequences in ((_look_greedily, greedy), (_look, ~greedy)):
        rows, columns = np.nonzero(visited & sequences[:, None])
        for start in range(0, len(rows), step):
            at = rows[start : start + step], columns[start : start + step]
            look(inputs, walk, at, last, bonus, strict)
    return walk


def _look(
    inputs: Mapping[str, Any],
    walk: Walk,
    at: tuple[Ints, Ints],
    last: Ints,
    bonus: Ints,
    strict: bool,
) -> None:
    """Fill in a walk at some (sequence, node) pairs of sequences that sample."""
    rows, columns = at
    logits = inputs["target_logits"][at]
    settings = (inputs[name][rows] for name in SETTINGS)
    kept = keep(logits, *settings, strict=strict)
    drafts = _take_drafts(inputs["candidates"], at)
    low, high = bound_shares(kept, drafts)
    single = float(inputs["threshold_single"])
    divisor = max(inputs["threshold_acc"], SMALLEST_THRESHOLD)
    coin = inputs["uniform_samples"][at]
    bar_low = low / divisor * (1.0 - QUOTIENT_ROUNDINGS * _ROUNDOFF)
    bar_high = high / divisor * (1.0 + QUOTIENT_ROUNDINGS * _ROUNDOFF)
    thresholds = single, float(np.float32(single))
    walk.low[at], walk.high[at] = bar_low, bar_high
    walk.must_accept[at] = (coin <= bar_low) | (low >= max(thresholds))
    walk.must_reject[at] = (coin > bar_high) & (high < min(thresholds))
    ends = np.flatnonzero(columns == last[rows])
    if len(ends):
        of = rows[ends]
        rejected = np.where(columns[ends] < inputs["candidates"].shape[1] - 1, drafts[ends], -1)
        coins = inputs["uniform_samples_for_final_sampling"][of]
        draw = measure_draw(kept.take(ends), rejected, bonus[of], coins)
        walk.error[of], walk.limit[of] = draw.error, draw.limit


def _look_greedily(
    inputs: Mapping[str, Any],
    walk: Walk,
    at: tuple[Ints, Ints],
    last: Ints,
    bonus: Ints,
    strict: bool,
) -> None:
    """Fill in a walk at some (sequence, node) pairs of greedy sequences."""
    rows, columns = at
    best = _find_best(inputs, at, strict)
    drafts = _take_drafts(inputs["candidates"], at)
    number = np.arange(len(rows))
    is_best = best[number, np.clip(drafts, 0, best.shape[1] - 1)]
    is_best &= (drafts >= 0) & (drafts < best.shape[1])
    alone = best.sum(axis=1) == 1
    walk.low[at], walk.high[at] = is_best & alone, is_best
    walk.must_accept[at], walk.must_reject[at] = is_best & alone, ~is_best
    ended = columns == last[rows]
    of, token = rows[ended], bonus[rows[ended]]
    inside = (token >= 0) & (token < best.shape[1])
    due = best[number[ended], np.where(inside, token, 0)] & inside
    # A draft that was rejected was not the argmax.
    due &= (columns[ended] == inputs["candidates"].shape[1] - 1) | (drafts[ended] != token)
    walk.error[of] = ~due


def _find_best(inputs: Mapping[str, Any], at: tuple[Ints, Ints], strict: bool) -> Mask:
    """The tokens [R, V] that may be the argmax of rows.

    By default that is each equal one, and with a temperature, where a sampler with top_k 1 compares
    float32 probabilities, each that rounding may make equal.
    """
    logits = inputs["target_logits"][at]
    largest = logits.max(axis=1, keepdims=True)
    if strict:
        return np.asarray(np.arange(logits.shape[1]) == logits.argmax(axis=1)[:, None])
    temperature = inputs["temperatures"][at[0]][:, None]
    warm = np.where(temperature < GREEDY_BELOW, 0.0, temperature)
    band = WEIGHT_ROUNDINGS * warm + 2.0 * EXPONENT_ROUNDINGS * np.abs(largest) * (warm > 0.0)
    return np.asarray(logits >= largest - 2.0 * _ROUNDOFF * band)


def _take_drafts(candidates: Ints, at: tuple[Ints, Ints]) -> Ints:
    """The draft that each (sequence, node) pair decides over; the last node decides over none."""
    rows, columns = at
    return np.asarray(candidates[rows, np.minimum(columns + 1, candidates.shape[1] - 1)])
