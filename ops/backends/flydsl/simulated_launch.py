"""A launch of FlyDSL's host code, run in the simulator on the memory of torch CPU tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.backends.flydsl.host_runtime import HostLaunch
from rocmoe.ops.core.errors import CandidateError, RocmoeError
from rocmoe.ops.core.kernel_launch import NULL, view_tensor
from rocmoe.ops.core.simulator import Simulator
from rocmoe.ops.gcn.codeobject import read_code_object
from rocmoe.ops.gcn.disassembly import disassemble
from rocmoe.ops.gcn.machine.fault import UnsupportedError
from rocmoe.ops.gcn.machine.launch import Launch, Slot
from rocmoe.ops.gcn.machine.lowering import Steps
from rocmoe.ops.gcn.metadata import Argument
from rocmoe.ops.gcn.program import Program

#: Of a grid, along each axis: hipModuleLaunchKernel takes unsigned numbers, of lanes in all.
MOST_WORKGROUPS = 2**31 - 1


def simulate(
    launch: HostLaunch,
    arguments: Sequence[Any],
    simulator: Simulator,
    names: Mapping[int, str],
) -> None:
    """Run a launch whose pointers are those of torch CPU tensors among the arguments of a call.

    Raises UnsupportedError for any other pointer, CandidateError for a grid that HIP refuses.
    """
    import torch

    if max(launch.grid) > MOST_WORKGROUPS:
        raise CandidateError(f"{launch.kernel} is launched on a grid of {max(launch.grid)}")
    # FlyDSL wraps those of a launcher's first call.
    given = [getattr(argument, "torch_tensor", argument) for argument in arguments]
    tensors = {t.data_ptr(): t for t in given if isinstance(t, torch.Tensor)}
    memories: dict[int, NDArray[np.uint8]] = {}

    def make_slot(number: int, argument: Argument, value: bytes) -> Slot:
        if argument.value_kind != "global_buffer":
            return Slot(argument.offset, value)
        address = int.from_bytes(value, "little")
        if not address:
            return Slot(argument.offset, NULL)
        if address not in tensors:
            raise UnsupportedError(
                f"argument {number} of {launch.kernel} points to none of the tensors of the call"
            )
        name = names.get(address) or argument.name or f"argument {number}"
        return Slot(argument.offset, view_tensor(name, tensors[address], memories))

    slots = [make_slot(number, *given) for number, given in enumerate(launch.arguments)]
    made = Launch(launch.grid, launch.block, tuple(slots), launch.lds_bytes)
    program = _disassemble(launch.code.data, launch.code.file)
    steps = _lower(launch.code.data, launch.code.file, simulator.inexact)
    if made.workgroups:
        simulator.run(program, program.kernel(launch.kernel), made, steps)


@lru_cache(maxsize=64)
def _disassemble(data: bytes, file: str) -> Program:
    """A program once read serves all launches of the same code."""
    try:
        return disassemble(read_code_object(data, file))
    except RocmoeError as error:  # no llvm-objdump here that knows the architecture
        raise UnsupportedError(str(error)) from None


@lru_cache(maxsize=64)
def _lower(data: bytes, file: str, inexact: bool) -> Steps:
    return Steps(_disassemble(data, file), inexact)
