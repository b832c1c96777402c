"""From a trace to what is written down: metrics, places under the roof and diagnoses of kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rocmoe.ops.core.spec import Cost
from rocmoe.profiles.hardware import Hardware
from rocmoe.profiles.profiling.diagnosis import (
    Diagnosis,
    Evidence,
    diagnose,
    find_roofline,
    gather_evidence,
)
from rocmoe.profiles.profiling.kernels import Kernel
from rocmoe.profiles.profiling.metrics import METRICS, Answer, find_metric
from rocmoe.profiles.profiling.occupancy import Filled, find_filled
from rocmoe.profiles.profiling.record import (
    DiagnosisRecord,
    KernelRecord,
    MetricRecord,
    ProfileRecord,
    RooflineRecord,
)
from rocmoe.profiles.profiling.trace import Trace


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What no trace tells.

    hardware: whose peaks count.  empty_us: of a kernel that does nothing, by the same profiler.
    calls: that all launches of the trace are of, None for a whole program.  cost: of one call.
    version: of the tool.
    """

    hardware: Hardware | None = None
    empty_us: float | None = None
    calls: int | None = None
    cost: Cost | None = None
    version: str = ""
    notes: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


def make_record(trace: Trace, kernels: Sequence[Kernel], setting: Setting) -> ProfileRecord:
    """The record of some kernels of a trace."""
    arch = find_arch(kernels, setting.hardware)
    launches = sum(_count_launches(kernel) for kernel in kernels)
    # What the op has to move is known of a call, so of a kernel only where it is the whole call.
    alone = setting.cost if setting.calls and launches == setting.calls else None
    records = [_record_kernel(kernel, arch, setting, alone) for kernel in kernels]
    return ProfileRecord(
        tool=trace.tool,
        version=setting.version,
        form=trace.form,
        calls=setting.calls,
        hardware=setting.hardware.name if setting.hardware else None,
        empty_us=setting.empty_us,
        kernels=records,
        roofline=_place_call(records, setting),
        notes=[*trace.notes, *setting.notes],
        commands=[list(command) for command in setting.commands],
    )


def find_arch(kernels: Sequence[Kernel], hardware: Hardware | None) -> str | None:
    """Of the GPU: as the trace says, or that of the hardware named."""
    told = {kernel.agent.name for kernel in kernels if kernel.agent}
    if len(told) == 1:
        return told.pop()
    return hardware.arch if hardware else None


def _count_launches(kernel: Kernel) -> int:
    """Those of the run that was timed, or of all where none was."""
    timed = sum(not launch.counted for launch in kernel.launches)
    return timed or len(kernel.launches)


def _record_kernel(
    kernel: Kernel, arch: str | None, setting: Setting, cost: Cost | None
) -> KernelRecord:
    hardware, launches = setting.hardware, _count_launches(kernel)
    answers = find_answers(kernel, arch, hardware)
    filled = find_filled(kernel, arch, hardware) or Filled(0.0)
    evidence = _gather(kernel, answers, setting, cost)
    judged = diagnose(evidence, hardware) if evidence and hardware else None
    return KernelRecord(
        name=kernel.name,
        short=kernel.short,
        launches=launches,
        a_call=launches / setting.calls if setting.calls else None,
        durations_ns=list(kernel.durations_ns),
        counted_ns=list(kernel.counted_ns),
        blocks=kernel.blocks,
        lanes=kernel.lanes,
        lds_bytes=kernel.lds_bytes,
        scratch_bytes=kernel.scratch_bytes,
        vgprs=kernel.vgprs,
        agprs=kernel.accum_vgprs,
        total_vgprs=kernel.total_vgprs,
        sgprs=kernel.sgprs,
        occupancy=filled.percent or None,
        limited_by=list(filled.limited_by),
        agent=kernel.agent.name if kernel.agent else None,
        counts=dict(kernel.counts),
        metrics=[MetricRecord(a.metric, a.unit, a.value, a.reason) for a in answers],
        roofline=_place(evidence, hardware),
        diagnosis=_record_diagnosis(judged) if judged else None,
    )


def _record_diagnosis(found: Diagnosis) -> DiagnosisRecord:
    return DiagnosisRecord(found.kind, found.line, dict(found.numbers), list(found.missing))


def find_answers(kernel: Kernel, arch: str | None, hardware: Hardware | None) -> list[Answer]:
    """Every metric, of a kernel of which counters were collected."""
    if not kernel.counts or arch is None:
        return []
    parameters = kernel.find_parameters(hardware)
    return [find_metric(name, arch, kernel.counts, parameters) for name in METRICS]


def _gather(
    kernel: Kernel, answers: Sequence[Answer], setting: Setting, cost: Cost | None
) -> Evidence | None:
    """None for a kernel that was not timed."""
    if not kernel.median_ns:
        return None
    counted = any(each.metric == "fabric_bytes" and each.value is not None for each in answers)
    least = None if counted else cost
    return gather_evidence(
        kernel.median_ns / 1e3,
        answers,
        empty_us=setting.empty_us,
        moved_bytes=_count_bytes(least),
        operations=least.operations if least else None,
        workgroups=kernel.blocks,
    )


def _count_bytes(cost: Cost | None) -> float | None:
    return None if cost is None else float(cost.bytes_read + cost.bytes_written)


def _place_call(kernels: Sequence[KernelRecord], setting: Setting) -> RooflineRecord | None:
    """Of all kernels of a call, what they took added up; None where one of them was not timed."""
    times = [(kernel.a_call, kernel.median_us) for kernel in kernels]
    if setting.cost is None or not times:
        return None
    total = 0.0
    for a_call, us in times:
        if a_call is None or us is None:
            return None
        total += a_call * us
    moved, operations = _count_bytes(setting.cost), setting.cost.operations
    evidence = Evidence(time_us=total, moved_bytes=moved, operations=operations, at_least=True)
    return _place(evidence, setting.hardware)


def _place(evidence: Evidence | None, hardware: Hardware | None) -> RooflineRecord | None:
    if evidence is None or (evidence.moved_bytes is None and evidence.operations is None):
        return None
    return RooflineRecord(
        time_us=evidence.time_us,
        at_least=evidence.at_least,
        moved_bytes=evidence.moved_bytes,
        operations=evidence.operations,
        **asdict(find_roofline(evidence, hardware)),
    )
