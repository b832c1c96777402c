"""A call made ready to be profiled: its inputs laid out, its kernels compiled and chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import OpSpec
from rocmoe.ops.core.workbench import Workbench
from rocmoe.profiles.measuring.machine import WARM_UP_CALLS


def prepare_call(
    spec: OpSpec, case: Case, implementation: Implementation, device: Device
) -> Callable[[], Any]:
    """A call on the first draw, made `WARM_UP_CALLS` times; raises what it raises."""
    bench = Workbench(spec, case, implementation, device)
    call = bench.prepare(draw_inputs(spec, case), poison=0)
    for _ in range(WARM_UP_CALLS):  # the first ones compile and choose kernels, and find memory
        call()
    synchronize(device)
    return call


def synchronize(device: Device) -> None:
    """Wait until a device has nothing left to do."""
    if device.kind == "gpu":
        import torch

        torch.cuda.synchronize(device.index)


def select_device(device: Device) -> None:
    """Make a GPU the one that this process works on, where there is a choice."""
    if device.kind == "gpu":
        import torch

        torch.cuda.set_device(device.index)
