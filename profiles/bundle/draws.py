"""Inputs of a bundle: each tensor's storage as it lies in memory, with what makes a view of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.implementation import Implementation, torch_dtype
from rocmoe.ops.core.spec import Inputs, OpSpec
from rocmoe.ops.core.workbench import Workbench, to_numpy


def lay_out(spec: OpSpec, case: Case, inputs: Inputs) -> dict[str, Any]:
    """The arguments of a call as an implementation is given them on the CPU."""
    seen: dict[str, Any] = {}

    def take(**arguments: Any) -> None:
        seen.update(arguments)

    taking = Implementation(spec.name, "bundle", take)
    Workbench(spec, case, taking, Device("cpu")).prepare(inputs, poison=0)()
    return seen


def record_draw(spec: OpSpec, case: Case, inputs: Inputs) -> tuple[dict[str, Any], bytes]:
    """Inputs as a record (JSON) of views and scalars, and as safetensors: a storage a tensor.

    A storage is flat, in the argument's dtype, with the poison around and between the rows.
    """
    import safetensors.torch
    import torch

    storages, tensors, values = {}, {}, {}
    for name, value in lay_out(spec, case, inputs).items():
        if not isinstance(value, torch.Tensor):
            values[name] = value.item() if hasattr(value, "item") else value
            continue
        storages[name] = torch.empty(0, dtype=value.dtype).set_(value.untyped_storage())
        tensors[name] = {
            "shape": list(value.shape),
            "stride": list(value.stride()),
            "offset": value.storage_offset(),
        }
    record = {"case": case.id, "tensors": tensors, "values": values}
    return record, safetensors.torch.save(storages)


def read_draw(spec: OpSpec, case: Case, record: Mapping[str, Any], content: bytes) -> Inputs:
    """The inputs that `record_draw` wrote; `RocmoeError` where they are not the op's.

    They are those of a case whose layout this version lays out as the one that wrote them.
    """
    import safetensors.torch

    storages = safetensors.torch.load(content)
    tensors, values = record["tensors"], record["values"]
    wanted = {argument.name: argument for argument in spec.inputs}
    names = {*tensors, *values}
    if strange := sorted(names ^ set(wanted)):
        raise RocmoeError(f"inputs of {case.id}: {strange[0]!r} is missing, or not one of the op's")
    if set(storages) != set(tensors) or set(tensors) & set(values):
        raise RocmoeError(f"inputs of {case.id}: the tensors stored are not those listed")
    inputs: Inputs = {}
    for name, argument in wanted.items():
        if name in values:
            inputs[name] = values[name]
            continue
        shape = spec.shape(argument, case)
        if argument.dtype is None or storages[name].dtype != torch_dtype(argument, case):
            raise RocmoeError(f"inputs of {case.id}: {name} is {storages[name].dtype}")
        inputs[name] = to_numpy(_view(name, storages[name], tensors[name], shape))
    for name, tensor in lay_out(spec, case, inputs).items():
        laid = name in tensors and (list(tensor.stride()), tensor.storage_offset())
        if laid and laid != (tensors[name]["stride"], tensors[name]["offset"]):
            raise RocmoeError(
                f"inputs of {case.id}: {name} was laid out with stride {tensors[name]['stride']}, "
                f"this version of rocmoe does with {laid[0]}"
            )
    return inputs


def _view(name: str, storage: Any, record: Mapping[str, Any], wanted: tuple[int, ...]) -> Any:
    """A view of a flat storage that stays inside it and holds no element twice."""
    import torch

    shape, stride, offset = record["shape"], record["stride"], record["offset"]
    numbers = [*shape, *stride, offset]
    if tuple(shape) != wanted or len(stride) != len(shape) or min(numbers) < 0:
        raise RocmoeError(f"input {name} has shape {shape} and stride {stride}, wanted {wanted}")
    reach = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) + 1
    count = math.prod(shape)
    if storage.dim() != 1 or count > storage.numel() or (count and reach > storage.numel()):
        raise RocmoeError(f"input {name} reaches past its {storage.numel()} stored elements")
    return torch.as_strided(storage, shape, stride, offset)
