"""Contents of a verification from logits: `fill(rng, batch, nodes, vocabulary)`.

It gives target_logits [B, N, V].  Drafts and coins are those of patterns of the kind `drafts`, for
the distributions that temperature, top-k and top-p leave of the logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.patterns.pattern import Pattern

Array = NDArray[np.float64]
Rng = np.random.Generator


def _spread(rng: Rng, batch: int, nodes: int, vocabulary: int, scale: float = 3.0) -> Array:
    logits = rng.standard_normal((batch, nodes, vocabulary), dtype=np.float32)
    return np.asarray(scale * logits.astype(np.float64))


def _served(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    """The likeliest token stands out, by a margin that differs from row to row.

    At temperature 0.8, top_k 20 and top_p 0.9 it has 0.83 of the mass on average of 32000 tokens,
    and about 3.4 of 15 drafts are accepted.
    """
    logits = _spread(rng, batch, nodes, vocabulary)
    best = logits.argmax(axis=2)[:, :, None]
    margin = rng.uniform(0.0, 4.5, best.shape)
    np.put_along_axis(logits, best, np.take_along_axis(logits, best, 2) + margin, axis=2)
    return logits


def _far(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    """Rows around 300 and around -300."""
    side = rng.choice([-300.0, 300.0], (batch, nodes, 1))
    return side + _spread(rng, batch, nodes, vocabulary)


def _tied(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    return np.asarray(np.round(2.0 * _spread(rng, batch, nodes, vocabulary, 1.0)) / 2.0)


def _tied_best(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    """Up to three tokens share the largest logit of each row."""
    logits = _spread(rng, batch, nodes, vocabulary)
    for _ in range(2):
        place = rng.integers(0, vocabulary, (batch, nodes, 1))
        np.put_along_axis(logits, place, logits.max(axis=2, keepdims=True), axis=2)
    return logits


def _masked(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    """A grammar leaves about sixteen tokens a row."""
    kept = rng.random((batch, nodes, vocabulary)) < min(16.0 / vocabulary, 0.5)
    np.put_along_axis(kept, rng.integers(0, vocabulary, (batch, nodes, 1)), True, axis=2)
    return np.where(kept, _spread(rng, batch, nodes, vocabulary), -np.inf)


def _last_token(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    logits = _spread(rng, batch, nodes, vocabulary, 1.0)
    logits[:, :, -1] = logits.max(axis=2) + rng.uniform(-0.5, 1.0, (batch, nodes))
    return logits


def _shared(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    """One row for node 0 of every sequence, another for all other nodes."""
    rows = _spread(rng, 1, 2, vocabulary, 1.5)[0]
    return np.tile(rows[np.minimum(np.arange(nodes), 1)], (batch, 1, 1))


def _nan_rows(rng: Rng, batch: int, nodes: int, vocabulary: int) -> Array:
    logits = _spread(rng, batch, nodes, vocabulary)
    logits[::2, :, :: max(vocabulary // 7, 1)] = np.nan
    logits[::4] = np.nan
    return logits


@dataclass(frozen=True)
class LogitPattern(Pattern):
    """A pattern of three more parts.

    drafts, coins: the patterns of the kind `drafts` that draw them.  repeats: so many sequences in
    a row are the same but for their coins.
    """

    drafts: str = "normal"
    coins: str = "normal"
    repeats: int = 1


_GREEDY = "sgl-project/sglang#23388 (greedy determinism: three identical runs)"
_SGLANG = "sgl-project/sglang sgl-kernel/csrc/speculative/speculative_sampling.cuh @120affb9"

_ALL = (
    LogitPattern(
        "served", "one token stands out: about as many drafts of 15 are accepted as in serving",
        _served, "sgl-project/sglang#23388 (3.4 to 3.8 accepted tokens a step)", "lossless",
        "lossless",
    ),
    LogitPattern(
        "normal", "N(0, 3); drafts from the filtered target, its best or any; coins about the bar",
        _spread,
    ),
    LogitPattern(
        "three_runs", "each sequence three times with other coins: greedy ones must agree",
        _spread, _GREEDY, coins="zero_prob", repeats=3,
    ),
    LogitPattern(
        "tied_best", "largest logits tie, three runs: one of them is the argmax, whatever the coin",
        _tied_best, _GREEDY, coins="zero_prob", repeats=3,
    ),
    LogitPattern(
        "dropped_drafts", "drafts that the filters drop; coins of zero, which accept them",
        _spread, _SGLANG, "zero_prob", "zero_prob",
    ),
    LogitPattern(
        "lossless", "sequences share their logits: tokens must follow the filtered target",
        _shared, "zhentaocc/aiter csrc/cpp_itfs/sampling/sampling.cuh @0f51c7e3", "lossless",
        "lossless",
    ),
    LogitPattern(
        "all_accepted", "coins below the bar: the bonus token comes from the last row", _spread,
        drafts="all_accepted", coins="all_accepted",
    ),
    LogitPattern(
        "all_rejected", "coins near one: the bonus token comes from row 0, without the draft",
        _spread, coins="all_rejected",
    ),
    LogitPattern(
        "ties", "multiples of 1/2: whole classes tie at the boundaries of top-k and top-p", _tied,
        "flashinfer-ai/flashinfer#3774 (value-only acceptance takes too many tied entries)",
    ),
    LogitPattern(
        "far", "rows around 300 and -300: exp(x) overflows, or is 0, unless the maximum is "
        "subtracted", _far,
    ),
    LogitPattern(
        "peaked", "standard deviation 12: most weights underflow", partial(_spread, scale=12.0)
    ),
    LogitPattern(
        "flat", "standard deviation 0.01: no token stands out", partial(_spread, scale=0.01)
    ),
    LogitPattern(
        "masked", "-inf for all but about sixteen tokens, as a grammar leaves them", _masked
    ),
    LogitPattern(
        "last_token", "the last token is among the likeliest: a dropped tail shows", _last_token
    ),
    LogitPattern("nan_rows", "NaN in every second sequence, every fourth nothing else", _nan_rows),
)  # fmt: skip

PATTERNS: Mapping[str, LogitPattern] = MappingProxyType({p.name: p for p in _ALL})
