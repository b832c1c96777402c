"""From the arguments of a Triton launch to what the simulator is given: a `Launch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.compilation import CompiledKernel, Parameter
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.machine.launch import Launch, Slot, Tensor

#: Bytes of LDS that a workgroup can have, and lanes (AMD, CDNA 2, 3 and 4 ISA reference guides).
LDS_BYTES: Mapping[str, int] = {"gfx90a": 65536, "gfx942": 65536, "gfx950": 163840}
MOST_LANES = 1024

_FLOATS = {"fp16": "<f2", "fp32": "<f4", "fp64": "<f8"}


def make_launch(
    compiled: CompiledKernel, grid: tuple[int, int, int], arguments: Mapping[str, Any]
) -> Launch:
    """The launch of a kernel on torch CPU tensors, whose memory it shares.

    Raises RocmoeError where a GPU could not launch it either, or an argument is not on the CPU.
    """
    _check_limits(compiled)
    memories: dict[int, NDArray[np.uint8]] = {}
    slots = tuple(
        Slot(parameter.offset, _make_value(compiled, parameter, arguments, memories))
        for parameter in compiled.parameters
    )
    return Launch(grid=grid, block=compiled.block, slots=slots, lds_bytes=compiled.lds_bytes)


def _check_limits(compiled: CompiledKernel) -> None:
    lds, lanes = LDS_BYTES.get(compiled.arch, 0), compiled.block[0]
    if compiled.lds_bytes > lds:
        raise RocmoeError(
            f"{compiled.name} wants {compiled.lds_bytes} bytes of LDS; {compiled.arch} has {lds}"
        )
    if lanes > MOST_LANES:
        raise RocmoeError(f"{compiled.name} has {lanes} lanes a workgroup; at most {MOST_LANES}")
    if compiled.global_scratch_bytes:
        raise RocmoeError(
            f"{compiled.name} wants {compiled.global_scratch_bytes} bytes of global scratch, which "
            "the simulator does not give"
        )


def _make_value(
    compiled: CompiledKernel,
    parameter: Parameter,
    arguments: Mapping[str, Any],
    memories: dict[int, NDArray[np.uint8]],
) -> bytes | Tensor:
    value = arguments[parameter.name]
    if not parameter.type.startswith("*"):
        return pack_value(parameter, value)
    if value.device.type != "cpu":
        raise RocmoeError(
            f"argument {parameter.name!r} of {compiled.name} is on {value.device}; the simulator "
            "reads CPU tensors"
        )
    memory = view_storage(value)
    if memory.size:
        memory = memories.setdefault(value.untyped_storage().data_ptr(), memory)
    size = value.element_size()
    return Tensor(
        name=parameter.name,
        memory=memory,
        offset=value.storage_offset() * size,
        shape=tuple(value.shape),
        strides=tuple(value.stride()),
        itemsize=size,
    )


def view_storage(tensor: Any) -> NDArray[np.uint8]:
    """All bytes of the storage that a torch CPU tensor is a view of, shared with it."""
    import torch

    octets = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
    return np.asarray(octets.numpy())


def pack_value(parameter: Parameter, value: Any) -> bytes:
    """A scalar argument as the bytes of its slot, as Triton's launcher packs it."""
    if parameter.type == "bf16":
        return np.asarray(value, "<f4").tobytes()[2:]
    if parameter.type in _FLOATS:
        with np.errstate(over="ignore"):
            return np.asarray(value).astype(_FLOATS[parameter.type]).tobytes()
    return int(value).to_bytes(parameter.size, "little", signed=parameter.type.startswith("i"))
