"""What a roofline shows: operations a byte and operations a second, of cases or of kernels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import list_declared, load_op
from rocmoe.profiles.artifact import CACHES, Artifact, Result
from rocmoe.profiles.hardware import Hardware, find_hardware, load_hardware
from rocmoe.profiles.measuring.statistics import find_median
from rocmoe.profiles.plots.curves import choose_timer, find_measurement, label_series
from rocmoe.profiles.profiling.diagnosis import Evidence, Roofline, find_roofline
from rocmoe.profiles.suites import find_axis


@dataclass(frozen=True)
class RoofPoint:
    """A point: `intensity` in operations a byte, `tflops` in 1e12 operations a second.

    series: points of one series look alike.  label: what it is, where it is told apart.  order: of
    the points of a series, as tokens.
    """

    series: str
    label: str
    intensity: float
    tflops: float
    us: float
    order: int = 0


@dataclass(frozen=True)
class RoofChart:
    """Points under the roofs of one GPU.  what: of what the points are; notes: on all of them."""

    hardware: Hardware
    what: str
    points: tuple[RoofPoint, ...]
    notes: tuple[str, ...] = ()


def place_kernel(
    series: str, label: str, evidence: Evidence, hardware: Hardware, order: int = 0
) -> RoofPoint | None:
    """The point of a kernel, or a case; None where its bytes or operations are not known."""
    found: Roofline = find_roofline(evidence, hardware)
    if not found.intensity or not found.tflops:
        return None
    return RoofPoint(series, label, found.intensity, found.tflops, evidence.time_us, order)


def find_roofline_points(artifact: Artifact) -> RoofChart | None:
    """The cases that passed, by what their ops must move and do at least; None where nothing was
    timed, or the hardware has no profile with a peak of FP32.

    By the first timer of the run, warm where it has that.  A time that does not count is no point.
    """
    gpus = artifact.environment.gpus
    hardware = find_hardware(gpus[0].name, gpus[0].arch) if gpus else None
    on_gpu = [result for result in artifact.results if result.device.startswith("gpu")]
    timer = choose_timer(on_gpu)
    if hardware is None or hardware.fp32_tflops is None or timer is None:
        return None
    cache = next(
        cache for cache in CACHES if any(find_measurement(each, timer, cache) for each in on_gpu)
    )
    labels = label_series(on_gpu)
    several_ops = len({result.case.op for result in on_gpu}) > 1
    points = []
    for result in on_gpu:
        taken = find_measurement(result, timer, cache)
        us = find_median(taken.samples_us) if taken and taken.status != "invalid" else None
        if us:
            label = labels[result.selector, result.device]
            parts = [result.case.op, label] if several_ops else [label]
            series = " ".join(parts) if len(labels) > 1 else result.case.op
            points.append(_place_case(result, us, series, hardware))
    notes = ("bytes and operations are the least that the op needs; above the memory roof: caches",)
    found = tuple(point for point in points if point is not None)
    return RoofChart(hardware, f"{timer} timer, {cache}", found, notes) if found else None


def _place_case(result: Result, us: float, series: str, hardware: Hardware) -> RoofPoint | None:
    """The point of a result; None where this version has no such op, and so not its cost."""
    case = result.case
    if case.op not in list_declared():
        return None
    cost = load_op(case.op).cost(parse_case(case.id))
    moved = float(cost.bytes_read + cost.bytes_written)
    evidence = Evidence(time_us=us, moved_bytes=moved, operations=float(cost.operations))
    axis = find_axis(case)
    tokens = case.sizes[axis]
    return place_kernel(series, f"{axis}={tokens}", evidence, hardware, tokens)


def find_profiled_points(artifact: Artifact) -> RoofChart | None:
    """The calls that were profiled, by what their profiles say of bytes and operations; None where
    there is none, or no profile names hardware with a peak of FP32."""
    profiled = [result for result in artifact.results if result.profile and result.profile.hardware]
    names = {result.profile.hardware for result in profiled if result.profile}
    hardware = load_hardware(names.pop() or "") if len(names) == 1 else None
    if hardware is None or hardware.fp32_tflops is None:
        return None
    labels = label_series(profiled)
    points = []
    for result in profiled:
        roof = result.profile.roofline if result.profile else None
        if roof is not None and roof.intensity and roof.tflops:
            name = labels[result.selector, result.device] if len(labels) > 1 else ""
            axis = find_axis(result.case)
            tokens = result.case.sizes[axis]
            points.append(
                RoofPoint(f"{result.case.op} {name}".strip(), f"{axis}={tokens}", roof.intensity,
                          roof.tflops, roof.time_us, tokens)
            )  # fmt: skip
    notes = ("bytes and operations are counted, or else the least that the op needs",)
    return RoofChart(hardware, "profiled calls", tuple(points), notes) if points else None


def list_series(points: Iterable[RoofPoint]) -> dict[str, Sequence[RoofPoint]]:
    """Points by series, each in its order."""
    found: dict[str, list[RoofPoint]] = {}
    for point in points:
        found.setdefault(point.series, []).append(point)
    return {name: sorted(each, key=lambda point: point.order) for name, each in found.items()}
