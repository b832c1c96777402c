"""Replaying a speculative verification with the coins it was given, in float64.

A chain is a tree in which no node has a sibling, so one walk serves both.  Semantics: sgl-kernel
TreeSpeculativeSamplingTargetOnly (sgl-project/sglang, sgl-kernel/csrc/speculative/
speculative_sampling.cuh @120affb9).  Node 0 is the token already accepted.  The children of an
accepted node are tried in sibling order against its row of target_probs: a running sum of their
probabilities is held against the coin of the node, and the first child that passes is accepted and
starts a new sum.  Where every child is rejected, and where there is none, the last token is drawn
from the node's row without what was rejected there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .elementwise import Array
from .selection import Mask
from .verdict import format_element

Ints = NDArray[np.int64]

#: threshold_acc is held up by this before anything is divided by it (same source).
SMALLEST_THRESHOLD = 1e-9

#: Half-ulps of a quotient by threshold_acc: the threshold's own rounding, a reciprocal good to one
#: ulp, and the product with it.  A quotient by a power of two does not round.
QUOTIENT_ROUNDINGS = 4.0

_ROUNDOFF = 2.0**-24


@dataclass(frozen=True)
class Drafts:
    """Drafts and what they are verified with.

    candidates, next_token, next_sibling: i64 [B, N], the token of each node, its first child and
    its next sibling (-1 for none).  coins: f64 [B, N], each decides over the children of its node.
    target_probs: f64 [B, N, V], the distribution after each node.
    """

    candidates: Ints
    next_token: Ints
    next_sibling: Ints
    coins: Array
    target_probs: Array
    threshold_single: float
    threshold_acc: float


@dataclass(frozen=True)
class Replay:
    """What a walk did.

    path: i64 [B, N], the accepted nodes from node 0 on, -1 past the last.  length: i64 [B], how
    many drafts were accepted.  rejected: bool [B, N], the children of the last accepted node that
    were rejected.  bars: f64 [B, N], what each tried node's coin was held against, NaN where it
    was not tried.  doubtful: bool [B], a decision lay within rounding.
    """

    path: Ints
    length: Ints
    rejected: Mask
    bars: Array
    doubtful: Mask

    @property
    def last(self) -> Ints:
        """The last accepted node [B]."""
        return self.path[np.arange(len(self.path)), self.length]


def link_chain(batch: int, nodes: int) -> tuple[Ints, Ints]:
    """next_token and next_sibling [B, N] of chains."""
    following = np.append(np.arange(1, nodes), -1)
    return np.tile(following, (batch, 1)), np.full((batch, nodes), -1, dtype=np.int64)


def find_parents(drafts: Drafts) -> Ints:
    """The parent [B, N] of each node, -1 for node 0 and for nodes that hang on nothing."""
    batch, nodes = drafts.candidates.shape
    rows = np.arange(batch)
    parents = np.full((batch, nodes), -1, dtype=np.int64)
    for node in range(nodes):
        child = drafts.next_token[:, node]
        for _ in range(nodes):
            there = child >= 0
            parents[rows[there], child[there]] = node
            child = np.where(there, drafts.next_sibling[rows, np.maximum(child, 0)], -1)
    return parents


def replay(drafts: Drafts, claimed: Ints | None = None) -> Replay:
    """Walk all rows at once.

    claimed: a path as in `Replay`; a decision within float32 rounding of its threshold follows it.
    """
    batch, nodes = drafts.candidates.shape
    rows = np.arange(batch)
    path = np.full((batch, nodes), -1, dtype=np.int64)
    path[:, 0] = 0
    length, node = np.zeros(batch, dtype=np.int64), np.zeros(batch, dtype=np.int64)
    mass, error = np.zeros(batch), np.zeros(batch)
    rejected, doubtful = np.zeros((batch, nodes), dtype=bool), np.zeros(batch, dtype=bool)
    bars = np.full((batch, nodes), np.nan)
    trial = drafts.next_token[:, 0]
    for _ in range(nodes - 1):
        live, at = trial >= 0, np.maximum(trial, 0)
        token = np.where(live, drafts.candidates[rows, at], 0)
        single = drafts.target_probs[rows, node, token]
        mass = mass + single
        error = error + np.where(np.float32(mass) == mass, 0.0, _ROUNDOFF * mass)
        accept, doubt, bar = _decide(drafts, drafts.coins[rows, node], single, mass, error)
        if claimed is not None:
            accept = np.where(doubt, claimed[rows, length + 1] == at, accept)
        accept &= live
        bars[rows[live], at[live]] = bar[live]
        doubtful |= doubt & live
        rejected[accept] = False
        rejected[rows, at] |= live & ~accept
        length = length + accept
        path[rows[accept], length[accept]] = at[accept]
        node = np.where(accept, at, node)
        mass, error = np.where(accept, 0.0, mass), np.where(accept, 0.0, error)
        onward = np.where(accept, drafts.next_token[rows, at], drafts.next_sibling[rows, at])
        trial = np.where(live, onward, -1)
    return Replay(path, length, rejected, bars, doubtful)


def _decide(
    drafts: Drafts, coin: Array, single: Array, mass: Array, error: Array
) -> tuple[Mask, Mask, Array]:
    """Whether a draft is accepted [B], whether that is within rounding, and the bar."""
    divisor = max(drafts.threshold_acc, SMALLEST_THRESHOLD)
    bar = mass / divisor
    roundings = 0.0 if np.frexp(divisor)[0] == 0.5 else QUOTIENT_ROUNDINGS
    band = error / divisor + roundings * _ROUNDOFF * bar
    # A kernel holds the threshold in float32 or in float64.
    thresholds = drafts.threshold_single, float(np.float32(drafts.threshold_single))
    passes = single >= max(thresholds)
    doubt = (np.abs(coin - bar) <= band) & (band > 0) & ~passes
    doubt |= (single >= min(thresholds)) & ~passes & (coin > bar)
    accept = (coin <= bar) | (single >= drafts.threshold_single)
    return accept, doubt, bar


def take_residual(drafts: Drafts, walk: Replay) -> Array:
    """What the last token is drawn from [B, V]: the row of the last node without the rejected."""
    batch = np.arange(len(drafts.candidates))
    residual = drafts.target_probs[batch, walk.last]
    rows, nodes = np.nonzero(walk.rejected)
    residual[rows, drafts.candidates[rows, nodes]] = 0.0
    return residual


def draw_tokens(mass: Array, coins: Array) -> Ints:
    """The first token [B] whose inclusive prefix of mass [B, V] exceeds coin * sum.

    Where there is none, the last token with mass, and V - 1 where no token has any.
    """
    prefix = np.cumsum(mass, axis=1)
    hit = prefix > (coins * prefix[:, -1])[:, None]
    last = mass.shape[1] - 1 - (mass[:, ::-1] > 0).argmax(axis=1)
    return np.asarray(np.where(hit.any(axis=1), hit.argmax(axis=1), last))


def explain_decision(drafts: Drafts, walk: Replay, row: int, node: int) -> str:
    """Why a node was accepted or rejected, in a few words."""
    token, bar = drafts.candidates[row, node], walk.bars[row, node]
    if np.isnan(bar):
        return f"token {token} is not tried"
    parent = int(find_parents(drafts)[row, node])
    coin, single = drafts.coins[row, parent], drafts.target_probs[row, parent, token]
    verb = "accepted" if (walk.path[row] == node).any() else "rejected"
    if coin > bar and single >= drafts.threshold_single:
        threshold = format_element(drafts.threshold_single)
        return f"token {token} is {verb}: its probability {format_element(single)} >= {threshold}"
    sign = "<=" if coin <= bar else ">"
    words = f"token {token} is {verb}: coin {format_element(coin)} {sign} {format_element(bar)}"
    return f"{words}, its probability is {format_element(single)}"
