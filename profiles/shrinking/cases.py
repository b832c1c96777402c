"""Smaller cases of a case: sizes, dtype, layout, pattern, parameters and seed, one after another.

Greedy: the smallest value of each that still fails is kept, until nothing gets smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.given import write_values
from rocmoe.ops.core.spec import OpSpec
from rocmoe.profiles.shrinking.contents import Array, fit_values
from rocmoe.profiles.shrinking.ddmin import FindFirst
from rocmoe.profiles.suites import find_axis

#: Draws that are tried of a few rows: one of them may hold what the failure needs.
SEEDS = 6
FEW_ROWS = 4

Dimension = Callable[[OpSpec, Case], Iterator[Case]]


def reduce_case(spec: OpSpec, case: Case, find_first: FindFirst[Case]) -> Case:
    """The case that is left where no dimension gets smaller any more."""
    while True:
        before = case
        for dimension in _list_dimensions(spec):
            case = _reduce(spec, case, dimension, find_first)
        if case == before:
            return case


def list_valid(spec: OpSpec, case: Case, candidates: Iterable[Case]) -> list[Case]:
    """Those that are cases of the op, each once, and prove as much as the one that they are of.

    A case that no contract covers is none of a failure inside of it, and one that a trivial answer
    passes none of a case where an answer counts.
    """
    valid: dict[str, Case] = {}
    for each in candidates:
        try:
            spec.check_case(each)
        except RocmoeError:
            continue
        vacuous = spec.degenerate(each) and not spec.degenerate(case)
        outside = bool(spec.out_of_contract(each)) != bool(spec.out_of_contract(case))
        if not (vacuous or outside or each == case):
            valid[each.id] = each
    return [*valid.values()]


def give(case: Case, tensors: Mapping[str, Array]) -> Case:
    """A case that gives these tensors."""
    return replace(
        case, given={name: write_values(shorten(each)) for name, each in tensors.items()}
    )


def shorten(values: Array) -> Array:
    """Decimals that are the same in float32, which holds every value of the dtypes of inputs."""
    if values.dtype.kind != "f":
        return values
    flat = [float(str(each)) for each in values.astype(np.float32).reshape(-1)]
    return np.array(flat, dtype=np.float64).reshape(values.shape)


def fit_given(spec: OpSpec, old: Case, new: Case) -> Case | None:
    """A smaller case with what is left of the values that the larger one gives; None where they are
    none of it."""
    if not old.given or old.sizes == new.sizes:
        return new
    arguments = {each.name: each for each in spec.inputs}
    given: dict[str, Array] = {}
    for name, values in spec.read_given(old).items():
        fitted = fit_values(name, values, spec.shape(arguments[name], new), new.sizes)
        if fitted is None:
            return None
        given[name] = fitted
    return give(new, given)


def _reduce(spec: OpSpec, case: Case, dimension: Dimension, find_first: FindFirst[Case]) -> Case:
    while True:
        fitted = (fit_given(spec, case, each) for each in dimension(spec, case))
        candidates = list_valid(spec, case, (each for each in fitted if each is not None))
        found = find_first(candidates) if candidates else None
        if found is None:
            return case
        case = candidates[found]


def _list_dimensions(spec: OpSpec) -> list[Dimension]:
    """The rows first: the fewer there are, the sooner a candidate has run."""
    axis = find_axis(spec)
    others = [name for name in spec.sizes if name != axis]
    return [
        _shrink_rows,
        *(_make_size(name) for name in others),
        _shrink_together,
        _simplify_dtype,
        _simplify_layout,
        _simplify_pattern,
        *(_make_param(name) for name in spec.params),
        _simplify_seed,
    ]


def list_smaller(size: int) -> list[int]:
    """Smaller sizes, from the smallest: 0 to 4, powers of two, and shares of the size."""
    steps = {0, 1, 2, 3, 4, size // 2, size * 3 // 4, size * 7 // 8, size - 1}
    steps |= {1 << bits for bits in range(size.bit_length())}
    return sorted(step for step in steps if 0 <= step < size)


def _shrink_rows(spec: OpSpec, case: Case) -> Iterator[Case]:
    axis = find_axis(spec)
    for rows in list_smaller(case.sizes[axis]):
        sized = replace(case, sizes={**case.sizes, axis: rows})
        yield sized
        if rows <= FEW_ROWS:
            yield from (sized.with_seed(seed) for seed in range(SEEDS) if seed != case.seed)


def _make_size(name: str) -> Dimension:
    def shrink(spec: OpSpec, case: Case) -> Iterator[Case]:
        del spec
        for size in list_smaller(case.sizes[name]):
            yield replace(case, sizes={**case.sizes, name: size})

    return shrink


def _shrink_together(spec: OpSpec, case: Case) -> Iterator[Case]:
    """Sizes that are the same, as where a token goes to all experts, get smaller at once."""
    axis = find_axis(spec)
    others = {name: size for name, size in case.sizes.items() if name != axis}
    for size in dict.fromkeys(others.values()):
        same = [name for name in others if others[name] == size]
        if len(same) > 1:
            for less in list_smaller(size):
                yield replace(case, sizes={**case.sizes, **dict.fromkeys(same, less)})


def _simplify_dtype(spec: OpSpec, case: Case) -> Iterator[Case]:
    """Of those the op has the first is the widest."""
    for dtype in spec.dtypes[: spec.dtypes.index(case.dtype)]:
        yield replace(case, dtype=dtype)


def _simplify_layout(spec: OpSpec, case: Case) -> Iterator[Case]:
    for layout in spec.layouts[: spec.layouts.index(case.layout)]:
        yield replace(case, layout=layout)


def _simplify_pattern(spec: OpSpec, case: Case) -> Iterator[Case]:
    """The op's first is its plainest."""
    if case.pattern != spec.patterns[0]:
        yield replace(case, pattern=spec.patterns[0])


def _make_param(name: str) -> Dimension:
    def simplify(spec: OpSpec, case: Case) -> Iterator[Case]:
        for value in _list_simpler(case.params[name], spec.params[name].kind):
            yield replace(case, params={**case.params, name: value})

    return simplify


def _list_simpler(value: Value, kind: str) -> Sequence[Value]:
    none: list[Value] = [None] if kind.endswith("or none") and value is not None else []
    if isinstance(value, bool):
        return [*none, *([False] if value else [])]
    if isinstance(value, int):
        return [*none, *list_smaller(value)]
    return none


def _simplify_seed(spec: OpSpec, case: Case) -> Iterator[Case]:
    del spec
    yield from (case.with_seed(seed) for seed in range(min(case.seed, SEEDS)))
