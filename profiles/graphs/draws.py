"""Inputs that a graph is replayed on: of the case, and of the same case with other counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import Inputs, OpSpec
from rocmoe.profiles.suites import find_axis

#: Changed counts that are tried of one parameter.
MOST_CHANGES = 3
#: Draws of the words that stand for a mixture: these are not those that the case is judged on.
OTHER_DRAW = 2
#: A larger call between replays moves at most so many bytes.
LARGEST_CALL = 1 << 28


@dataclass(frozen=True)
class Draw:
    """Inputs by name, and the case whose contract they are of; label: what they are, in words."""

    case: Case
    inputs: Inputs
    label: str


def list_settings(spec: OpSpec) -> list[str]:
    """The inputs that may be tensors which a parameter of the same name decides on: counts such as
    num_local_tokens and top_k, which a graph must read at every replay."""
    tensors = [argument.name for argument in spec.inputs if argument.dtype is not None]
    return [name for name in tensors if name in spec.params]


def list_changed_counts(spec: OpSpec, captured: Draw) -> list[Draw]:
    """Draws whose settings are others than those captured, in tensors of the same shapes."""
    return [draw for name in list_settings(spec) for draw in _list_changes(spec, captured, name)]


def _list_changes(spec: OpSpec, captured: Draw, name: str) -> list[Draw]:
    before = captured.inputs[name]
    if not isinstance(before, np.ndarray):
        return []
    found: list[Draw] = []
    for case in _list_cases(spec, captured.case, name):
        inputs = draw_inputs(spec, case, OTHER_DRAW)
        now = inputs[name]
        if _have_same_shapes(inputs, captured.inputs) and not np.array_equal(now, before):
            label = f"{name} {_tell(before)} -> {_tell(now)} ({case.params[name]})"
            found.append(Draw(case, inputs, label))
    return found[:MOST_CHANGES]


def _list_cases(spec: OpSpec, case: Case, name: str) -> Iterator[Case]:
    """The case with every other word for a parameter, and then itself."""
    words: list[Value] = [word for word in spec.params[name].words if word != case.params[name]]
    for word in words:
        changed = replace(case, params={**case.params, name: word})
        if not (spec.refuse_case(changed) or spec.degenerate(changed)):
            yield changed
    yield case


def _have_same_shapes(now: Inputs, before: Inputs) -> bool:
    return all(np.shape(value) == np.shape(before[name]) for name, value in now.items())


def _tell(values: NDArray[Any]) -> str:
    """A count itself; of several values the first few."""
    listed = [f"{value:g}" for value in values.ravel()[:4]]
    return listed[0] if values.size == 1 else f"[{', '.join(listed)}{', ...' * (values.size > 4)}]"


def draw_larger(spec: OpSpec, case: Case) -> Draw | None:
    """The case with twice the tokens, or rows, and one more; None where that is no case, or large.

    What an implementation keeps for its calls has to grow for it.
    """
    axis = find_axis(spec)
    larger = replace(case, sizes={**case.sizes, axis: 2 * case.sizes[axis] + 1})
    cost = spec.cost(larger)
    try:
        spec.check_case(larger)
    except RocmoeError:
        return None
    if cost.bytes_read + cost.bytes_written > LARGEST_CALL:
        return None
    return Draw(larger, draw_inputs(spec, larger), "a larger call")
