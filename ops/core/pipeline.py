"""Pipelines: a function made of stages that follow each other, each of which can be timed alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.spec import Cost


@dataclass(frozen=True)
class Stage:
    """One step of a pipeline.

    function: takes values by the names of its parameters, inputs of the pipeline or what stages
    before it gave, and returns what it `gives`: one value alone, or several in this order.  A
    repeated call on the same values must do the same work.  cost: what a call must move and do.
    host_reads: what it reads on the host, so that no graph can capture it; empty if nothing.
    """

    name: str
    gives: tuple[str, ...]
    function: Callable[..., Any]
    cost: Callable[[Case], Cost]
    host_reads: str = ""
    takes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes", tuple(inspect.signature(self.function).parameters))

    def bind(self, values: Mapping[str, Any]) -> Callable[[], Any]:
        """A call without arguments on the values as they are now."""
        arguments = {name: values[name] for name in self.takes}
        return lambda: self.function(**arguments)

    def run(self, values: dict[str, Any]) -> None:
        """Add what the stage gives to values, in place of what had the name before."""
        given = self.function(**{name: values[name] for name in self.takes})
        if len(self.gives) == 1:
            values[self.gives[0]] = given
        else:
            values.update(zip(self.gives, given, strict=True))


@dataclass(frozen=True)
class Pipeline:
    """A function of the canonical signature: `inputs` by name to a tuple of `outputs`."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    stages: tuple[Stage, ...]

    @property
    def __signature__(self) -> inspect.Signature:
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature([inspect.Parameter(name, kind) for name in self.inputs])

    def __call__(self, **inputs: Any) -> tuple[Any, ...]:
        for stage in self.stages:
            stage.run(inputs)
        return tuple(inputs[name] for name in self.outputs)

    def change(self, **functions: Callable[..., Any]) -> Pipeline:
        """The same pipeline with other functions for the stages named."""
        stages = (replace(s, function=functions.pop(s.name, s.function)) for s in self.stages)
        changed = replace(self, stages=tuple(stages))
        assert not functions, f"no stage {', '.join(functions)}"
        return changed


@dataclass(frozen=True)
class BoundStage:
    """A stage on real values: `call()` runs it alone, as often as it is wanted."""

    stage: Stage
    call: Callable[[], Any]


def bind_stages(function: Callable[..., Any], arguments: Mapping[str, Any]) -> list[BoundStage]:
    """Each stage of a pipeline on what those before it gave for `arguments`, in order.

    Runs each stage once.  Empty for a function that is no pipeline, as a user's may be.
    """
    if not isinstance(function, Pipeline):
        return []
    values = dict(arguments)
    bound = []
    for stage in function.stages:
        bound.append(BoundStage(stage, stage.bind(values)))
        stage.run(values)
    return bound


def list_stages(function: Callable[..., Any]) -> tuple[Stage, ...]:
    """The stages of a pipeline; none of a function that is no pipeline."""
    return function.stages if isinstance(function, Pipeline) else ()


def find_host_reads(function: Callable[..., Any]) -> str:
    """Why no graph can capture a pipeline; empty where nothing is known to stand in the way."""
    stages = list_stages(function)
    reads = [f"stage {stage.name} reads {stage.host_reads}" for stage in stages if stage.host_reads]
    return ", ".join(reads)
