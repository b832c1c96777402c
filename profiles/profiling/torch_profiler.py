"""Calls under torch's profiler, in a worker: its trace, and what it amounts to.

A process of its own is fresh where the profiler's library, CUPTI or roctracer, starts in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import Cost, OpSpec
from rocmoe.profiles.environment import list_gpus
from rocmoe.profiles.hardware import load_hardware
from rocmoe.profiles.job import Profiling
from rocmoe.profiles.measuring.floors import Floors
from rocmoe.profiles.measuring.machine import find_machine
from rocmoe.profiles.measuring.timers import Effort, RefusedError
from rocmoe.profiles.profiling.calls import tell_uneven
from rocmoe.profiles.profiling.kernels import list_kernels
from rocmoe.profiles.profiling.preparation import prepare_call, select_device, synchronize
from rocmoe.profiles.profiling.record import ProfileRecord
from rocmoe.profiles.profiling.recording import Setting, make_record
from rocmoe.profiles.profiling.sanity import check_trace
from rocmoe.profiles.profiling.torch_trace import PROCESS, read_torch_trace
from rocmoe.profiles.profiling.trace import Agent, Trace

#: What an empty kernel takes by the same profiler.
EMPTY = Effort(samples=20, least=20, seconds=1.0)
_NOTHING = Cost(bytes_read=0, bytes_written=0, operations=0)


def profile_calls(
    spec: OpSpec,
    case: Case,
    implementation: Implementation,
    device: Device,
    profiling: Profiling,
    export: Callable[[Callable[[], None], Path], None] | None = None,
) -> ProfileRecord:
    """The record of some calls, and their Chrome trace in the file that is asked for.

    export: makes the calls and leaves their trace in a file, as `export_chrome_trace`.  There are
    no kernels in the record where the profiler saw none.  Raises what the implementation raises.
    """
    path = Path(profiling.trace)
    select_device(device)
    call = prepare_call(spec, case, implementation, device)

    def work() -> None:
        for _ in range(profiling.calls):
            call()
        synchronize(device)

    (export or export_chrome_trace)(work, path)
    empty_us = measure_empty(device)
    trace = check_trace(read_torch_trace(path, list_agents()))
    setting = Setting(
        hardware=load_hardware(profiling.hardware) if profiling.hardware else None,
        empty_us=empty_us,
        calls=profiling.calls,
        cost=spec.cost(case),
        version=_find_version(),
        notes=(*profiling.notes, *_tell_launches(trace, profiling.calls)),
    )
    return make_record(trace, list_kernels(trace), setting)


def export_chrome_trace(work: Callable[[], None], path: Path) -> None:
    """Do some work under torch's profiler, and leave what the device did in a file."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiler:
        work()
    profiler.export_chrome_trace(str(path))


@cache
def measure_empty(device: Device) -> float | None:
    """Microseconds of a kernel that does nothing, by torch's profiler; None without a GPU, without
    Triton to compile it, or where the profiler did not see each launch."""
    try:
        floors = Floors(find_machine(device), device, _NOTHING).measure("kernel", 1, None, EMPTY)
    except RefusedError:
        return None
    return median(floors["empty"].samples_us[0]) if "empty" in floors else None


def list_agents() -> list[Agent]:
    """The GPUs as torch counts them, which its profiler does too."""
    return [
        Agent(
            process=PROCESS,
            type="GPU",
            name=gpu.arch.partition(":")[0],
            product=gpu.name,
            of_type=gpu.index,
            cu_count=_count_units(gpu.index),
        )
        for gpu in list_gpus()
    ]


def _count_units(index: int) -> int:
    import torch

    properties: Any = torch.cuda.get_device_properties(index)
    return int(properties.multi_processor_count)


def _tell_launches(trace: Trace, calls: int) -> list[str]:
    """Notes on launches that are missing."""
    if trace.dispatches:
        return tell_uneven(trace.dispatches, calls)
    return [
        f"torch's profiler saw nothing on the device in {calls} calls: they launch nothing, or it "
        "is not permitted to look; see `rocmoe doctor`"
    ]


def _find_version() -> str:
    import torch

    return str(torch.__version__)
