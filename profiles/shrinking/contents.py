"""What the tensors of the ops may hold, so that simpler values are still inputs of their contract.

By the names that all ops share.  A tensor that is not named here is left as it was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: Elements that may be made plain, as positions in C order; and the tensor with only some of them.
Keep = Callable[[Array, "list[int]"], Array]


@dataclass(frozen=True)
class Contents:
    """One kind of contents.

    list_plain: tensors of the same shape that are as plain as can be, the plainest first.
    list_special: the positions of the elements that are not plain yet.  keep: only some of these.
    list_simpler: tensors with fewer or rounder values of the same order.
    """

    list_plain: Callable[[Array], Iterator[Array]]
    list_special: Callable[[Array], list[int]]
    keep: Keep
    list_simpler: Callable[[Array], Iterator[Array]]


def count_distinct(values: Array) -> int:
    """Distinct values; all NaN are one."""
    return len(np.unique(values))


def _plain_constants(*constants: float) -> Callable[[Array], Iterator[Array]]:
    def list_plain(values: Array) -> Iterator[Array]:
        yield from (np.full_like(values, constant) for constant in constants)

    return list_plain


def _list_nonzero(values: Array) -> list[int]:
    return [int(place) for place in np.flatnonzero(values)]


def _keep_some(values: Array, places: list[int]) -> Array:
    kept = np.zeros_like(values)
    kept.flat[places] = values.flat[places]
    return kept


def _list_ranked(values: Array) -> Iterator[Array]:
    """Whole numbers in the order of the values, with 0 where it was; fewer digits; one distinct
    value less, its place taken by a neighbour."""
    if not np.isfinite(values).all():
        return
    distinct = np.unique(np.append(values, 0))
    numbers = np.arange(len(distinct)) - int(np.searchsorted(distinct, 0))
    yield numbers[np.searchsorted(distinct, values)].astype(values.dtype)
    for digits in (1, 2, 3):
        yield _round(values, digits)
    yield from _list_merged(values)


def _round(values: Array, digits: int) -> Array:
    """To so many significant digits."""
    rounded = [float(f"{value:.{digits - 1}e}") for value in values.reshape(-1).tolist()]
    return np.array(rounded, dtype=values.dtype).reshape(values.shape)


def _list_merged(values: Array) -> Iterator[Array]:
    distinct = np.unique(values)
    for low, high in pairwise(distinct):
        towards_zero = (high, low) if abs(low) < abs(high) else (low, high)
        yield np.where(values == towards_zero[0], towards_zero[1], values)


def _list_rounded_units(values: Array) -> Iterator[Array]:
    """Of values from 0 to below 1."""
    for parts in (2, 4, 16):
        yield np.floor(values * parts) / parts
    yield from _list_merged(values)


def _normalise(rows: Array) -> Array:
    """Rows that sum to one; a row of zeros stays."""
    sums = rows.sum(axis=-1, keepdims=True)
    return np.where(sums > 0, rows / np.where(sums > 0, sums, 1.0), 0.0)


def _list_plain_rows(rows: Array) -> Iterator[Array]:
    """All mass on the first token; on the likeliest; the same on each."""
    first, best = np.zeros_like(rows), np.zeros_like(rows)
    first[..., 0] = 1
    yield first
    np.put_along_axis(best, rows.argmax(axis=-1, keepdims=True), 1.0, axis=-1)
    yield best
    yield _normalise(np.ones_like(rows))


def _keep_mass(rows: Array, places: list[int]) -> Array:
    """What is left out goes to what is kept, in proportion."""
    return _normalise(_keep_some(rows, places))


def _list_even_rows(rows: Array) -> Iterator[Array]:
    """The same mass on all tokens that have any; in the order of the masses; in fewer digits; one
    distinct mass less."""
    yield _normalise((rows > 0).astype(rows.dtype))
    _, ranks = np.unique(rows, return_inverse=True)
    yield _normalise(np.where(rows > 0, ranks.reshape(rows.shape).astype(rows.dtype), 0))
    for digits in (1, 2):
        yield _normalise(_round(rows, digits))
    for low, high in pairwise(np.unique(rows)):
        if low > 0:
            yield _normalise(np.where(rows == low, high, rows))


def _list_first_ids(ids: Array) -> Iterator[Array]:
    """The first experts in each row, which are unique as they have to be."""
    yield np.broadcast_to(np.arange(ids.shape[-1], dtype=ids.dtype), ids.shape).copy()


def _list_rows(ids: Array) -> list[int]:
    """Rows that are not those of `_list_first_ids`."""
    first = next(_list_first_ids(ids))
    return [int(row) for row in np.flatnonzero((ids != first).any(axis=-1))]


def _keep_rows(ids: Array, rows: list[int]) -> Array:
    kept = next(_list_first_ids(ids))
    kept[rows] = ids[rows]
    return kept


def _list_none(values: Array) -> Iterator[Array]:
    del values
    return iter(())


NUMBERS = Contents(_plain_constants(0), _list_nonzero, _keep_some, _list_ranked)
FACTORS = Contents(_plain_constants(1, 0), _list_nonzero, _keep_some, _list_ranked)
UNITS = Contents(_plain_constants(0, 0.5), _list_nonzero, _keep_some, _list_rounded_units)
DISTRIBUTIONS = Contents(_list_plain_rows, _list_nonzero, _keep_mass, _list_even_rows)
CHOSEN_EXPERTS = Contents(_list_first_ids, _list_rows, _keep_rows, _list_none)
PLACES = Contents(_plain_constants(0), _list_nonzero, _keep_some, _list_none)

CONTENTS: Mapping[str, Contents] = {
    "gating_output": NUMBERS,
    "correction_bias": NUMBERS,
    "target_logits": NUMBERS,
    "q": NUMBERS,
    "k": NUMBERS,
    "qkv": NUMBERS,
    "q_weight": FACTORS,
    "k_weight": FACTORS,
    "positions": PLACES,
    "topk_ids": CHOSEN_EXPERTS,
    "topk_weights": UNITS,
    "uniform_samples": UNITS,
    "uniform_samples_for_final_sampling": UNITS,
    "probs": DISTRIBUTIONS,
    "target_probs": DISTRIBUTIONS,
}
#: Rows of these stand for themselves, so that some of them are inputs too; nothing is made plain.
FIXED = ("candidates", "temperatures", "top_k", "top_p")

#: What numbers of tokens or experts in a tensor have to be below.
BOUNDS: Mapping[str, str] = {"topk_ids": "E", "candidates": "V", "positions": "max_pos"}


def fit_values(
    name: str, values: Array, shape: tuple[int, ...], sizes: Mapping[str, int]
) -> Array | None:
    """The first of the values along each axis; None where there are too few of them, where they
    mean something together, or where one is a number of what there is no more."""
    if shape != values.shape and name not in CONTENTS and name not in FIXED:
        return None
    if any(wanted > there for wanted, there in zip(shape, values.shape, strict=True)):
        return None
    kept: Array = values[tuple(slice(wanted) for wanted in shape)]
    if name in BOUNDS and BOUNDS[name] in sizes and (kept >= sizes[BOUNDS[name]]).any():
        return None
    return _normalise(kept) if CONTENTS.get(name) is DISTRIBUTIONS and kept.size else kept
