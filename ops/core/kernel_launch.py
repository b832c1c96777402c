"""A launch file with its code: from what names stand for to the launch that a simulator runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.arithmetic import Expression, Scope
from rocmoe.ops.core.case import Value
from rocmoe.ops.core.element_types import encode, integer_limits, is_float
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.guard import FencedTensor
from rocmoe.ops.core.kernarg import LDS_BYTES, MOST_LANES, view_storage
from rocmoe.ops.core.launch import active_executor
from rocmoe.ops.core.launch_file import BoundArgument, LaunchFile, read_launch_file
from rocmoe.ops.core.simulator import Simulator
from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.codeobject import read_code_object
from rocmoe.ops.gcn.disassembly import disassemble
from rocmoe.ops.gcn.machine.launch import Launch, Slot, Tensor
from rocmoe.ops.gcn.machine.lowering import Steps
from rocmoe.ops.gcn.program import Kernel, Program

NULL = bytes(8)


@dataclass(frozen=True)
class LoadedKernel:
    """A launch file, and the kernel that it launches."""

    file: LaunchFile
    program: Program
    kernel: Kernel
    _poisons: itertools.cycle[int] = field(default_factory=lambda: itertools.cycle((0, 1)))

    @property
    def arch(self) -> str:
        return self.program.target.architecture

    @cached_property
    def steps(self) -> Steps:
        return Steps(self.program)

    @cached_property
    def declared_kernarg_bytes(self) -> int | None:
        """What the code says of its kernarg segment, None where it says nothing."""
        if self.kernel.metadata:
            return self.kernel.metadata.kernarg_segment_size
        return self.kernel.descriptor.kernarg_size or None

    def run(self, values: Mapping[str, Value], tensors: Mapping[str, Tensor | None]) -> None:
        """Run the kernel in the simulator that is active; tensors are changed in place.

        tensors: by the names that the file binds; None is a null pointer.  Nothing runs on a grid
        of no workgroups.  Raises RocmoeError where no simulator is active or the launch cannot be.
        """
        executor = active_executor()
        if not isinstance(executor, Simulator):
            raise RocmoeError(
                f"{self.file.path} runs in the simulator alone; wanted --device sim:{self.arch}"
            )
        present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        launch = self._make_launch(Scope(values, present), tensors)
        if launch.workgroups:
            executor.run(self.program, self.kernel, launch, self.steps)

    def _make_launch(self, scope: Scope, tensors: Mapping[str, Tensor | None]) -> Launch:
        poison = next(self._poisons)
        slots = [
            Slot(argument.offset, self._make_value(argument, scope, tensors, poison))
            for argument in self.file.arguments
        ]
        if self.file.kernarg_bytes is not None:
            slots.append(Slot(self.file.kernarg_bytes, b""))
        grid = self._count_all("grid", self.file.grid, scope)
        block = self._count_all("block", self.file.block, scope)
        lds_bytes = self._count("lds_bytes", self.file.lds_bytes, scope)
        self._check_limits(block, lds_bytes)
        return Launch(grid, block, tuple(slots), lds_bytes)

    def _make_value(
        self,
        argument: BoundArgument,
        scope: Scope,
        tensors: Mapping[str, Tensor | None],
        poison: int,
    ) -> bytes | Tensor:
        if argument.tensor is not None:
            if argument.tensor not in tensors:
                raise self.file.error(argument.key, f"{argument.tensor} is no tensor in this case")
            return tensors[argument.tensor] or NULL
        if argument.workspace is not None:
            size = self._count(argument.key, argument.workspace, scope)
            return _make_workspace(argument.key, size, poison)
        assert argument.value is not None
        try:
            return pack(argument.value.evaluate(scope), argument.type)
        except RocmoeError as error:
            raise self.file.error(argument.key, str(error)) from None

    def _count_all(
        self, key: str, sizes: tuple[Expression, ...], scope: Scope
    ) -> tuple[int, int, int]:
        x, y, z = (*(self._count(key, size, scope) for size in sizes), 1, 1)[:3]
        return x, y, z

    def _count(self, key: str, expression: Expression, scope: Scope) -> int:
        try:
            return expression.evaluate_count(scope)
        except RocmoeError as error:
            raise self.file.error(key, str(error)) from None

    def _check_limits(self, block: tuple[int, int, int], lds_bytes: int) -> None:
        lanes = block[0] * block[1] * block[2]
        metadata = self.kernel.metadata
        most = (metadata and metadata.max_flat_workgroup_size) or MOST_LANES
        if not 0 < lanes <= most:
            raise self.file.error("block", f"found {lanes} lanes, wanted 1 to {most}")
        lds = self.kernel.descriptor.group_segment_fixed_size + lds_bytes
        if lds > LDS_BYTES[self.arch]:
            wanted = f"{self.arch} has {LDS_BYTES[self.arch]}"
            raise self.file.error("lds_bytes", f"found {lds} bytes with the kernel's own; {wanted}")


def load_kernel(path: Path, code: Path | None = None) -> LoadedKernel:
    """The kernel that a launch file launches; code: other code than it names.

    Raises RocmoeError for a file, a kernel or a kernarg size that does not fit.
    """
    file = read_launch_file(path, code)
    program = read_code(file.code)
    loaded = LoadedKernel(file, program, program.kernel(file.symbol))
    _check_kernarg(loaded)
    return loaded


def read_code(path: Path) -> Program:
    """The program in an assembly file or a code object.  Raises RocmoeError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RocmoeError(f"code {path} cannot be read: {error.strerror}") from None
    if b"\0" in data:
        return disassemble(read_code_object(data, str(path)))
    try:
        return read_program(data.decode("utf-8"), str(path))
    except UnicodeDecodeError:
        raise RocmoeError(f"{path} is neither assembly text nor a code object") from None


def _check_kernarg(loaded: LoadedKernel) -> None:
    file, declared = loaded.file, loaded.declared_kernarg_bytes
    if declared is not None and file.kernarg_bytes not in (None, declared):
        raise file.error(
            "kernarg_bytes",
            f"found {file.kernarg_bytes}, the code of {loaded.kernel.name} says {declared}",
        )
    limit = file.kernarg_bytes if declared is None else declared
    for argument in file.arguments:
        end = argument.offset + argument.size
        if limit is not None and end > limit:
            raise file.error(
                argument.key,
                f"found offset {argument.offset} of {argument.size} bytes, past the {limit} bytes "
                f"of kernarg of {loaded.kernel.name}",
            )


def view_tensor(name: str, tensor: Any, memories: dict[int, NDArray[np.uint8]]) -> Tensor:
    """A torch CPU tensor, whose memory is shared; memories: the storages seen so far."""
    storage = tensor.untyped_storage()
    memory = memories.setdefault(storage.data_ptr(), view_storage(tensor))
    size = tensor.element_size()
    offset = tensor.storage_offset() * size
    return Tensor(name, memory, offset, tuple(tensor.shape), tuple(tensor.stride()), size)


def pack(value: Value, kind: str) -> bytes:
    """A scalar as the bytes of one of `element_types.SCALARS`.  Raises RocmoeError."""
    if value is None or isinstance(value, str):
        raise RocmoeError(f"found {value!r}, wanted a number of type {kind}")
    if not is_float(kind):
        least, greatest = integer_limits(kind)
        if value != value // 1 or not least <= value <= greatest:
            raise RocmoeError(f"found {value!r}, wanted a whole number that fits {kind}")
        value = int(value)
    return encode([value], kind).tobytes()


def _make_workspace(name: str, size: int, poison: int) -> Tensor:
    import torch

    fenced = FencedTensor((-(-size // 4),), torch.int32, "contiguous", "cpu")
    fenced.fill(None, poison)
    whole = view_tensor(name, fenced.tensor, {})
    return Tensor(name, whole.memory, whole.offset, (size,), (1,), 1)
