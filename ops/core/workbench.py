"""One candidate on one case: its arguments and outputs laid out once, called several times."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.guard import (
    FencedTensor,
    find_poison,
    forget_unwritten,
    poisoned_allocations,
)
from rocmoe.ops.core.implementation import (
    Implementation,
    name_outputs,
    torch_dtype,
    writes_outputs,
)
from rocmoe.ops.core.launch import simulating
from rocmoe.ops.core.pipeline import BoundStage, bind_stages
from rocmoe.ops.core.simulator import Simulated, Simulator, Watch
from rocmoe.ops.core.spec import Inputs, OpSpec, Outputs
from rocmoe.references.judging.elementwise import same_bits

#: How long a thread that a candidate started is waited for, to see what it writes.
THREAD_SECONDS = 1.0

Damage = list[tuple[str, str, tuple[int, ...]]]


@dataclass(frozen=True)
class Call:
    """What one call left: outputs, elements that still hold poison, writes out of place.

    mutated, outside: (tensor name, words, index inside the tensor or ()).  launches: what the
    simulator ran, empty on other devices.
    """

    outputs: Outputs
    poisoned: Mapping[str, NDArray[np.bool_]]
    mutated: Damage
    outside: Damage
    launches: tuple[Simulated, ...] = ()


class Workbench:
    """Tensors for one case, refilled before every call at the same addresses."""

    def __init__(
        self,
        spec: OpSpec,
        case: Case,
        implementation: Implementation,
        device: Device,
        watch: Watch | None = None,
    ) -> None:
        self.simulator = Simulator(device.arch, watch or Watch()) if device.arch else None
        self.spec, self.case, self.device = spec, case, device
        self.implementation = implementation.for_case(case)
        self.fenced = writes_outputs(spec, self.implementation.function)
        self._threads = threading.active_count()
        self._inputs: dict[str, FencedTensor] = {}
        self._outputs: dict[str, FencedTensor] = {}
        if self.fenced:
            for output in spec.outputs:
                self._outputs[output.name] = self._fence(
                    spec.shape(output, case), torch_dtype(output, case), "contiguous"
                )

    def call(self, inputs: Inputs, poison: int, inexact: bool = False) -> Call:
        """Refill everything, call the candidate once, and look at what it did.

        inexact: of a simulator, whether transcendental functions are as far off as they may be.

        Raises `CandidateError` for outputs of the wrong count, shape or dtype, and whatever the
        candidate raises.
        """
        call = self.prepare(inputs, poison)
        if self.simulator:
            self.simulator.inexact = inexact
        on_device = simulating(self.simulator) if self.simulator else nullcontext()
        with on_device, nullcontext() if self.fenced else poisoned_allocations(poison):
            returned = call()
        self._synchronize()
        named = name_outputs(self.spec, self.case, self.device, returned)
        mutated, outside = self.find_damage(inputs)
        values = {name: to_numpy(tensor) for name, tensor in named.items()}
        held = {name: find_poison(tensor, poison) for name, tensor in named.items()}
        launches = tuple(self.simulator.take()) if self.simulator else ()
        made = Call(values, held, mutated, outside, launches)
        self._last = (inputs, named, made)
        return made

    def prepare(self, inputs: Inputs, poison: int) -> Callable[[], Any]:
        """Refill everything; the call of the candidate on it, for as often as it is wanted."""
        forget_unwritten()
        arguments = self._lay_out(inputs, poison)
        for tensor in self._outputs.values():
            tensor.fill(None, poison)
        outputs = {name: fenced.tensor for name, fenced in self._outputs.items()}
        return self.implementation.bind(arguments, outputs)

    def bind_stages(self, inputs: Inputs) -> list[BoundStage]:
        """The stages of a candidate that is a pipeline, on what those before each give."""
        return bind_stages(self.implementation.function, self._lay_out(inputs, poison=0))

    def owns(self, tensor: Any) -> bool:
        """Whether a tensor that a candidate returned lies in the memory of an input."""
        place = tensor.untyped_storage().data_ptr()
        return any(place == t.buffer.untyped_storage().data_ptr() for t in self._inputs.values())

    def find_damage(self, inputs: Inputs) -> tuple[Damage, Damage]:
        """What stands elsewhere than it may since the last refill: in inputs, and in outputs."""
        may_write = self.spec.may_write(self.case, inputs)
        kept = {n: t for n, t in self._inputs.items() if n not in self.spec.mutates}
        mutated = _collect({n: (t, False) for n, t in kept.items()})
        outputs = {n: (t, may_write.get(n, True)) for n, t in self._outputs.items()}
        return mutated, _collect(outputs)

    def find_late_writes(self) -> Damage:
        """What changed since the last call returned, once the threads it started have ended.

        A thread that goes on for longer than `THREAD_SECONDS` is not waited for.
        """
        deadline = time.monotonic() + THREAD_SECONDS
        while threading.active_count() > self._threads and time.monotonic() < deadline:
            time.sleep(0.01)
        self._synchronize()
        inputs, named, made = self._last
        mutated, outside = self.find_damage(inputs)
        late = [d for d in (*mutated, *outside) if d not in (*made.mutated, *made.outside)]
        for name, tensor in named.items():
            changed = np.argwhere(~same_bits(to_numpy(tensor), made.outputs[name]))
            late += [(name, "inside", tuple(map(int, index))) for index in changed[:8]]
        return late

    def _lay_out(self, inputs: Inputs, poison: int) -> dict[str, Any]:
        arguments = dict(inputs)
        for argument in self.spec.inputs:
            values = inputs[argument.name]
            if argument.dtype is None or not isinstance(values, np.ndarray):
                continue
            if argument.name not in self._inputs:
                dtype = torch_dtype(argument, self.case)
                layout = "contiguous" if argument.contiguous else self.case.layout
                self._inputs[argument.name] = self._fence(values.shape, dtype, layout)
            fenced = self._inputs[argument.name]
            fenced.fill(values, poison)
            arguments[argument.name] = fenced.tensor
        return arguments

    def _fence(self, shape: tuple[int, ...], dtype: Any, layout: str) -> FencedTensor:
        pitch = self.spec.row_pitch and self.spec.row_pitch(self.case.sizes)
        return FencedTensor(shape, dtype, layout, self.device.torch_name, pitch)

    def _synchronize(self) -> None:
        if self.device.kind == "gpu":
            import torch

            torch.cuda.synchronize(self.device.index)


def to_numpy(tensor: Any) -> NDArray[Any]:
    """A copy of a tensor's values: float64 for any float dtype, integers as they are."""
    import torch

    values = tensor.detach().resolve_conj().resolve_neg().cpu()
    dtype = torch.float64 if values.is_floating_point() else values.dtype
    return np.asarray(values.to(dtype, copy=True).numpy())


def _collect(tensors: Mapping[str, tuple[FencedTensor, NDArray[np.bool_] | bool]]) -> Damage:
    return [
        (name, words, index)
        for name, (tensor, allowed) in tensors.items()
        for words, index in tensor.find_damage(allowed)
    ]
