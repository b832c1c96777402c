"""Atomic updates of memory by many lanes in one instruction.

All of them take effect, in the order of the array (waves, then lanes); hardware has an order too,
but no document fixes it.  `add_f32` and the other float additions round after every update.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from rocmoe.ops.gcn.semantics import float_arithmetic
from rocmoe.ops.gcn.semantics.float_format import (
    flush_denormals,
    join_halves,
    quietly,
    split_halves,
)
from rocmoe.ops.gcn.semantics.small_float import bf16_of_f32, f32_of_bf16
from rocmoe.ops.gcn.semantics.words import Array

#: Old values, operands, and comparands (None unless the operation has them) to new values.
Update = Callable[[Array, Array, Any], Array]


@dataclass(frozen=True)
class Atomic:
    """update: what is stored. kind: `u`, `i` or `f`, as which NumPy type the words are taken.

    ufunc: does the same (of floats: but for NaNs and the sign of zeros), where there is one.
    """

    update: Update
    kind: str
    ufunc: np.ufunc | None = None


def apply_atomic(
    operation: str,
    view: Array,
    places: Array,
    values: Array,
    compare: Array | None = None,
    want_old: bool = False,
) -> Array | None:
    """Update `view[places]` in place, every occurrence of a place in turn.

    operation: a key of ATOMICS. view: 1-D, of 4- or 8-byte words. places: int64 [n]. values: [n],
    of the view's size. compare: [n], what `cmpswap` compares with, the mask of `mskor`, what `wrap`
    adds. Returns what each update found, [n] of the view's type, if it is wanted.
    """
    atomic = ATOMICS[operation]
    words = _typed(view, atomic.kind)
    values = _typed(np.ascontiguousarray(values), atomic.kind)
    if compare is not None:
        compare = _typed(np.ascontiguousarray(compare), atomic.kind)
    if not len(places):
        old = words[places]
    elif not _repeats(places):
        old = words[places]
        words[places] = atomic.update(old, values, compare)
    elif atomic.ufunc is None:
        old = _by_rounds(atomic, words, _Groups(places), values, compare)
    else:
        old = _by_ufunc(atomic, words, places, values, want_old)
    return old.view(view.dtype) if want_old and old is not None else None


def _typed(words: Array, kind: str) -> Array:
    return words.view(np.dtype(f"{kind}{words.dtype.itemsize}"))


def _repeats(places: Array) -> bool:
    """Whether a place occurs twice."""
    if len(places) == 1:
        return False
    first = int(places.min())
    span = int(places.max()) - first + 1
    if span < len(places):
        return True
    if span > 16 * len(places):
        ordered = np.sort(places)
        return bool((ordered[1:] == ordered[:-1]).any())
    last = np.empty(span, np.int32)
    numbers = np.arange(len(places), dtype=np.int32)
    last[places - first] = numbers
    return bool((last[places - first] != numbers).any())


class _Groups:
    """Elements sorted by place, in array order within one.

    order: element of each sorted position. starts, counts: of each group of equal places; places:
    theirs. rank: of each sorted position in its group.
    """

    def __init__(self, places: Array) -> None:
        # NumPy sorts 16-bit integers by radix, in a tenth of the time.
        near = places - places.min()
        self.order = np.argsort(
            near.astype(np.uint16) if int(near.max()) < 1 << 16 else near, kind="stable"
        )
        ordered = places[self.order]
        fresh = np.concatenate(([True], ordered[1:] != ordered[:-1]))
        self.starts = np.flatnonzero(fresh)
        self.places = ordered[self.starts]
        self.counts = np.diff(self.starts, append=len(places))
        self.rank = np.arange(len(places)) - np.repeat(self.starts, self.counts)
        self.rounds = int(self.counts.max())

    def unsort(self, ordered: Array) -> Array:
        result = np.empty_like(ordered)
        result[self.order] = ordered
        return result


def _by_ufunc(
    atomic: Atomic, words: Array, places: Array, values: Array, want_old: bool
) -> Array | None:
    """By `ufunc.at`, or by prefixes of each group where the old values are wanted."""
    assert atomic.ufunc is not None
    if atomic.kind == "f":
        return _fold_floats(atomic, words, places, values, want_old)
    if not want_old:
        atomic.ufunc.at(words, places, values)
        return None
    return _by_scan(atomic.ufunc, words, _Groups(places), values)


def _fold_floats(
    atomic: Atomic, words: Array, places: Array, values: Array, want_old: bool
) -> Array | None:
    """By NumPy's ufunc where it does what the ISA says, else by rounds."""
    ufunc = atomic.ufunc
    assert ufunc is not None
    plain = _are_plain(ufunc, values) and _are_plain(ufunc, words[places])
    if plain and not want_old:
        ufunc.at(words, places, values)
        return None
    groups = _Groups(places)
    if plain and len(groups.places) < groups.rounds:
        return _by_group(ufunc, words, groups, values)
    return _by_rounds(atomic, words, groups, values, None)


def _are_plain(ufunc: np.ufunc, values: Array) -> bool:
    """Whether no NaN can be met, and for minima and maxima no -0.

    As many additions as one instruction can make do not overflow from the lower half of the range.
    """
    if ufunc is np.add:
        return bool((np.abs(values) < np.sqrt(np.finfo(values.dtype).max)).all())
    return not (np.isnan(values) | ((values == 0) & np.signbit(values))).any()


def _by_group(ufunc: np.ufunc, words: Array, groups: _Groups, values: Array) -> Array:
    """Prefixes of one group after the other; `ufunc.accumulate` goes from left to right."""
    ordered = values[groups.order]
    old = np.empty_like(ordered)
    for place, start, count in zip(groups.places, groups.starts, groups.counts, strict=True):
        part = np.concatenate((words[place : place + 1], ordered[start : start + count]))
        prefixes = ufunc.accumulate(part)
        old[start : start + count] = prefixes[:-1]
        words[place] = prefixes[-1]
    return groups.unsort(old)


def _by_scan(ufunc: np.ufunc, words: Array, groups: _Groups, values: Array) -> Array:
    """Old values of an associative operation: prefixes within each group, by doubling."""
    prefix = values[groups.order]
    if ufunc is np.subtract:
        ufunc, prefix = np.add, np.negative(prefix)
    prefix[groups.starts] = ufunc(words[groups.places], prefix[groups.starts])
    step = 1
    while step < groups.rounds:
        later = np.flatnonzero(groups.rank >= step)
        prefix[later] = ufunc(prefix[later - step], prefix[later])
        step *= 2
    old = np.empty_like(prefix)
    old[1:] = prefix[:-1]
    old[groups.starts] = words[groups.places]
    words[groups.places] = prefix[groups.starts + groups.counts - 1]
    return groups.unsort(old)


def _by_rounds(
    atomic: Atomic, words: Array, groups: _Groups, values: Array, compare: Array | None
) -> Array:
    """The k-th update of every place in round k."""
    old = np.empty_like(values)
    by_count = np.argsort(-groups.counts, kind="stable")
    starts, places = groups.starts[by_count], groups.places[by_count]
    remaining = len(places) - np.searchsorted(
        groups.counts[by_count][::-1], np.arange(groups.rounds), side="right"
    )
    for number, count in enumerate(remaining.tolist()):
        elements = groups.order[starts[:count] + number]
        found = words[places[:count]]
        old[elements] = found
        operand = None if compare is None else compare[elements]
        words[places[:count]] = atomic.update(found, values[elements], operand)
    return old


def _swap(old: Array, value: Array, _: Any) -> Array:
    return value


def _increment(old: Array, value: Array, _: Any) -> Array:
    return np.where(old >= value, value.dtype.type(0), old + value.dtype.type(1))


def _decrement(old: Array, value: Array, _: Any) -> Array:
    return np.where((old == 0) | (old > value), value, old - value.dtype.type(1))


@quietly
def _compare_swap(old: Array, value: Array, compare: Array) -> Array:
    return np.where(old == compare, value, old)


def _wrap(old: Array, value: Array, more: Array) -> Array:
    return np.where(old >= value, old - value, old + more)


def _masked_or(old: Array, value: Array, mask: Array) -> Array:
    return (old & ~mask) | value


@quietly
def _lesser(old: Array, value: Array, _: Any) -> Array:
    return np.where(value < old, value, old)


@quietly
def _greater(old: Array, value: Array, _: Any) -> Array:
    return np.where(value > old, value, old)


def _add_float(old: Array, value: Array, _: Any) -> Array:
    return float_arithmetic.add(old, value)


def _add_flushing(old: Array, value: Array, _: Any) -> Array:
    total = float_arithmetic.add(flush_denormals(old), flush_denormals(value))
    return flush_denormals(total)


def _add_halves(old: Array, value: Array, _: Any) -> Array:
    pairs = zip(split_halves(old), split_halves(value), strict=True)
    low, high = (float_arithmetic.add(a.view(np.float16), b.view(np.float16)) for a, b in pairs)
    return join_halves(low, high)


def _add_bfloats(old: Array, value: Array, _: Any) -> Array:
    pairs = zip(split_halves(old), split_halves(value), strict=True)
    sums = (float_arithmetic.add(f32_of_bf16(a), f32_of_bf16(b)) for a, b in pairs)
    low, high = (bf16_of_f32(total) for total in sums)
    return join_halves(low, high)


def _ufunc(ufunc: np.ufunc, kind: str = "u") -> Atomic:
    def update(old: Array, value: Array, _: Any) -> Array:
        return ufunc(old, value)

    return Atomic(update, kind, ufunc)


#: CDNA3 ISA (AMD Instinct MI300), 12.13 LDS Instructions and 12.15 to 12.17 (buffer, flat, global):
#: the pseudocode of each.  inc and dec wrap at the operand; min and max of floats compare, so that
#: a NaN operand is not stored and a NaN in memory stays, and -0 equals +0; additions to floats keep
#: denormals, but for `add_f32_flush`, which is global memory's on gfx90a (LLVM, AMDGPU.td:
#: memory-atomic-fadd-f32-denormal-support, which gfx940 is the first to have).
ATOMICS: Mapping[str, Atomic] = MappingProxyType(
    {
        "add": _ufunc(np.add),
        "sub": _ufunc(np.subtract),
        "rsub": Atomic(lambda old, value, _: value - old, "u"),
        "inc": Atomic(_increment, "u"),
        "dec": Atomic(_decrement, "u"),
        "smin": _ufunc(np.minimum, "i"),
        "umin": _ufunc(np.minimum),
        "smax": _ufunc(np.maximum, "i"),
        "umax": _ufunc(np.maximum),
        "and": _ufunc(np.bitwise_and),
        "or": _ufunc(np.bitwise_or),
        "xor": _ufunc(np.bitwise_xor),
        "mskor": Atomic(_masked_or, "u"),
        "wrap": Atomic(_wrap, "u"),
        "swap": Atomic(_swap, "u"),
        "cmpswap": Atomic(_compare_swap, "u"),
        "cmpswap_f32": Atomic(_compare_swap, "f"),
        "cmpswap_f64": Atomic(_compare_swap, "f"),
        "add_f32": Atomic(_add_float, "f", np.add),
        "add_f32_flush": Atomic(_add_flushing, "f"),
        "add_f64": Atomic(_add_float, "f", np.add),
        **dict.fromkeys(("min_f32", "min_f64"), Atomic(_lesser, "f", np.minimum)),
        **dict.fromkeys(("max_f32", "max_f64"), Atomic(_greater, "f", np.maximum)),
        "pk_add_f16": Atomic(_add_halves, "u"),
        "pk_add_bf16": Atomic(_add_bfloats, "u"),
    }
)
