"""What profilers are known to get wrong: taken out of a trace or marked in it, and noted.

Nothing is corrected in silence: what is left out is None, what stays and is doubtful is named in
`Dispatch.doubts`, and each rule that found something leaves one note.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import median

from rocmoe.ops.gcn.occupancy import unify
from rocmoe.profiles.profiling.passes import PERCENTAGES
from rocmoe.profiles.profiling.trace import CounterValue, Dispatch, KernelStats, Trace

#: Launches of one process lie within this, so that what is further off is of another clock.
LONGEST_PROFILE_NS = 24 * 3600 * 10**9
#: 2001 as the time since 1970: a clock that starts with the machine is not there in 30 years.
FIRST_EPOCH_NS = 10**18
#: Rounding, and counters that are read one after another, go a little over 100 %.
MOST_PERCENT = 101.0

#: Where architectural registers and accumulators share one file.
_UNIFIED = ("gfx90a", "gfx940", "gfx941", "gfx942", "gfx950")
_GFX9_WAVE = 64
#: The tool that is wrong on gfx950; the older ones do not run there.
ROCPROFV3 = "rocprofv3"

#: Whose FETCH_SIZE on gfx942 is of another formula: ROCm/rocprofiler-sdk 8ab1ed7 (0.5.0),
#: source/lib/rocprofiler-sdk/counters/yaml/counter_defs.yaml.
_OLD_FORMS = {"CSV of ROCm 6.2", "CSV of ROCm 6.3"}

Check = Callable[[Trace, "str | None"], Trace]


def check_trace(trace: Trace, arch: str | None = None) -> Trace:
    """The trace without what is not to be trusted; arch: of the GPU where the files do not tell."""
    for check in (_check_times, _check_clock, _check_overlap, _check_registers, _check_counters,
                  _check_fetches,
                  _check_waves, _check_stats):  # fmt: skip
        trace = check(trace, arch)
    return trace


def _check_times(trace: Trace, _: str | None) -> Trace:
    """Both times of a launch that ends before it starts, takes no time or has none are None."""
    backwards = [each for each in trace.dispatches if (each.duration_ns or 0) < 0]
    unset = [
        each
        for each in trace.dispatches
        if each.start_ns is not None and (each.start_ns <= 0 or each.duration_ns == 0)
    ]
    untimed = {id(each) for each in (*backwards, *unset)}
    notes = []
    if backwards:
        notes.append(f"{_tell(backwards)} ended before it started: its times are left out")
    zero = [each for each in unset if (each.duration_ns or 0) >= 0]
    if zero:
        notes.append(f"{_tell(zero)} took no time or has none: its times are left out")
    return _drop_times(trace, untimed, notes)


def _check_clock(trace: Trace, _: str | None) -> Trace:
    """Times of another clock than the process's others are None."""
    processes: dict[str, list[Dispatch]] = {}
    for each in trace.dispatches:
        if each.start_ns is not None and each.end_ns is not None:
            processes.setdefault(each.process, []).append(each)
    strange, epochs, notes = [], [], []
    for launches in processes.values():
        usual = median(each.start_ns or 0 for each in launches)
        strange += [each for each in launches if _is_far(each, usual)]
        epochs += [each for each in launches if (each.start_ns or 0) >= FIRST_EPOCH_NS]
    if strange:
        notes.append(f"{_tell(strange)} has times of another clock: they are left out")
    left_out = {id(each) for each in strange}
    kept = [each for each in epochs if id(each) not in left_out]
    if kept:
        notes.append(
            f"{_tell(kept)} has times since 1970, not since the machine started: they cannot be "
            "set beside those of other files"
        )
    trace = _drop_times(trace, left_out, notes)
    return _doubt(trace, {id(each) for each in kept}, "clock", [])


def _is_far(dispatch: Dispatch, usual: float) -> bool:
    times = (dispatch.start_ns or 0, dispatch.end_ns or 0)
    return any(abs(time - usual) > LONGEST_PROFILE_NS for time in times)


def _check_overlap(trace: Trace, _: str | None) -> Trace:
    """Launches on one queue at the same time: what each took is not its own."""
    queues: dict[tuple[str, str | None, int], list[Dispatch]] = {}
    for each in trace.dispatches:
        if each.queue is not None and each.start_ns is not None and each.end_ns is not None:
            queues.setdefault((each.process, each.agent, each.queue), []).append(each)
    found: dict[int, Dispatch] = {}
    for launches in queues.values():
        last: Dispatch | None = None
        for each in sorted(launches, key=lambda each: (each.start_ns or 0, each.end_ns or 0)):
            if last is not None and (each.start_ns or 0) < (last.end_ns or 0):
                found.update({id(last): last, id(each): each})
            if last is None or (each.end_ns or 0) > (last.end_ns or 0):
                last = each
    if not found:
        return trace
    note = f"{_tell(list(found.values()))} overlaps another one on its queue: times do not add up"
    return _doubt(trace, set(found), "overlap", [note])


def _check_registers(trace: Trace, arch: str | None) -> Trace:
    """The registers that are allocated, of both kinds.

    rocprofv3 of ROCm 7.0 reads gfx950's descriptor as that of an older GPU: it tells about half of
    the registers and no accumulators (ROCm/rocm-systems, rocprofiler-sdk, code_object.cpp).
    """
    wrong: list[Dispatch] = []
    unknown: list[Dispatch] = []
    changed = []
    archs: dict[tuple[str, str | None], str | None] = {}
    for each in trace.dispatches:
        key = (each.process, each.agent)
        if key not in archs:
            archs[key] = arch or _find_arch(trace, each)
        name, vgprs, accum = archs[key], each.vgprs, each.accum_vgprs
        if vgprs is None or accum is None:
            changed.append(each)
        elif accum == 0 and name == "gfx950":
            wrong.append(each)
            changed.append(_estimate_registers(each, vgprs))
        elif name is None and ROCPROFV3 in trace.tool:
            unknown.append(each)
            doubted = ("vgprs",) if accum == 0 else ()
            changed.append(replace(each, doubts=(*each.doubts, *doubted)))
        elif name in _UNIFIED:
            changed.append(replace(each, total_vgprs=unify(vgprs, accum)))
        else:
            changed.append(each)
    notes = []
    if wrong:
        notes.append(
            f"{_tell(wrong)}: on gfx950 VGPR_Count is about half of all registers where "
            "Accum_VGPR_Count is 0: both are left out, and the total is an estimate"
        )
    if any(each.accum_vgprs == 0 for each in unknown):
        notes.append("no architecture is told: on gfx950 VGPR_Count would be half of all registers")
    return replace(trace, dispatches=tuple(changed), notes=(*trace.notes, *notes))


def _find_arch(trace: Trace, dispatch: Dispatch) -> str | None:
    agent = trace.find_agent(dispatch)
    return None if agent is None else agent.name.partition(":")[0]


def _estimate_registers(dispatch: Dispatch, told: int) -> Dispatch:
    return replace(
        dispatch,
        vgprs=None,
        accum_vgprs=None,
        total_vgprs=2 * told,
        doubts=(*dispatch.doubts, "total_vgprs"),
    )


def _check_counters(trace: Trace, _: str | None) -> Trace:
    """Counters below 0 or over 100 %, and what is no number, are left out."""
    reasons: Counter[str] = Counter()
    kept = []
    for each in trace.counters:
        reason = _find_fault(each)
        if reason:
            reasons[f"{each.counter} {reason}"] += 1
        else:
            kept.append(each)
    notes = [f"{reason} in {count} launch(es): left out" for reason, count in reasons.items()]
    return replace(trace, counters=tuple(kept), notes=(*trace.notes, *notes))


def _find_fault(value: CounterValue) -> str:
    if not math.isfinite(value.value):
        return "is no number"
    if value.value < 0:
        return "is below 0"
    return "is over 100 %" if value.counter in PERCENTAGES and value.value > MOST_PERCENT else ""


def _check_fetches(trace: Trace, arch: str | None) -> Trace:
    """FETCH_SIZE of old versions on gfx942, which is up to twice what was fetched."""
    launches = {(each.process, each.dispatch_id): each for each in trace.dispatches}
    if not _OLD_FORMS & set(trace.form.split(", ")):
        return trace
    kept = []
    for each in trace.counters:
        launch = launches.get((each.process, each.dispatch_id))
        found = arch or (_find_arch(trace, launch) if launch else None)
        if each.counter != "FETCH_SIZE" or (found is not None and not found.startswith("gfx94")):
            kept.append(each)
    if len(kept) == len(trace.counters):
        return trace
    note = (
        "FETCH_SIZE before ROCm 7.0 takes all larger requests of gfx942 for 128 bytes: left out; "
        "collect TCC_EA0_RDREQ_sum, TCC_EA0_RDREQ_32B_sum and TCC_BUBBLE_sum, or use ROCm 7"
    )
    return replace(trace, counters=tuple(kept), notes=(*trace.notes, note))


def _check_waves(trace: Trace, arch: str | None) -> Trace:
    """SQ_WAVES is known exactly from the grid: where it is another number, counters are of
    something else too (another process, or a part of the launch)."""
    launches: dict[tuple[str, int | None], Dispatch] = {
        (each.process, each.dispatch_id): each
        for each in trace.dispatches
        if each.dispatch_id is not None
    }
    wrong = []
    for value in trace.counters:
        launch = launches.get((value.process, value.dispatch_id))
        if value.counter == "SQ_WAVES" and launch is not None:
            expected = _count_waves(trace, launch, arch)
            if expected is not None and expected != value.value:
                wrong.append((value, expected))
    if not wrong:
        return trace
    value, expected = wrong[0]
    note = (
        f"SQ_WAVES of {len(wrong)} launch(es) is not what the grid has ({value.value:g} for "
        f"{expected}): the counters of those launches are left out"
    )
    bad = {(each.process, each.dispatch_id) for each, _ in wrong}
    kept = tuple(each for each in trace.counters if (each.process, each.dispatch_id) not in bad)
    return replace(trace, counters=kept, notes=(*trace.notes, note))


def _count_waves(trace: Trace, launch: Dispatch, arch: str | None) -> int | None:
    """The waves of a launch; None where workgroups at the edges may be smaller."""
    agent = trace.find_agent(launch)
    wave = launch.wave_size or (agent.wave_size if agent else None)
    if wave is None and (arch or "").startswith("gfx9"):
        wave = _GFX9_WAVE
    blocks, lanes, grid, workgroup = launch.blocks, launch.lanes, launch.grid, launch.workgroup
    if not wave or not blocks or not lanes or grid is None or workgroup is None:
        return None
    edges = len(grid) == len(workgroup) and any(n % k for n, k in zip(grid, workgroup, strict=True))
    if edges or math.prod(grid) % lanes:
        return None
    return blocks * -(-lanes // wave)


def _check_stats(trace: Trace, _: str | None) -> Trace:
    """A share of over 100 % of the time is left out."""
    wrong = [each for each in trace.stats if _is_over(each)]
    if not wrong:
        return trace
    changed = tuple(
        replace(each, percentage=None) if _is_over(each) else each for each in trace.stats
    )
    note = f"{wrong[0].name}: {wrong[0].percentage:g} % of the time is over 100 %: left out"
    return replace(trace, stats=changed, notes=(*trace.notes, note))


def _is_over(stats: KernelStats) -> bool:
    return stats.percentage is not None and not 0 <= stats.percentage <= MOST_PERCENT


def _tell(dispatches: list[Dispatch]) -> str:
    """The first of some launches, and how many there are."""
    first = dispatches[0]
    more = f" and {len(dispatches) - 1} more" if dispatches[1:] else ""
    return f"launch {first.dispatch_id} of {first.kernel}{more}"


def _drop_times(trace: Trace, found: set[int], notes: Iterable[str]) -> Trace:
    changed = tuple(
        replace(each, start_ns=None, end_ns=None) if id(each) in found else each
        for each in trace.dispatches
    )
    return replace(trace, dispatches=changed, notes=(*trace.notes, *notes))


def _doubt(trace: Trace, found: set[int], doubt: str, notes: Iterable[str]) -> Trace:
    changed = tuple(
        replace(each, doubts=(*each.doubts, doubt)) if id(each) in found else each
        for each in trace.dispatches
    )
    return replace(trace, dispatches=changed, notes=(*trace.notes, *notes))
