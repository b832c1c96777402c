"""Which waves run next.  Any choice is allowed by the hardware; a right kernel cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from rocmoe.ops.core.errors import unknown
from rocmoe.ops.gcn.machine.machine import Placement
from rocmoe.ops.gcn.semantics.words import Array

#: Of so many choices the last ones are made at random: a wave that spins until another one has
#: written must not keep that one from running.
PATIENCE, _AT_RANDOM = 2048, 64

#: A rank for each wave of a batch: in each workgroup the runnable one of the lowest rank goes on.
Ranks = Callable[[Placement, np.random.Generator], Array]


class Schedule:
    """Picks the waves to run.  ranks: None, where all waves go on together, step by step.

    redraws: whether the ranks are drawn anew whenever there is a choice.
    """

    def __init__(self, placement: Placement, ranks: Ranks | None, redraws: bool = False) -> None:
        self.placement, self.redraws, self._ranks = placement, redraws, ranks
        self._random = np.random.default_rng(0)
        self._rank = ranks(placement, self._random) if ranks else None
        self._picks = 0

    def pick(self, places: Array, runnable: Array) -> tuple[int, Array]:
        """The instruction to run next, and the waves that run it, bool [waves]."""
        self._picks += 1
        if self._picks % PATIENCE >= PATIENCE - _AT_RANDOM:
            chosen = self._random.choice(np.flatnonzero(runnable))
            return int(places[chosen]), runnable & (places == places[chosen])
        candidates = runnable
        if self._rank is not None and self._ranks is not None:
            if self.redraws:
                self._rank = self._ranks(self.placement, self._random)
            best = np.full(int(self.placement.group[-1]) + 1, np.iinfo(np.int64).max)
            np.minimum.at(best, self.placement.group[runnable], self._rank[runnable])
            candidates = runnable & (self._rank == best[self.placement.group])
        place = int(places[candidates].min())
        return place, candidates & (places == place)


def _random_ranks(placement: Placement, random: np.random.Generator) -> Array:
    return random.permutation(len(placement.slot))


_ORDERS: Mapping[str, tuple[Ranks | None, bool]] = MappingProxyType(
    {
        "together": (None, False),
        "first": (lambda placement, random: placement.slot, False),
        "last": (lambda placement, random: -placement.slot, False),
        "random": (_random_ranks, True),
    }
)

#: All waves step by step; the first, or the last, wave of a workgroup until it can go no further;
#: any, drawn anew at every branch, barrier and memory access.
ORDERS = tuple(_ORDERS)


def make_schedule(order: str, placement: Placement) -> Schedule:
    """The schedule of a name in ORDERS."""
    if order not in _ORDERS:
        raise unknown("wave order", order, ORDERS)
    return Schedule(placement, *_ORDERS[order])
