"""A profile as tables: kernels, what counters amount to, what holds each kernel back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.bench_report import format_us
from rocmoe.profiles.hardware import Hardware, find_hardware, load_hardware
from rocmoe.profiles.profiling.diagnosis import diagnose, gather_evidence
from rocmoe.profiles.profiling.kernels import Kernel, find_kernels, list_kernels
from rocmoe.profiles.profiling.metrics import METRICS, Answer, find_metric
from rocmoe.profiles.profiling.trace import Trace
from rocmoe.profiles.tables.table import Table

KERNELS = (
    "kernel", "launches", "median us", "p99 us", "total us", "share", "blocks", "lanes", "LDS",
    "VGPR", "SGPR", "scratch", "agent",
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """A trace, the kernels of it that are looked at, and the GPU that they ran on, if it is known.

    empty_us: what a kernel that does nothing takes on that GPU, where that was measured.
    """

    trace: Trace
    kernels: Sequence[Kernel]
    hardware: Hardware | None
    empty_us: float | None = None

    @property
    def arch(self) -> str | None:
        """Of the GPU: as the files say, or that of the hardware named."""
        told = {kernel.agent.name for kernel in self.kernels if kernel.agent}
        if len(told) == 1:
            return told.pop()
        return self.hardware.arch if self.hardware else None


def make_view(
    trace: Trace, pattern: str | None, hardware: str | None, empty_us: float | None = None
) -> View:
    """What is to be shown of a trace.

    pattern: of kernels' names.  hardware: a name of `list_hardware`; None for what the files tell.
    Raises `RocmoeError` for a pattern that no kernel has, and for hardware that is not known.
    """
    launches = find_kernels(trace.dispatches, pattern) if pattern else None
    kernels = list_kernels(trace, launches)
    if hardware is not None:
        return View(trace, kernels, load_hardware(hardware), empty_us)
    agents = [kernel.agent for kernel in kernels if kernel.agent]
    found = [find_hardware(agent.product, agent.name) for agent in agents]
    return View(trace, kernels, next((each for each in found if each), None), empty_us)


def list_profile_tables(view: View) -> list[Table]:
    """The kernels with what is not trusted, their metrics where counters were collected, and a line
    a kernel on what holds it back."""
    trace = view.trace
    title = f"{trace.tool} ({trace.form}): {len(trace.dispatches)} launches"
    rows = [_describe(kernel, _add_up(view.kernels)) for kernel in view.kernels]
    tables = [Table(title, KERNELS, rows, notes=tuple(f"note: {note}" for note in trace.notes))]
    counted = [kernel for kernel in view.kernels if kernel.counts]
    if counted and view.arch:
        tables.append(_tabulate_metrics(counted, view.arch, view.hardware))
    if lines := list_diagnoses(view):
        tables.append(Table("What holds each back", ("kernel", "diagnosis"), lines))
    return tables


def list_diagnoses(view: View) -> list[list[str]]:
    """A row a kernel that was timed; none where the hardware is not known."""
    if view.hardware is None:
        return []
    rows = []
    for kernel in view.kernels:
        if kernel.median_ns:
            answers = _answer(kernel, view.arch or "", view.hardware)
            evidence = gather_evidence(kernel.median_ns / 1e3, answers, empty_us=view.empty_us)
            rows.append([kernel.short, diagnose(evidence, view.hardware).line])
    return rows


def check_empty(text: str | None) -> float | None:
    """Microseconds of an empty launch from text; raises `RocmoeError` for what is none."""
    if text is None:
        return None
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) <= 0.0:
        raise RocmoeError(f"--empty {text}: wanted microseconds above 0")
    return float(text)


def _add_up(kernels: Sequence[Kernel]) -> float:
    return sum(sum(kernel.durations_ns) for kernel in kernels) / 1e3


def _describe(kernel: Kernel, all_us: float) -> list[str]:
    times = [ns / 1e3 for ns in kernel.durations_ns]
    total = sum(times)
    blocks = {launch.blocks for launch in kernel.launches}
    return [
        kernel.short,
        str(len(kernel.launches)),
        format_us(float(np.median(times)) if times else None),
        format_us(float(np.percentile(times, 99.0)) if times else None),
        format_us(total if times else None),
        f"{total / all_us:.0%}" if times and all_us else "-",
        _tell(blocks.pop() if len(blocks) == 1 else None),
        _tell(kernel.lanes),
        _tell(kernel.lds_bytes),
        _tell(kernel.total_vgprs if kernel.total_vgprs is not None else kernel.vgprs),
        _tell(kernel.sgprs),
        _tell(kernel.scratch_bytes),
        kernel.agent.name if kernel.agent else "-",
    ]


def _tell(value: int | None) -> str:
    return "-" if value is None else str(value)


def _tabulate_metrics(kernels: Sequence[Kernel], arch: str, hardware: Hardware | None) -> Table:
    """A row a metric that came to something for a kernel, with the reason where it did not."""
    columns = ("metric", "unit", *(kernel.short for kernel in kernels))
    answers = [_answer(kernel, arch, hardware) for kernel in kernels]
    rows = [
        [name, each[0].unit or "-", *(_tell_answer(answer) for answer in each)]
        for name, each in zip(METRICS, zip(*answers, strict=True), strict=True)
        if any(answer.value is not None for answer in each)
    ]
    missing = tuple(
        f"{name}: {each[0].reason}"
        for name, each in zip(METRICS, zip(*answers, strict=True), strict=True)
        if all(answer.value is None for answer in each)
    )
    return Table("What counters amount to, a launch", columns, rows, notes=missing)


def _answer(kernel: Kernel, arch: str, hardware: Hardware | None) -> list[Answer]:
    parameters = kernel.find_parameters(hardware)
    return [find_metric(name, arch, kernel.counts, parameters) for name in METRICS]


def _tell_answer(answer: Answer) -> str:
    return "-" if answer.value is None else f"{answer.value:.4g}"
