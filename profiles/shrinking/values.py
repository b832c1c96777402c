"""Fewer rows of what was drawn, and plainer values: the case that gives them.

What is given is the same in every draw, so that a failure that needs inputs which differ from call
to call is left as it was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.given import write_values
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import OpSpec
from rocmoe.profiles.shrinking.cases import give, list_valid, shorten
from rocmoe.profiles.shrinking.contents import CONTENTS, FIXED, Array, count_distinct
from rocmoe.profiles.shrinking.ddmin import FindFirst, ddmin
from rocmoe.profiles.suites import find_axis

#: Elements of all tensors, above which their values are left as they were drawn.
MOST_ELEMENTS = 1 << 15
#: Distinct values that are merged one by one.
MOST_MERGED = 64


@dataclass(frozen=True)
class Values:
    """A case, and the tensors that it is to give."""

    spec: OpSpec
    case: Case
    tensors: Mapping[str, Array]

    @property
    def given(self) -> Case:
        """The case that gives them."""
        return give(self.case, self.tensors)

    def replace(self, name: str, values: Array) -> Values:
        """The same with another tensor."""
        return replace(self, tensors={**self.tensors, name: values})


def read_tensors(spec: OpSpec, case: Case, draw: int = 0) -> dict[str, Array]:
    """The tensors of one draw of a case, by name."""
    inputs = draw_inputs(spec, case, draw)
    return {name: each for name, each in inputs.items() if isinstance(each, np.ndarray)}


def reduce_rows(spec: OpSpec, case: Case, find_first: FindFirst[Case]) -> Case:
    """The fewest rows of the case's own draw that fail: of all tensors that have rows.

    The case itself where it has one row, where rows depend on each other, and where the failure is
    another one once its values are given.
    """
    axis = find_axis(spec)
    if case.sizes[axis] < 2 or not _has_rows_alone(spec, axis):
        return case
    draws = [each for each in _list_draws(spec, case) if _is_small(each)]
    found = find_first([give(case, each) for each in draws]) if draws else None
    if found is None:
        return case
    tensors = draws[found]
    rowed = [each.name for each in spec.inputs if axis in each.axes[:1]]

    def choose(rows: Sequence[int]) -> Case:
        chosen = {
            name: each[list(rows)] if name in rowed else each for name, each in tensors.items()
        }
        return give(replace(case, sizes={**case.sizes, axis: len(rows)}), chosen)

    kept = ddmin(range(case.sizes[axis]), _try_all(spec, case, choose, find_first))
    return choose(kept) if len(kept) < case.sizes[axis] else case


def reduce_values(spec: OpSpec, case: Case, find_first: FindFirst[Case]) -> Case:
    """The case with the plainest values that still fail, tensor by tensor; those that stay as they
    were drawn are not given.  Itself where neither of its draws, given, is the same failure."""
    bare = replace(case, given={})
    draws = [Values(spec, bare, each) for each in _list_draws(spec, case) if _is_small(each)]
    found = find_first([each.given for each in draws]) if draws else None
    if found is None:
        return case
    values = draws[found]
    for name in [name for name, each in values.tensors.items() if name in CONTENTS and each.size]:
        values = _simplify(values, name, find_first)
    shorter = give(bare, _leave_out_drawn(values))
    return values.given if find_first([shorter]) is None else shorter


def _list_draws(spec: OpSpec, case: Case) -> list[dict[str, Array]]:
    """What may be given of a case: all tensors of its first draw, or of its second, which is what
    the second call is given; but for those of a single element, as a count of the rows is one."""
    draws = [read_tensors(spec, case, draw) for draw in ((0,) if case.given else (0, 1))]
    return [{name: each for name, each in draw.items() if each.size != 1 or name in CONTENTS}
            for draw in draws]  # fmt: skip


def _leave_out_drawn(values: Values) -> Mapping[str, Array]:
    """What is not as the case draws it."""
    drawn = read_tensors(values.spec, values.case)
    return {
        name: each
        for name, each in values.tensors.items()
        if not np.array_equal(each, drawn[name], equal_nan=each.dtype.kind == "f")
    }


def _has_rows_alone(spec: OpSpec, axis: str) -> bool:
    """Whether all tensors that have this axis have it first, and rows that stand for themselves."""
    with_axis = [each for each in spec.inputs if axis in each.axes]
    named = {*CONTENTS, *FIXED}
    return all(each.axes[0] == axis and each.name in named for each in with_axis)


def _is_small(tensors: Mapping[str, Array]) -> bool:
    return sum(each.size for each in tensors.values()) <= MOST_ELEMENTS


def _simplify(values: Values, name: str, find_first: FindFirst[Case]) -> Values:
    """One tensor: all of it plain, as few elements as can be that are not, and these simpler."""
    contents = CONTENTS[name]

    def attempt(candidates: Iterator[Array]) -> Values | None:
        changed = [values.replace(name, each) for each in candidates]
        before = _measure(values, name)
        changed = [each for each in changed if _measure(each, name) < before]
        changed.sort(key=lambda each: _measure(each, name))
        found = find_first([each.given for each in changed]) if changed else None
        return None if found is None else changed[found]

    values = attempt(contents.list_plain(values.tensors[name])) or values

    def choose(places: Sequence[int]) -> Case:
        return values.replace(name, contents.keep(values.tensors[name], [*places])).given

    special = contents.list_special(values.tensors[name])
    kept = ddmin(special, _try_all(values.spec, values.case, choose, find_first))
    fewer = values.replace(name, contents.keep(values.tensors[name], kept))
    if len(kept) < len(special) and _measure(fewer, name) < _measure(values, name):
        values = fewer
    while count_distinct(values.tensors[name]) <= MOST_MERGED:
        simpler = attempt(contents.list_simpler(values.tensors[name]))
        if simpler is None:
            break
        values = simpler
    return values


def _measure(values: Values, name: str) -> tuple[int, int]:
    """How plain a tensor is: its distinct values, then how long it is to write."""
    tensor = values.tensors[name]
    return count_distinct(tensor), len(write_values(shorten(tensor)))


def _try_all(
    spec: OpSpec, case: Case, choose: Callable[[Sequence[int]], Case], find_first: FindFirst[Case]
) -> FindFirst[Sequence[int]]:
    """Tries choices as cases; those that are none of the op are left out."""

    def find(choices: Sequence[Sequence[int]]) -> int | None:
        chosen = [choose(each) for each in choices]
        valid = {each.id for each in list_valid(spec, case, chosen)}
        numbers = [number for number, each in enumerate(chosen) if each.id in valid]
        found = find_first([chosen[number] for number in numbers]) if numbers else None
        return None if found is None else numbers[found]

    return find


def is_answered(spec: OpSpec, case: Case, *, strict: bool) -> bool:
    """Whether the op's own torch implementation passes: values that it fails on prove nothing."""
    from rocmoe.ops.backends.torch import find
    from rocmoe.ops.core.device import Device
    from rocmoe.profiles.examination import examine

    implementation = find(spec, "")
    assert implementation is not None
    try:
        return examine(spec, case, implementation, Device("cpu"), strict=strict).verdict.ok
    except (RocmoeError, ArithmeticError, RuntimeError, ValueError, IndexError):
        return False
