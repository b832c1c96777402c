"""The program that runs one case of one backend under a profiler, and nothing else.

    python -m rocmoe.profiles.profiling.child CASE SELECTOR DEVICE CALLS

The inputs are drawn and laid out and the kernels compiled before the calls to look at.  An empty
kernel is launched ahead of these, by which `calls.keep_calls` tells them from all others, and a
marker surrounds them where torch has the GPU's library of markers, for people who look at the
trace.  What they answer is not judged here.
Exit codes: 0, or 2 after one line on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rocmoe.ops.core.backend import load_backend, split_selector
from rocmoe.ops.core.case import Case, parse_case
from rocmoe.ops.core.device import Device, parse_device
from rocmoe.ops.core.errors import RocmoeError, describe_error
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import OpSpec, load_op
from rocmoe.profiles.measuring.flush import can_stream
from rocmoe.profiles.measuring.side_work import make_marker
from rocmoe.profiles.profiling.calls import DELIMITERS
from rocmoe.profiles.profiling.preparation import prepare_call, select_device, synchronize
from rocmoe.profiles.profiling.rocprofv3_outcome import CHILD_PREFIX

#: The message of the range around the calls to look at.
MARKER = "rocmoe calls"
MODULE = "rocmoe.profiles.profiling.child"


def build_child_command(case_id: str, selector: str, device: str, calls: int) -> list[str]:
    """The command line of this program, for a profiler to run."""
    return [sys.executable, "-m", MODULE, case_id, selector, device, str(calls)]


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments name; the exit code."""
    try:
        case, selector, device, calls = _parse(arguments)
        run_case(case, selector, device, calls)
    except RocmoeError as error:
        return _fail(str(error))
    except Exception as error:  # whatever the implementation raises
        return _fail(f"{describe_error(error)}; see what `rocmoe validate` says of it")
    return 0


def run_case(case: Case, selector: str, device: Device, calls: int) -> None:
    """Make so many calls of an implementation, warmed up, between the markers.

    Chooses the device for the whole process.  Raises `RocmoeError` where the implementation cannot
    run, and what it raises.
    """
    spec = load_op(case.op)
    implementation = find_implementation(spec, case, selector, device)
    spec = implementation.restate(spec, case)
    select_device(device)
    call = prepare_call(spec, case, implementation, device)
    delimit(device)
    with mark(device):
        for _ in range(calls):
            call()
        synchronize(device)


def find_implementation(spec: OpSpec, case: Case, selector: str, device: Device) -> Implementation:
    """An implementation that takes the case on the device; `RocmoeError` with why there is none."""
    if device.kind == "sim":
        raise RocmoeError(f"{device} has no profiler; `rocmoe bench --device {device}` counts")
    name, variant = split_selector(selector)
    backend = load_backend(name)
    if absence := backend.find_absence() or device.find_absence():
        raise RocmoeError(absence)
    implementation = backend.find(spec, variant)
    if implementation is None:
        raise RocmoeError(f"{name} has no {spec.name}; see `rocmoe list backends`")
    if absence := implementation.find_absence():
        raise RocmoeError(absence)
    if refusal := implementation.find_refusal(case, device):
        raise RocmoeError(f"{selector} refuses {case.id}: {refusal}")
    return implementation


def delimit(device: Device) -> None:
    """Launch the empty kernel ahead of the calls, where there is Triton to compile it."""
    if can_stream(device):
        launch_empty = make_marker(device)
        for _ in range(DELIMITERS):
            launch_empty()
        synchronize(device)


@contextmanager
def mark(device: Device) -> Iterator[None]:
    """A range of the profiler's markers: torch calls roctx by the name of nvtx on ROCm.

    Nothing where torch was built without it, or its library is missing.
    """
    markers = _push(device)
    try:
        yield
    finally:
        if markers is not None:
            markers.range_pop()


def _push(device: Device) -> Any | None:
    """Begin the range; the library that can end it, None where there is none."""
    if device.kind != "gpu":
        return None
    import torch

    markers: Any = torch.cuda.nvtx
    try:
        markers.range_push(MARKER)
    except (RuntimeError, OSError, AttributeError):
        return None
    return markers


def _parse(arguments: Sequence[str]) -> tuple[Case, str, Device, int]:
    if len(arguments) != 4:
        raise RocmoeError(f"found {len(arguments)} arguments, wanted CASE SELECTOR DEVICE CALLS")
    case, selector, device, calls = arguments
    if not calls.isdecimal() or int(calls) < 1:
        raise RocmoeError(f"calls {calls!r}: wanted a whole number of at least 1")
    return parse_case(case), selector, parse_device(device), int(calls)


def _fail(reason: str) -> int:
    # One line, whatever the message of a foreign exception holds; the driver knows it by its start.
    print(f"{CHILD_PREFIX}{' '.join(reason.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
