"""Each thing that profilers get wrong is noticed, and what is right is left alone."""

from dataclasses import replace

import pytest

from rocmoe.profiles.profiling.sanity import check_trace
from rocmoe.profiles.profiling.trace import Agent, CounterValue, Dispatch, KernelStats, Trace

HOUR = 3600 * 10**9
GPU = {
    arch: Agent(process="1", type="GPU", name=arch, index=4, wave_size=64)
    for arch in ("gfx90a", "gfx942", "gfx950", "gfx1100")
}


def launch(number, start=None, end=None, **more):
    times = (1000 * number, 1000 * number + 500)
    return Dispatch(
        process="1", kernel="topk", agent="Agent 4", queue=1, dispatch_id=number,
        start_ns=times[0] if start is None else start, end_ns=times[1] if end is None else end,
        **more,
    )  # fmt: skip


def make(*launches, arch="gfx942", tool="rocprofv3", **parts):
    agents = (GPU[arch],) if arch else ()
    return Trace(tool=tool, form="CSV", dispatches=launches, agents=agents, **parts)


def count(number, counter, value):
    return CounterValue(
        process="1", dispatch_id=number, kernel="topk", counter=counter, value=value
    )


def times(trace):
    return [(each.start_ns, each.end_ns) for each in trace.dispatches]


def test_what_is_right_is_left_alone():
    trace = make(
        launch(1, grid=(128, 1, 1), workgroup=(64, 1, 1)), launch(2),
        counters=(count(1, "SQ_WAVES", 2.0), count(1, "VALUBusy", 100.0)),
        stats=(KernelStats(domain="kernel", name="topk", calls=1, total_ns=1, average_ns=1,
                           percentage=100.0),),
    )  # fmt: skip
    assert check_trace(trace) == trace


def test_a_launch_that_ends_before_it_starts_has_no_times():
    checked = check_trace(make(launch(1), launch(2, 2000, 1900)))
    assert times(checked) == [(1000, 1500), (None, None)]
    assert checked.notes == ("launch 2 of topk ended before it started: its times are left out",)


@pytest.mark.parametrize(("start", "end"), [(2000, 2000), (0, 500), (-5, 20)])
def test_a_launch_that_takes_no_time_or_has_none_has_no_times(start, end):
    checked = check_trace(make(launch(3), launch(2, start, end), launch(9, start, end)))
    assert times(checked) == [(3000, 3500), (None, None), (None, None)]
    assert checked.notes[0].startswith("launch 2 of topk and 1 more took no time or has none")


def test_times_of_another_clock_are_left_out():
    trace = make(
        launch(1), launch(2), launch(3, 30 * HOUR, 30 * HOUR + 5), launch(4, 4000, 40 * HOUR)
    )
    checked = check_trace(trace)
    assert [each is not None for each, _ in times(checked)] == [True, True, False, False]
    assert checked.notes == (
        "launch 3 of topk and 1 more has times of another clock: they are left out",
    )


def test_times_since_1970_are_marked():
    now = 1_760_000_000 * 10**9
    checked = check_trace(make(launch(1, now, now + 500)))
    assert checked.dispatches[0].duration_ns == 500
    assert checked.dispatches[0].doubts == ("clock",)
    assert "times since 1970" in checked.notes[0]


def test_overlaps_on_one_queue_are_marked_and_those_of_others_are_not():
    trace = make(
        launch(1, 1000, 5000), launch(2, 2000, 2500), launch(3, 4000, 6000), launch(4, 6000, 7000)
    )
    checked = check_trace(trace)
    assert [each.doubts for each in checked.dispatches] == [("overlap",)] * 3 + [()]
    assert checked.notes[0].endswith("overlaps another one on its queue: times do not add up")
    for other in ({"queue": 2}, {"process": "2"}, {"agent": "Agent 5"}, {"queue": None}):
        apart = make(launch(1, 1000, 5000), replace(launch(2, 2000, 2500), **other))
        assert check_trace(apart).notes == ()


def test_registers_of_gfx950_are_an_estimate_where_there_are_no_accumulators():
    trace = make(
        launch(1, vgprs=64, accum_vgprs=0), launch(2, vgprs=28, accum_vgprs=4), arch="gfx950"
    )
    wrong, right = check_trace(trace).dispatches
    assert (wrong.vgprs, wrong.accum_vgprs, wrong.total_vgprs) == (None, None, 128)
    assert wrong.doubts == ("total_vgprs",)
    assert (right.vgprs, right.accum_vgprs, right.total_vgprs, right.doubts) == (28, 4, 32, ())
    assert "on gfx950 VGPR_Count is about half" in check_trace(trace).notes[0]


@pytest.mark.parametrize(("arch", "total"), [("gfx942", 64), ("gfx90a", 64), ("gfx1100", None)])
def test_registers_of_other_architectures_are_trusted(arch, total):
    checked = check_trace(make(launch(1, vgprs=64, accum_vgprs=0), arch=arch))
    each = checked.dispatches[0]
    assert (each.vgprs, each.total_vgprs, each.doubts, checked.notes) == (64, total, (), ())


def test_without_an_architecture_registers_are_doubted_until_one_is_named():
    trace = make(launch(1, vgprs=64, accum_vgprs=0), arch=None)
    checked = check_trace(trace)
    assert (checked.dispatches[0].vgprs, checked.dispatches[0].doubts) == (64, ("vgprs",))
    assert checked.notes[0].startswith("no architecture is told")
    assert check_trace(trace, "gfx950").dispatches[0].total_vgprs == 128
    assert check_trace(trace, "gfx942").dispatches[0].total_vgprs == 64
    assert check_trace(replace(trace, tool="rocprof")).notes == ()


@pytest.mark.parametrize(
    ("counter", "value", "reason"),
    [
        ("VALUBusy", 134.0, "is over 100 %"),
        ("OccupancyPercent", 101.5, "is over 100 %"),
        ("TCC_HIT_sum", -1.0, "is below 0"),
        ("FETCH_SIZE", float("nan"), "is no number"),
        ("FETCH_SIZE", float("inf"), "is no number"),
    ],
)
def test_counters_that_cannot_be_are_left_out(counter, value, reason):
    kept = count(1, "TCC_MISS_sum", 134.0)
    checked = check_trace(make(launch(1), counters=(count(1, counter, value), kept)))
    assert checked.counters == (kept,)
    assert checked.notes == (f"{counter} {reason} in 1 launch(es): left out",)


@pytest.mark.parametrize(
    ("form", "arch", "kept"),
    [("CSV of ROCm 6.3", "gfx942", False), ("CSV of ROCm 6.3", None, False),
     ("CSV of ROCm 6.3", "gfx90a", True), ("CSV of ROCm 6.4 or later", "gfx942", True)],
)  # fmt: skip
def test_fetch_size_of_old_versions_is_left_out_where_its_formula_was_wrong(form, arch, kept):
    counters = (count(1, "FETCH_SIZE", 5.0), count(1, "WRITE_SIZE", 6.0))
    trace = replace(make(launch(1), arch=arch, counters=counters), form=f"{form}, JSON")
    checked = check_trace(trace)
    assert checked.counters == (counters if kept else counters[1:])
    assert ("takes all larger requests" in " ".join(checked.notes)) is not kept


@pytest.mark.parametrize(
    ("grid", "workgroup", "waves"),
    [((256, 2, 1), (64, 2, 1), 8), ((512,), (96,), None), ((768,), (96,), 16),
     ((100, 1, 1), (64, 1, 1), None), ((96, 2, 1), (64, 1, 1), None)],
)  # fmt: skip
def test_waves_are_those_of_the_grid(grid, workgroup, waves):
    each = launch(1, grid=grid, workgroup=workgroup)
    for value in (8.0, 16.0, 7.0):
        counters = (count(1, "SQ_WAVES", value), count(1, "TCC_HIT_sum", 5.0))
        checked = check_trace(make(each, counters=counters))
        if waves in (None, value):
            assert (checked.counters, checked.notes) == (counters, ())
        else:
            assert checked.counters == ()
            assert f"({value:g} for {waves})" in checked.notes[0]


def test_a_share_of_more_than_all_the_time_is_left_out():
    stats = KernelStats(
        domain="kernel", name="topk", calls=1, total_ns=5, average_ns=5, percentage=250.0
    )
    checked = check_trace(make(stats=(stats,)))
    assert checked.stats == (replace(stats, percentage=None),)
    assert checked.notes == ("topk: 250 % of the time is over 100 %: left out",)
