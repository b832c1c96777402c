"""One implementation on one case, called eagerly, and in graphs on inputs that change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.guard import find_poison
from rocmoe.ops.core.implementation import Implementation, name_outputs
from rocmoe.ops.core.spec import Inputs, OpSpec, Outputs
from rocmoe.ops.core.workbench import Workbench, to_numpy
from rocmoe.profiles.graphs.draws import Draw
from rocmoe.profiles.graphs.judging import Captured, FaultError, Judge
from rocmoe.profiles.graphs.machine import GraphMachine, HeldGraph
from rocmoe.profiles.measuring.aftercheck import destroy

#: What outputs handed over are poisoned with, of `guard.POISONS`.
POISON = 0


class Subject:
    """What is captured, and its eager answers."""

    def __init__(
        self,
        spec: OpSpec,
        case: Case,
        implementation: Implementation,
        device: Device,
        machine: GraphMachine,
        draws: Sequence[Inputs],
        strict: bool,
    ) -> None:
        self.spec, self.case, self.device, self.machine = spec, case, device, machine
        self.implementation = implementation
        self.judge = Judge(spec, case.dtype, strict)
        labels = ("the inputs of the capture", "other inputs")
        self.draws = [
            Draw(case, inputs, label) for inputs, label in zip(draws, labels, strict=True)
        ]
        self._eager = self.make_bench(case)
        self._answers: dict[str, Outputs] = {}

    def make_bench(self, case: Case | None = None) -> Workbench:
        """Tensors of their own for the calls of one graph."""
        return Workbench(self.spec, case or self.case, self.implementation, self.device)

    def answer(self, draw: Draw) -> Outputs:
        """What an eager call gives."""
        if draw.label not in self._answers:
            self._answers[draw.label] = self._eager.call(draw.inputs, POISON).outputs
        return self._answers[draw.label]

    @property
    def footprint(self) -> int:
        """Bytes that a call moves at least."""
        cost = self.spec.cost(self.case)
        return cost.bytes_read + cost.bytes_written

    def name_outputs(self, returned: Any) -> dict[str, Any]:
        """The tensors of an answer by their names."""
        return name_outputs(self.spec, self.case, self.device, returned)

    def tells(self, draw: Draw, captured: Draw) -> bool:
        """Whether a graph that gives the answer to what it captured is wrong on another draw."""
        return not self.judge.is_right(draw.inputs, self.answer(captured))


class Rig:
    """A graph of calls that take turns on several benches, with what it was captured on.

    captured: the draw on each bench meanwhile.  calls: their number, a multiple of the benches'.
    """

    def __init__(
        self,
        subject: Subject,
        captured: Sequence[Draw],
        calls: int = 1,
        beside: Rig | None = None,
    ) -> None:
        self._subject = subject
        self._benches = [subject.make_bench() for _ in captured]
        self._captured = [Captured(draw, subject.answer(draw)) for draw in captured]
        bound = [b.prepare(d.inputs, POISON) for b, d in zip(self._benches, captured, strict=True)]
        self.graph: HeldGraph = subject.machine.make_graph(
            [bound[number % len(bound)] for number in range(calls)],
            len(bound),
            beside.graph if beside else None,
        )

    def replay(
        self, *draws: Draw, times: int = 1, before: Callable[[], None] | None = None
    ) -> None:
        """Lay out a draw on each bench, destroy the answers that stand, and replay.

        before: is called last ahead of the replay.
        """
        for bench, draw in zip(self._benches, draws, strict=True):
            bench.prepare(draw.inputs, POISON)
        for returned in self.graph.returned:
            self._destroy(returned)
        if before is not None:
            before()
        for _ in range(times):
            self.graph.replay()
        self._subject.machine.synchronize()

    def check(self, *draws: Draw) -> list[Outputs]:
        """The answers that the last replay gave to each draw; raises `FaultError`."""
        return [self._check(number, draw) for number, draw in enumerate(draws)]

    def _destroy(self, returned: Any) -> None:
        """Overwrite an answer in the graph's memory; one on a bench is poisoned already."""
        if not self._benches[0].fenced:
            destroy(returned, *self._benches)

    def _check(self, number: int, draw: Draw) -> Outputs:
        subject, bench, then = self._subject, self._benches[number], self._captured[number]
        named = subject.name_outputs(self.graph.returned[number])
        outputs = {name: to_numpy(tensor) for name, tensor in named.items()}
        held = {name: self._find_held(named[name], outputs[name]) for name in named}
        eager = subject.answer(draw)
        for name, words, index in (d for damage in bench.find_damage(draw.inputs) for d in damage):
            place = f"{name}{list(index)}" if index else name
            raise FaultError("wrong", f"{place} was written {words}")
        try:
            subject.judge.check(draw, outputs, eager, held)
        except FaultError as fault:
            raise subject.judge.explain(fault, draw, outputs, eager, then) from None
        return outputs

    def _find_held(self, tensor: Any, values: NDArray[Any]) -> NDArray[np.bool_]:
        if self._benches[0].fenced:
            return find_poison(tensor, POISON)
        if tensor.is_floating_point():
            return np.asarray(np.isnan(values))
        return np.asarray(values == np.iinfo(values.dtype).max)
