"""Makers of harmed kernels for any op, from a right one that is called with its inputs by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.core.spec import Argument

Inputs = dict[str, Any]
Outputs = tuple[Any, ...]
#: An op's function, called with its inputs by name.
Kernel = Callable[..., Any]
#: What a kernel takes some of its inputs for: inputs -> those that change, by name.
Edit = Callable[[Inputs], Inputs]
#: Makes another answer of an answer: (inputs, *outputs) -> outputs.
Spoil = Callable[..., Any]
#: Puts an answer into the outputs handed over: (inputs, outputs by name, answer).
Store = Callable[[Inputs, Mapping[str, Any], Outputs], None]


def list_memory_harms(run: Kernel, disturbed: Kernel) -> tuple[Harm, ...]:
    """The harms of a kernel that remembers; every second call of one of them is `disturbed`."""
    return (
        Harm("cache_by_pointer", "answers are remembered by address", CacheByPointer(run)),
        Harm("disturb_next_call", "a call's answer depends on the one before",
             DisturbNext(run, disturbed)),
    )  # fmt: skip


def edit_inputs(run: Kernel, edit: Edit) -> Kernel:
    """A kernel that takes some inputs for what `edit` says of them."""

    def harmed(**inputs: Any) -> Any:
        return run(**{**inputs, **edit(inputs)})

    return harmed


def edit_input(run: Kernel, name: str, edit: Callable[[Any], Any]) -> Kernel:
    """A kernel that takes one input for what `edit` makes of it."""
    return edit_inputs(run, lambda inputs: {name: edit(inputs[name])})


def fix_inputs(run: Kernel, **fixed: Any) -> Kernel:
    """A kernel that takes these inputs for the same whatever it is given."""
    return edit_inputs(run, lambda inputs: fixed)


def spoil_outputs(run: Kernel, spoil: Spoil) -> Kernel:
    """A kernel whose answer is changed by `spoil(inputs, *outputs)`."""

    def harmed(**inputs: Any) -> Any:
        return spoil(inputs, *list_outputs(run(**inputs)))

    return harmed


def scale_first(run: Kernel, factor: float) -> Kernel:
    """A kernel whose first output is off by a factor."""
    return spoil_outputs(run, lambda inputs, first, *rest: (first * factor, *rest))


class CacheByPointer:
    """The answer of an earlier call is handed out for the same addresses, shapes and scalars."""

    def __init__(self, run: Kernel) -> None:
        self._run = run
        self._answers: dict[tuple[object, ...], Any] = {}

    def __call__(self, **inputs: Any) -> Any:
        key = tuple(
            (value.data_ptr(), value.shape, value.dtype) if hasattr(value, "data_ptr") else value
            for value in inputs.values()
        )
        if key not in self._answers:
            self._answers[key] = self._run(**inputs)
        return self._answers[key]


class DisturbNext:
    """Every second call is `disturbed` by what the one before it left behind."""

    def __init__(self, run: Kernel, disturbed: Kernel) -> None:
        self._kernels = (run, disturbed)
        self._calls = 0

    def __call__(self, **inputs: Any) -> Any:
        kernel = self._kernels[self._calls % 2]
        self._calls += 1
        return kernel(**inputs)


class Stale:
    """The answer of the call before, where its shapes fit."""

    def __init__(self, run: Kernel) -> None:
        self._run = run
        self._before: Outputs = ()

    def __call__(self, **inputs: Any) -> Outputs:
        now = tuple(tensor.clone() for tensor in list_outputs(self._run(**inputs)))
        before, self._before = self._before, now
        fits = [tensor.shape for tensor in before] == [tensor.shape for tensor in now]
        return before if fits else now


def copy_into(inputs: Inputs, given: Mapping[str, Any], answer: Outputs) -> None:
    """Write a whole answer into the outputs handed over, in their order."""
    for output, value in zip(given.values(), answer, strict=True):
        output.copy_(value)


@dataclass(frozen=True)
class WriteInto:
    """A destination-passing kernel: `store` puts the answer of `run` into the op's `outputs`.

    Its signature names the outputs, since that is what tells the two styles of kernels apart.
    """

    run: Kernel
    outputs: tuple[Argument, ...]
    store: Store = copy_into

    @property
    def __signature__(self) -> Signature:
        named = [Parameter(output.name, Parameter.KEYWORD_ONLY) for output in self.outputs]
        return Signature([*named, Parameter("inputs", Parameter.VAR_KEYWORD)])

    def __call__(self, **arguments: Any) -> None:
        given = {output.name: arguments.pop(output.name) for output in self.outputs}
        self.store(arguments, given, list_outputs(self.run(**arguments)))


def write_where(
    run: Kernel, outputs: tuple[Argument, ...], find_written: Callable[..., Mapping[str, Any]]
) -> WriteInto:
    """A kernel that leaves some elements of its outputs as they were handed over.

    find_written: (inputs, *answer) -> masks by output, True where it is written; others are whole.
    """

    def store(inputs: Inputs, given: Mapping[str, Any], answer: Outputs) -> None:
        written = find_written(inputs, *answer)
        for (name, output), value in zip(given.items(), answer, strict=True):
            output.copy_(value.where(written[name], output) if name in written else value)

    return WriteInto(run, outputs, store)


def leave_last_row(run: Kernel, outputs: tuple[Argument, ...], *names: str) -> WriteInto:
    """A kernel that never writes the last row of the outputs named."""

    def store(inputs: Inputs, given: Mapping[str, Any], answer: Outputs) -> None:
        for (name, output), value in zip(given.items(), answer, strict=True):
            rows = slice(-1 if name in names else None)
            output[rows] = value[rows]

    return WriteInto(run, outputs, store)


def write_past_end(run: Kernel, outputs: tuple[Argument, ...], name: str) -> WriteInto:
    """A kernel that writes an element more of one output than there are, as if it rounded up."""

    def store(inputs: Inputs, given: Mapping[str, Any], answer: Outputs) -> None:
        copy_into(inputs, given, answer)
        write_past(given[name])

    return WriteInto(run, outputs, store)


def write_past(output: Any, count: int = 1) -> None:
    """Write `count` elements right behind a contiguous output."""
    output.as_strided((count,), (1,), output.storage_offset() + output.numel()).fill_(0)


def drop_last_row(rows: Any) -> Any:
    """The rows in fresh memory, where the last one was never written."""
    import torch

    short = torch.empty_like(rows)
    short[:-1] = rows[:-1]
    return short


def read_dense(tensor: Any) -> Any:
    """A tensor as a kernel sees it that takes its rows to follow each other without a gap."""
    shape = tensor.shape
    return tensor.as_strided(shape, [math.prod(shape[axis + 1 :]) for axis in range(len(shape))])


def list_outputs(answer: Any) -> Outputs:
    """The outputs of a kernel, whether it returned several or one."""
    return answer if isinstance(answer, tuple) else (answer,)
