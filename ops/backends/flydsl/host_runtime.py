"""The GPU runtime that a launcher of FlyDSL calls, recording launches instead of making them.

A launcher is compiled to host code, which loads a code object, works out the grid and lays out the
arguments through a few functions of C: ROCm/FlyDSL @11c4174d,
lib/Runtime/ROCm/FlyRocmRuntimeWrappers.cpp and lib/Dialect/Fly/IR/FlyLLVMTranslation.cpp.  These
are the same functions, for a machine with no GPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.codeobject import CodeObject, read_code_object
from rocmoe.ops.gcn.machine.fault import UnsupportedError
from rocmoe.ops.gcn.metadata import Argument

Grid = tuple[int, int, int]

_POINTER, _SIZE, _LENGTH = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_size_t


@dataclass(frozen=True)
class HostLaunch:
    """A launch that host code asked for; block: lanes.

    lds_bytes: those added to the kernel's own.  arguments: where each lies in the kernarg segment,
    with its bytes; a pointer is an address of this process.
    """

    code: CodeObject
    kernel: str
    grid: Grid
    block: Grid
    lds_bytes: int
    arguments: tuple[tuple[Argument, bytes], ...]


class HostRuntime:
    """The functions by name, for as long as host code may call them, and what they were told."""

    def __init__(self) -> None:
        self._modules: list[CodeObject] = []
        self._functions: list[tuple[CodeObject, str]] = []
        self._launches: list[HostLaunch] = []
        self._errors: list[BaseException] = []
        self.functions: Mapping[str, Any] = {
            "mgpuModuleLoad": self._export(self._load, _POINTER, _POINTER, _LENGTH),
            "mgpuModuleUnload": self._export(_ignore, None, _POINTER),
            "mgpuModuleGetFunction": self._export(
                self._get_function, _POINTER, _POINTER, ctypes.c_char_p
            ),
            "mgpuLaunchKernel": self._export(
                self._launch, None, _POINTER, *(_SIZE,) * 6, ctypes.c_int32, *(_POINTER,) * 3,
                _LENGTH,
            ),
            "mgpuStreamCreate": self._export(_ignore, _POINTER),
            "mgpuStreamDestroy": self._export(_ignore, None, _POINTER),
            "mgpuStreamSynchronize": self._export(_ignore, None, _POINTER),
        }  # fmt: skip

    def take(self) -> list[HostLaunch]:
        """The launches since this was last asked, in order; raises what one of them met first."""
        launches, self._launches = self._launches, []
        errors, self._errors = self._errors, []
        if errors:
            raise errors[0]
        return launches

    def _export(self, function: Callable[..., Any], returns: Any, *takes: Any) -> Any:
        """A function that C can call; what it raises is kept, as no caller there could see it."""

        @wraps(function)
        def call(*given: Any) -> Any:
            try:
                return function(*given)
            except BaseException as error:
                self._errors.append(error)
                return None

        return ctypes.CFUNCTYPE(returns, *takes)(call)

    def _load(self, data: int, size: int) -> int:
        code = read_code_object(ctypes.string_at(data, size), "code of FlyDSL")
        self._modules.append(replace(code, file=f"{code.kernels[0].name}.hsaco"))
        return len(self._modules)

    def _get_function(self, module: int | None, name: bytes) -> int:
        if module is None:
            raise RocmoeError(f"kernel {name.decode()} is of a code object that was not loaded")
        self._functions.append((self._modules[module - 1], name.decode()))
        return len(self._functions)

    def _launch(self, function: int | None, *given: int) -> None:
        if function is None:
            return  # why it was not found is known already
        code, name = self._functions[function - 1]
        *sizes, lds_bytes, _, parameters, _, count = given
        arguments = _list_arguments(code, name)
        if len(arguments) != count:
            raise UnsupportedError(
                f"{name} is launched with {count} arguments; its code object has {len(arguments)}"
            )
        addresses = (_POINTER * count).from_address(parameters) if count else ()
        values = [
            (argument, ctypes.string_at(address, argument.size))
            for argument, address in zip(arguments, addresses, strict=True)
        ]
        grid, block = (sizes[0], sizes[1], sizes[2]), (sizes[3], sizes[4], sizes[5])
        self._launches.append(HostLaunch(code, name, grid, block, lds_bytes, tuple(values)))


def _list_arguments(code: CodeObject, name: str) -> list[Argument]:
    """Those that a caller gives."""
    metadata = next((each.metadata for each in code.kernels if each.name == name), None)
    if metadata is None:
        raise RocmoeError(f"{code.file} has no metadata of a kernel {name}")
    return [argument for argument in metadata.arguments if not argument.is_hidden]


def _ignore(*given: Any) -> None:
    """Streams are one here, and what is loaded stays."""
