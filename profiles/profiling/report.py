"""Profiles as tables, from their records alone: kernels, how far a call is from the roofline, what
counters amount to, what holds each kernel back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.profiles.artifact import Artifact
from rocmoe.profiles.bench_report import describe_shape, format_us
from rocmoe.profiles.hardware import Hardware, find_hardware, load_hardware
from rocmoe.profiles.profiling.kernels import find_kernels, list_kernels, match_names
from rocmoe.profiles.profiling.metrics import NOT_COLLECTED
from rocmoe.profiles.profiling.record import KernelRecord, MetricRecord, ProfileRecord
from rocmoe.profiles.profiling.recording import Setting, make_record
from rocmoe.profiles.profiling.trace import Trace
from rocmoe.profiles.tables.table import Table

#: What stands in front of the rows of several profiles.
LABELS = ("op", "shape", "backend")


@dataclass(frozen=True)
class Profile:
    """A record, and the cells that tell it from others: those of `LABELS`, none of a lone one.

    shown: the kernels to tell of; what is of a whole call is of all others too.
    """

    labels: tuple[str, ...]
    record: ProfileRecord
    shown: tuple[KernelRecord, ...]


@dataclass(frozen=True)
class _Row:
    """A kernel, and the time of all kernels of its profile."""

    kernel: KernelRecord
    all_us: float


def view_trace(
    trace: Trace, pattern: str | None, hardware: str | None, empty_us: float | None = None
) -> ProfileRecord:
    """The record of what a profiler wrote elsewhere.

    pattern: of kernels' names.  hardware: a name of `list_hardware`; None for what the files tell.
    Raises `RocmoeError` for a pattern that no kernel has, and for hardware that is not known.
    """
    launches = find_kernels(trace.dispatches, pattern) if pattern else None
    kernels = list_kernels(trace, launches)
    found: Hardware | None
    if hardware is not None:
        found = load_hardware(hardware)
    else:
        agents = [kernel.agent for kernel in kernels if kernel.agent]
        known = [find_hardware(agent.product, agent.name) for agent in agents]
        found = next((each for each in known if each), None)
    return make_record(trace, kernels, Setting(hardware=found, empty_us=empty_us))


def list_artifact_tables(artifact: Artifact, pattern: str | None = None) -> list[Table]:
    """The profiles of a run; none where nothing was profiled.

    pattern: of the kernels to show.  Raises `RocmoeError` where no kernel has it.
    """
    profiles = [
        make_profile(
            result.profile,
            (result.case.op, describe_shape(artifact, result.case), result.selector),
        )
        for result in artifact.results
        if result.profile is not None
    ]
    return list_tables(profiles if pattern is None else choose_kernels(profiles, pattern))


def list_run_tables(artifact: Artifact, pattern: str | None = None) -> list[Table]:
    """As `list_artifact_tables`, of a run that just ended: where no kernel has the pattern all are
    shown, and that is noted."""
    try:
        return list_artifact_tables(artifact, pattern)
    except RocmoeError as error:
        first, *rest = list_artifact_tables(artifact)
        return [replace(first, notes=(*first.notes, f"note: {error}; all are shown")), *rest]


def choose_kernels(profiles: Sequence[Profile], pattern: str) -> list[Profile]:
    """Profiles with only the kernels whose names have a pattern, as `kernels.find_kernels` does."""
    known = [each for profile in profiles for each in profile.shown]
    matches = match_names(pattern, [(kernel.name, kernel.short) for kernel in known])
    if known and not any(matches):
        raise unknown("kernel", pattern, {kernel.short for kernel in known})
    left = iter(matches)
    chosen = [
        replace(profile, shown=tuple(each for each in profile.shown if next(left)))
        for profile in profiles
    ]
    return [profile for profile in chosen if profile.shown]


def make_profile(record: ProfileRecord, labels: tuple[str, ...] = ()) -> Profile:
    """A record with all its kernels shown."""
    return Profile(labels, record, tuple(record.kernels))


def list_tables(profiles: Sequence[Profile]) -> list[Table]:
    """Kernels with what is not trusted, calls under the roof, metrics where counters were
    collected, and a line a kernel on what holds it back."""
    if not profiles:
        return []
    calls = _tabulate_calls(profiles)
    counted = [each for each in profiles if any(kernel.metrics for kernel in each.shown)]
    lines = _list_diagnoses(profiles)
    head = _list_labels(profiles)
    return [
        _tabulate_kernels(profiles),
        *([calls] if calls.rows else []),
        *map(_tabulate_metrics, counted),
        *([Table("What holds each back", (*head, "kernel", "diagnosis"), lines)] if lines else []),
    ]


def check_empty(text: str | None) -> float | None:
    """Microseconds of an empty launch from text; raises `RocmoeError` for what is none."""
    if text is None:
        return None
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) <= 0.0:
        raise RocmoeError(f"--empty {text}: wanted microseconds above 0")
    return float(text)


def _list_labels(profiles: Sequence[Profile]) -> tuple[str, ...]:
    return LABELS if profiles[0].labels else ()


def _list_diagnoses(profiles: Sequence[Profile]) -> list[list[str]]:
    return [
        [*profile.labels, kernel.short, kernel.diagnosis.line]
        for profile in profiles
        for kernel in profile.shown
        if kernel.diagnosis is not None
    ]


#: The columns of a kernel; what no kernel of a run has is left out.
_KERNEL: Mapping[str, Callable[[_Row], str]] = {
    "kernel": lambda row: row.kernel.short,
    "launches": lambda row: str(row.kernel.launches),
    "a call": lambda row: _tell(row.kernel.a_call),
    "median us": lambda row: format_us(row.kernel.median_us),
    "p99 us": lambda row: format_us(_find_percentile(row.kernel)),
    "total us": lambda row: format_us(_add_up(row.kernel)),
    "share": lambda row: _tell_share(row),
    "blocks": lambda row: _tell(row.kernel.blocks),
    "lanes": lambda row: _tell(row.kernel.lanes),
    "LDS": lambda row: _tell(row.kernel.lds_bytes),
    "VGPR": lambda row: _tell(_find_registers(row.kernel)),
    "SGPR": lambda row: _tell(row.kernel.sgprs),
    "scratch": lambda row: _tell(row.kernel.scratch_bytes),
    "occupancy %": lambda row: _tell_filled(row.kernel),
    "limit": lambda row: ", ".join(row.kernel.limited_by) or "-",
    "agent": lambda row: row.kernel.agent or "-",
}
#: Columns that are of a program as a whole, and of the calls of one op.
_OF_PROGRAMS = ("launches", "total us", "agent")
_OF_CALLS = ("a call",)
#: Columns that are there whether they have anything or not.
_ALWAYS = ("kernel", "launches", "a call", "median us", "p99 us", "share", "blocks", "lanes")


def _tabulate_kernels(profiles: Sequence[Profile]) -> Table:
    rows = [
        (profile.labels, _Row(kernel, _add_all(profile.record.kernels)))
        for profile in profiles
        for kernel in profile.shown
    ]
    in_calls = all(profile.record.calls for profile in profiles)
    left_out = _OF_PROGRAMS if in_calls else _OF_CALLS
    cells = {
        name: [find(row) for _, row in rows]
        for name, find in _KERNEL.items()
        if name not in left_out
    }
    shown = [name for name in cells if name in _ALWAYS or any(each != "-" for each in cells[name])]
    columns = (*_list_labels(profiles), *shown)
    body = [[*labels, *(cells[name][n] for name in shown)] for n, (labels, _) in enumerate(rows)]
    return Table(_tell_titles(profiles), columns, body, notes=_list_notes(profiles))


def _tell_titles(profiles: Iterable[Profile]) -> str:
    """The tools, and what they looked at."""
    return "; ".join(dict.fromkeys(_tell_title(profile.record) for profile in profiles))


def _tell_title(record: ProfileRecord) -> str:
    tool = f"{record.tool} {record.version}" if record.version else record.tool
    launches = sum(kernel.launches for kernel in record.kernels)
    extent = f"{record.calls} calls" if record.calls else f"{launches} launches"
    return f"{tool} ({record.form}): {extent}"


def _list_notes(profiles: Sequence[Profile]) -> tuple[str, ...]:
    """Each note once, with what it is of where there are several profiles."""
    of: dict[str, list[str]] = {}
    for profile in profiles:
        for note in profile.record.notes:
            of.setdefault(note, []).append(" ".join(profile.labels))
    everywhere = len(profiles)
    return tuple(
        f"note: {note}" if len(names) == everywhere else f"note: {', '.join(names)}: {note}"
        for note, names in of.items()
    )


_CALLS = (
    "launches", "device us", "least MB", "GB/s", "peak %", "roof us", "empty us",
)  # fmt: skip


def _tabulate_calls(profiles: Sequence[Profile]) -> Table:
    """A row a profile whose op says what a call has to move at least."""
    rows = []
    for profile in profiles:
        record = profile.record
        if (place := record.roofline) is None:
            continue
        share = place.memory_share
        rows.append(
            [
                *profile.labels,
                _tell(sum(kernel.a_call or 0.0 for kernel in record.kernels)),
                format_us(place.time_us),
                "-" if place.moved_bytes is None else f"{place.moved_bytes / 1e6:.3g}",
                _tell_digits(place.gb_per_s),
                "-" if share is None else _tell_digits(100.0 * share),
                _tell_digits(place.roof_us),
                format_us(record.empty_us),
            ]
        )
    hardware = dict.fromkeys(each.record.hardware or "a GPU not known" for each in profiles)
    note = (
        "GB/s and peak %: of the bytes that a call has to move at least, over what all its kernels "
        "took; a kernel may have moved more"
    )
    title = f"A call under the roof of {', '.join(hardware)}"
    return Table(title, (*_list_labels(profiles), *_CALLS), rows, notes=(note,))


def _tabulate_metrics(profile: Profile) -> Table:
    """A row a metric that came to something for a kernel, with the reason where it did not."""
    kernels = [kernel for kernel in profile.shown if kernel.metrics]
    rows, missing = [], []
    for each in zip(*(kernel.metrics for kernel in kernels), strict=True):
        if any(answer.value is not None for answer in each):
            values = ("-" if a.value is None else f"{a.value:.4g}" for a in each)
            rows.append([each[0].metric, each[0].unit or "-", *values])
        else:
            missing.append(each[0])
    columns = ("metric", "unit", *(kernel.short for kernel in kernels))
    of = f": {' '.join(profile.labels)}" if profile.labels else ""
    notes = _tell_missing(missing, in_calls=bool(profile.record.calls))
    return Table(f"What counters amount to, a launch{of}", columns, rows, notes=notes)


def _tell_missing(missing: Sequence[MetricRecord], *, in_calls: bool) -> tuple[str, ...]:
    """Why metrics have no value; in calls, whose counters were chosen here, briefly."""
    brief = [each.metric for each in missing if in_calls and each.reason.startswith(NOT_COLLECTED)]
    rest = [f"{each.metric}: {each.reason}" for each in missing if each.metric not in brief]
    told = f"{NOT_COLLECTED}, as by --counters: {', '.join(brief)}"
    return (*rest, *([told] if brief else []))


def _add_up(kernel: KernelRecord) -> float | None:
    return sum(kernel.durations_ns) / 1e3 if kernel.durations_ns else None


def _add_all(kernels: Iterable[KernelRecord]) -> float:
    return sum(_add_up(kernel) or 0.0 for kernel in kernels)


def _find_percentile(kernel: KernelRecord) -> float | None:
    return float(np.percentile(kernel.durations_ns, 99.0)) / 1e3 if kernel.durations_ns else None


def _find_registers(kernel: KernelRecord) -> int | None:
    return kernel.vgprs if kernel.total_vgprs is None else kernel.total_vgprs


def _tell_share(row: _Row) -> str:
    own = _add_up(row.kernel)
    return f"{own / row.all_us:.0%}" if own and row.all_us else "-"


def _tell_filled(kernel: KernelRecord) -> str:
    return "-" if kernel.occupancy is None else f"{kernel.occupancy:.3g}"


def _tell_digits(value: float | None) -> str:
    """Two digits, and all of those before the point."""
    return "-" if value is None else f"{value:.0f}" if value >= 10.0 else f"{value:.2g}"


def _tell(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
