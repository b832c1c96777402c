"""An implementation of an op: a function of the canonical signature, in one of two styles."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import CandidateError, RocmoeError, nearest
from rocmoe.ops.core.inputs import TORCH_DTYPES
from rocmoe.ops.core.spec import Argument, OpSpec, no_reason


@dataclass(frozen=True)
class Implementation:
    """Something that computes an op.

    function: takes the op's inputs by their canonical names and returns its outputs in order, or,
    when it also has parameters named like the outputs, writes into those (destination-passing).
    refuses: the reason why a case is not for it, by its own declared limits.
    """

    op: str
    backend: str
    function: Callable[..., Any]
    variant: str = "default"
    devices: tuple[str, ...] = ("cpu", "gpu")
    refuses: Callable[[Case], str | None] = no_reason

    def find_refusal(self, case: Case, device: Device) -> str | None:
        """Why this implementation does not run a case on a device, None when it does."""
        if device.kind not in self.devices:
            return f"{self.backend} does not run on {device}; it runs on {', '.join(self.devices)}"
        return self.refuses(case)

    def find_absence(self) -> str | None:
        """Why there is nothing to call, None when there is; may import a library to look."""
        return None

    def without_guard(self) -> Implementation:
        """The same without the refusals of what a library does not check itself."""
        return self

    def find_overstepped(self, case: Case) -> str | None:
        """The refusal that a case would have met with a guard, None where there is none."""
        del case
        return None

    def restate(self, spec: OpSpec, case: Case) -> OpSpec:
        """The op as the implementation means it, on a case: itself, but for declared deviations."""
        del case
        return spec

    def for_case(self, case: Case) -> Implementation:
        """What is called on a case: itself, unless the call depends on more than its arguments."""
        del case
        return self

    def bind(self, arguments: Mapping[str, Any], outputs: Mapping[str, Any]) -> Callable[[], Any]:
        """A call without arguments; what is made here, ahead of the call, is not timed."""
        return bind_call(self.function, arguments, outputs)


def writes_outputs(spec: OpSpec, function: Callable[..., Any]) -> bool:
    """True when a function is destination-passing, False when it returns the outputs.

    Raises `RocmoeError` for a signature that is neither, naming what is missing or in the way.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise RocmoeError(f"{_name(function)} has no Python signature to call it by") from None
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    outputs = [output.name for output in spec.outputs]
    named = [name for name in outputs if name in parameters]
    if named and len(named) < len(outputs):
        missing = [name for name in outputs if name not in parameters]
        raise RocmoeError(f"{_name(function)} takes {named[0]} to write into, but not {missing[0]}")
    wanted = [argument.name for argument in spec.inputs]
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    usable = {name for name, p in parameters.items() if p.kind in by_name}
    for name in wanted:
        if name not in usable and not takes_any:
            hint = nearest(name, usable - set(wanted) - set(outputs)).replace("nearest", "found")
            signature = ", ".join(wanted)
            raise RocmoeError(
                f"{_name(function)} has no parameter {name!r}{hint}; {spec.name} is called with "
                f"({signature})"
            )
    for name, parameter in parameters.items():
        optional = parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if name not in wanted and name not in outputs and not optional:
            hint = nearest(name, wanted)
            raise RocmoeError(
                f"{_name(function)} wants {name!r}, which {spec.name} does not have{hint}"
            )
    return bool(named)


def name_outputs(spec: OpSpec, case: Case, device: Device, returned: Any) -> dict[str, Any]:
    """A candidate's returned tensors by output name.

    Raises `CandidateError` for a wrong count, type, layout, device, shape or dtype.  An optional
    output of no elements may be None or any empty tensor.
    """
    values = tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)
    if len(values) != len(spec.outputs):
        names = ", ".join(output.name for output in spec.outputs)
        raise CandidateError(
            f"returned {len(values)} output(s), wanted {len(spec.outputs)}: {names}"
        )
    named = {}
    for output, value in zip(spec.outputs, values, strict=True):
        named[output.name] = _check_output(spec, case, device, output, value)
    return named


def _check_output(spec: OpSpec, case: Case, device: Device, output: Argument, value: Any) -> Any:
    import torch

    shape = spec.shape(output, case)
    dtype = torch_dtype(output, case)
    plain = type(value) in (torch.Tensor, torch.nn.Parameter)
    if output.optional and 0 in shape and (value is None or (plain and value.numel() == 0)):
        return torch.empty(shape, dtype=dtype)
    if not plain:
        raise CandidateError(f"{output.name} is a {type(value).__name__}, wanted a torch.Tensor")
    if value.layout != torch.strided:
        raise CandidateError(f"{output.name} has layout {value.layout}, wanted torch.strided")
    if value.device.type != torch.device(device.torch_name).type:
        raise CandidateError(f"{output.name} is on {value.device}, wanted {device.torch_name}")
    if tuple(value.shape) != shape:
        raise CandidateError(f"{output.name} has shape {list(value.shape)}, wanted {list(shape)}")
    if value.dtype != dtype:
        raise CandidateError(f"{output.name} is {value.dtype}, wanted {dtype}")
    return value.detach()


def torch_dtype(argument: Argument, case: Case) -> Any:
    """The torch dtype of one of an op's tensors for a case."""
    import torch

    assert argument.dtype is not None
    name = case.dtype if argument.dtype == "case" else argument.dtype
    return getattr(torch, TORCH_DTYPES[name])


def bind_call(
    function: Callable[..., Any], arguments: Mapping[str, Any], outputs: Mapping[str, Any]
) -> Callable[[], Any]:
    """A call without arguments; `outputs` is empty unless the function writes into them."""

    def call() -> Any:
        returned = function(**arguments, **outputs)
        return tuple(outputs.values()) if outputs else returned

    return call


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
