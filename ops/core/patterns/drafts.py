"""Contents of a speculative verification: target_probs, drafts and coins.

`fill(rng, batch, nodes, vocabulary)` gives target_probs [B, N, V], which are rounded to float32
before anything else is drawn.  `draft(rng, target_probs, parents)` gives candidates [B, N] for
nodes that hang on `parents` [B, N] (-1 for node 0).  `toss(rng, bars, parents)` gives the coins
[B, N] of the nodes; bars [B, N] are the running sums of the siblings' probabilities, which a
parent's coin is held against at thresholds of one.  `finish(rng, mass)` gives the last coins [B];
mass [B, V] is what is left to draw from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.patterns.pattern import Pattern
from rocmoe.references.judging.replay import draw_tokens

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Rng = np.random.Generator

#: Coins are drawn as torch.rand draws float32: multiples of this in [0, 1).
COIN_STEP = 2.0**-24


def _normalize(logits: Array) -> Array:
    from scipy.special import softmax  # 0.2 s, which a listing of the ops need not wait for

    return np.asarray(softmax(logits, axis=-1))


def _spread(rng: Rng, batch: int, nodes: int, vocabulary: int, scale: float = 2.0) -> Array:
    logits = rng.standard_normal((batch, nodes, vocabulary), dtype=np.float32)
    return _normalize(scale * logits.astype(np.float64))


def _tied(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    levels = rng.integers(0, 4, (batch, nodes, vocabulary)).astype(np.float64)
    return _normalize(levels)


def _one_hot(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    probabilities = np.zeros((batch, nodes, vocabulary))
    hot = rng.integers(0, vocabulary, (batch, nodes, 1))
    np.put_along_axis(probabilities, hot, 1.0, axis=2)
    return probabilities


def _truncated(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    """About sixteen tokens a row have mass, as after top-k."""
    logits = 2.0 * rng.standard_normal((batch, nodes, vocabulary))
    kept = rng.random(logits.shape) < min(16.0 / vocabulary, 0.5)
    np.put_along_axis(kept, rng.integers(0, vocabulary, (batch, nodes, 1)), True, axis=2)
    return _normalize(np.where(kept, logits, -np.inf))


def _dyadic(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    """Multiples of 2^-12 that sum to one, half of it on one token: nothing rounds in float32."""
    shares = rng.multinomial(2048, np.full(vocabulary, 1.0 / vocabulary), (batch, nodes))
    half = rng.integers(0, vocabulary, (batch, nodes, 1))
    beside = (half + 1) % vocabulary
    moved = np.take_along_axis(shares, half, 2) + np.take_along_axis(shares, beside, 2)
    np.put_along_axis(shares, beside, moved, axis=2)
    np.put_along_axis(shares, half, 2048, axis=2)
    return np.asarray(shares / 4096.0)


def _shared(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    """One distribution for node 0 of every row, another for all other nodes.

    The first holds two fifths on one token: accepted often enough to test what comes second.
    """
    first, later = _spread(rng, 2, 1, vocabulary)
    first[0, rng.integers(vocabulary)] += 2.0 / 3.0
    first /= first.sum()
    rows = np.concatenate([first, np.repeat(later, nodes - 1, axis=0)])
    return np.tile(rows, (batch, 1, 1))


def _with_zero_rows(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    """Half of the rows are zeros, a quarter hold nothing but one token of mass 0.25."""
    probabilities = _spread(rng, batch, nodes, vocabulary)
    kind = rng.integers(0, 4, (batch, nodes, 1))
    single = 0.25 * _one_hot(rng, batch, nodes, vocabulary)
    return np.where(kind < 2, 0.0, np.where(kind == 2, single, probabilities))


def _draft(
    rng: Rng,
    target_probs: Array,
    parents: Ints,
    drawn: float = 0.5,
    best: float = 0.25,
    impossible: float = 0.0,
) -> Ints:
    """Shares of drafts drawn from the target, its most probable token, one of mass zero, any.

    Siblings are told apart by taking the next token for one that is taken.
    """
    batch, nodes, vocabulary = target_probs.shape
    tokens = rng.integers(0, vocabulary, (batch, nodes))
    kind, coins = rng.random((2, batch, nodes))
    for node in range(1, nodes):
        row = target_probs[np.arange(batch), parents[:, node]]
        choices = [draw_tokens(row, coins[:, node]), row.argmax(axis=1)]
        if impossible:
            choices.append(((row == 0.0) * rng.random(row.shape)).argmax(axis=1))
        bounds = np.cumsum([drawn, best, impossible])[: len(choices)]
        taken = [kind[:, node] < bound for bound in bounds]
        tokens[:, node] = np.select(taken, choices, tokens[:, node])
    return _separate_siblings(tokens, parents, vocabulary)


def _separate_siblings(tokens: Ints, parents: Ints, vocabulary: int) -> Ints:
    for node in range(1, tokens.shape[1]):
        siblings = parents[:, :node] == parents[:, node : node + 1]
        for _ in range(node):
            taken = (siblings & (tokens[:, :node] == tokens[:, node : node + 1])).any(axis=1)
            tokens[:, node] = (tokens[:, node] + taken) % vocabulary
    return tokens


def _draft_repeated(rng: Rng, target_probs: Array, parents: Ints) -> Ints:
    """Every second draft is the token of its first sibling again."""
    tokens = _draft(rng, target_probs, parents)
    rows = np.arange(len(tokens))
    for node in range(1, tokens.shape[1]):
        first = (parents == parents[:, node : node + 1]).argmax(axis=1)
        again = rng.random(len(tokens)) < 0.5
        tokens[:, node] = np.where(again, tokens[rows, first], tokens[:, node])
    return tokens


def _toss_uniform(rng: Rng, bars: Array, parents: Ints) -> Array:
    del parents
    return np.asarray(rng.integers(0, 2**24, bars.shape) * COIN_STEP, dtype=np.float64)


def _toss_near(rng: Rng, bars: Array, parents: Ints) -> Array:
    """Half uniform; half up to twice a child's bar, so that small probabilities pass too."""
    near = 2.0 * rng.random(bars.shape) * _pick_bars(rng.random(bars.shape), bars, parents)
    coins = np.where(rng.random(bars.shape) < 0.5, near, _toss_uniform(rng, bars, parents))
    return np.minimum(coins, 1.0 - COIN_STEP)


def _toss_at_bars(rng: Rng, bars: Array, parents: Ints) -> Array:
    """Coins on a child's bar, one float32 below or above it, and zeros."""
    bar = _pick_bars(rng.random(bars.shape), bars, parents)
    return _move_off(rng, bar)


def _toss_zeros(rng: Rng, bars: Array, parents: Ints) -> Array:
    """A quarter of the coins are zero, which accepts a draft of probability zero."""
    coins = _toss_near(rng, bars, parents)
    return np.where(rng.random(bars.shape) < 0.25, 0.0, coins)


def _toss_low(rng: Rng, bars: Array, parents: Ints) -> Array:
    """Below the bar of the first child."""
    first_come = -np.broadcast_to(np.arange(bars.shape[1], dtype=np.float64), bars.shape)
    low = 0.99 * rng.random(bars.shape) * _pick_bars(first_come, bars, parents)
    return np.minimum(low, 1.0 - COIN_STEP)


def _toss_high(rng: Rng, bars: Array, parents: Ints) -> Array:
    del parents
    return np.asarray(1.0 - rng.integers(1, 2**12, bars.shape) * COIN_STEP, dtype=np.float64)


def _pick_bars(order: Array, bars: Array, parents: Ints) -> Array:
    """The bar [B, N] of the child of each node that has the largest `order` [B, N], else 0.5."""
    picked = np.full(bars.shape, 0.5)
    for node in range(bars.shape[1]):
        children = parents == node
        child = np.where(children, order, -np.inf).argmax(axis=1)[:, None]
        bar = np.take_along_axis(bars, child, axis=1)[:, 0]
        picked[:, node] = np.where(children.any(axis=1), bar, 0.5)
    return picked


def _move_off(rng: Rng, edges: Array) -> Array:
    """Edges as they are, their float32 neighbours, and zeros, in [0, 1)."""
    near = edges.astype(np.float32)
    below = np.nextafter(near, np.float32(0.0)) * (near > COIN_STEP)
    above = np.maximum(np.nextafter(near, np.float32(2.0)), np.float32(COIN_STEP))
    coins = np.choose(rng.integers(0, 4, edges.shape), [near, below, above, 0.0 * near])
    return np.minimum(coins.astype(np.float64), 1.0 - COIN_STEP)


def _finish_uniform(rng: Rng, mass: Array) -> Array:
    return np.asarray(rng.integers(0, 2**24, len(mass)) * COIN_STEP, dtype=np.float64)


def _finish_at_edges(rng: Rng, mass: Array) -> Array:
    """On an edge of the cumulative sum, beside one, or zero."""
    prefix = np.cumsum(mass, axis=1)
    token = draw_tokens(mass, rng.random(len(mass)))
    total = prefix[:, -1]
    return _move_off(rng, prefix[np.arange(len(mass)), token] / np.where(total > 0, total, 1.0))


@dataclass(frozen=True)
class DraftPattern(Pattern):
    """A pattern of three more parts: drafts, the coins they are held against, the last coins."""

    draft: Callable[[Rng, Array, Ints], Ints] = _draft
    toss: Callable[[Rng, Array, Ints], Array] = _toss_near
    finish: Callable[[Rng, Array], Array] = _finish_uniform


_SGLANG = "sgl-project/sglang sgl-kernel/csrc/speculative/speculative_sampling.cuh @120affb9"

_ALL = (
    DraftPattern(
        "normal",
        "softmax of N(0, 2); drafts from the target, its best or any; coins about the threshold",
        _spread,
        "zhentaocc/aiter op_tests/test_sampling.py @0f51c7e3 draws uniform rows and drafts alone, "
        "of which next to none is accepted",
    ),
    DraftPattern(
        "one_hot",
        "all mass on one token: what is emitted is that token",
        _one_hot,
        "flashinfer-ai/flashinfer tests for chain_speculative_sampling, onehot_target @fb28d724",
    ),
    DraftPattern(
        "cdf_edges",
        "exact sums; coins on thresholds and on edges of the cumulative sum, and beside them",
        _dyadic,
        "zhentaocc/aiter op_tests/test_sampling.py @0f51c7e3 draws with prefix >= coin * sum, its "
        "kernel with >",
        toss=_toss_at_bars,
        finish=_finish_at_edges,
    ),
    DraftPattern(
        "zero_prob",
        "sixteen tokens have mass; drafts of probability zero, coins of zero",
        _truncated,
        f"{_SGLANG}: coin = 0 accepts a draft of probability zero",
        draft=partial(_draft, drawn=0.25, best=0.0, impossible=0.5),
        toss=_toss_zeros,
        finish=lambda rng, mass: _finish_uniform(rng, mass) * (rng.random(len(mass)) < 0.75),
    ),
    DraftPattern(
        "lossless",
        "rows share their target: at thresholds of one, the emitted tokens must follow it",
        _shared,
        "zhentaocc/aiter csrc/cpp_itfs/sampling/sampling.cuh @0f51c7e3 keeps the rejected draft",
        draft=partial(_draft, drawn=0.5, best=0.5),
        toss=_toss_uniform,
    ),
    DraftPattern(
        "all_accepted",
        "coins below the probability of the first draft: the last row is drawn from",
        _spread,
        draft=partial(_draft, drawn=0.5, best=0.5),
        toss=_toss_low,
    ),
    DraftPattern(
        "all_rejected",
        "coins near one: the first draft is rejected almost always",
        _spread,
        toss=_toss_high,
    ),
    DraftPattern(
        "peaked",
        "standard deviation 12: most probabilities underflow",
        partial(_spread, scale=12.0),
    ),
    DraftPattern(
        "flat", "standard deviation 0.01: no token stands out", partial(_spread, scale=0.01)
    ),
    DraftPattern("ties", "four distinct probabilities a row", _tied),
    DraftPattern(
        "zero_rows",
        "rows of zeros, and rows with nothing but the rejected draft: V-1 is due",
        _with_zero_rows,
        f"{_SGLANG}: the last index where nothing has mass; ROCm/aiter#3658 (all-zero rows)",
        draft=partial(_draft, drawn=0.0, best=0.75),
        toss=_toss_zeros,
    ),
)  # fmt: skip

_TREES_ONLY = (
    DraftPattern(
        "repeated_siblings",
        "siblings of the same token, each of which adds its probability again",
        _spread,
        draft=_draft_repeated,
    ),
    DraftPattern(
        "scattered_index",
        "retrive_index is a permutation: places are read, not computed",
        _spread,
        f"{_SGLANG} uses retrive_index as an address and nothing else",
    ),
)

#: Patterns of a chain, and of a tree.
CHAIN_PATTERNS: Mapping[str, DraftPattern] = MappingProxyType({p.name: p for p in _ALL})
PATTERNS: Mapping[str, DraftPattern] = MappingProxyType({p.name: p for p in _ALL + _TREES_ONLY})
