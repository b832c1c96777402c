"""Delta debugging: fewer things that still fail.

The algorithm `ddmin` of A. Zeller and R. Hildebrandt, "Simplifying and isolating failure-inducing
input", IEEE Transactions on Software Engineering 28(2), 2002.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")
#: The first of some candidates that fails, by its number; None where none does, or time is up.
FindFirst = Callable[[Sequence[T]], "int | None"]


def ddmin(things: Sequence[T], find_first: FindFirst[Sequence[T]]) -> list[T]:
    """Some of the things that fail together, of which none can be left out alone.

    All of them have to fail; that is not tried.  An empty choice is.
    """
    kept = [*things]
    if kept and find_first([[]]) is not None:
        return []
    count = 2
    while len(kept) >= 2:
        parts = _split(kept, count)
        rests = [[each for other in parts if other is not part for each in other] for part in parts]
        candidates = [*parts, *(rests if count > 2 else ())]
        found = find_first(candidates)
        if found is None:
            if count >= len(kept):
                break
            count = min(2 * count, len(kept))
        else:
            kept = [*candidates[found]]
            count = 2 if found < len(parts) else max(count - 1, 2)
    return kept


def _split(things: Sequence[T], count: int) -> list[list[T]]:
    """So many parts, whose lengths differ by at most one."""
    edges = [len(things) * number // count for number in range(count + 1)]
    return [[*things[low:high]] for low, high in pairwise(edges)]
