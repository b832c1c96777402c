"""A profile as tables."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.report import check_empty, list_profile_tables, make_view
from rocmoe.profiles.profiling.trace import Agent, CounterValue, Dispatch, Trace

GPU = Agent(
    process="1", type="GPU", name="gfx942", product="AMD Instinct MI300X", index=4, cu_count=304,
    xcc_count=8,
)  # fmt: skip
GATING = "void vllm::moe::topkGating<4, float>(float const*, int)"


def launch(number, kernel=GATING, us=10.0, **more):
    start = 1000 + 100_000 * number
    given = {"process": "1", "kernel": kernel, "agent": "Agent 4", "dispatch_id": number,
             "start_ns": start, "end_ns": start + int(us * 1000), "grid": (1024, 1, 1),
             "workgroup": (64, 1, 1), "lds_bytes": 512, "vgprs": 32, "accum_vgprs": 8,
             "total_vgprs": 40, "sgprs": 96, "scratch_bytes": 0}  # fmt: skip
    return Dispatch(**{**given, **more})


def count(number, counter, value):
    return CounterValue(
        process="1", dispatch_id=number, kernel=GATING, counter=counter, value=value
    )


def make_trace(dispatches, counters=(), notes=()):
    return Trace(
        tool="rocprofv3", form="JSON", dispatches=tuple(dispatches), counters=tuple(counters),
        agents=(GPU,), notes=notes,
    )  # fmt: skip


def test_a_row_a_kernel_the_one_that_took_longest_first():
    trace = make_trace(
        [launch(1), launch(2, us=30.0), launch(3, us=20.0), launch(4, "fill.kd", 40.0)],
        notes=("registers are estimates",),
    )
    (table, _) = list_profile_tables(make_view(trace, None, None))
    assert table.title == "rocprofv3 (JSON): 4 launches"
    assert table.rows == [
        ["vllm::moe::topkGating", "3", "20.0", "29.8", "60.0", "60%", "16", "64", "512", "40",
         "96", "0", "gfx942"],
        ["fill", "1", "40.0", "40.0", "40.0", "40%", "16", "64", "512", "40", "96", "0", "gfx942"],
    ]  # fmt: skip
    assert table.notes == ("note: registers are estimates",)


def test_what_no_format_told_is_a_dash_and_counted_launches_have_no_time():
    bare = launch(1, counted=True, lds_bytes=None, total_vgprs=None, vgprs=None, sgprs=None)
    (table,) = list_profile_tables(make_view(make_trace([bare]), None, None))
    assert table.rows[0][2:6] == ["-", "-", "-", "-"]
    assert table.rows[0][8:11] == ["-", "-", "-"]


def test_counters_become_metrics_and_what_was_not_collected_is_never_0():
    trace = make_trace(
        [launch(1), launch(2, counted=True)],
        [count(2, "FETCH_SIZE", 2048.0), count(2, "WRITE_SIZE", 1024.0)],
    )
    _, metrics, diagnoses = list_profile_tables(make_view(trace, "topkGating", None))
    found = {row[0]: row[2] for row in metrics.rows}
    assert (found["fetch_kib"], found["write_kib"]) == ("2048", "1024")
    assert "valu_busy" not in found
    assert any(note.startswith("valu_busy: not collected") for note in metrics.notes)
    ((kernel, line),) = diagnoses.rows
    assert kernel == "vllm::moe::topkGating"
    assert line.startswith("undecided: the time of an empty kernel")


def test_a_kernel_as_short_as_an_empty_one_is_bound_by_its_launch():
    view = make_view(make_trace([launch(1, us=3.0)]), None, None, empty_us=2.0)
    ((_, line),) = list_profile_tables(view)[-1].rows
    assert line.startswith("launch-bound")


def test_hardware_that_is_named_counts_and_without_any_nothing_is_diagnosed():
    unknown = Trace(tool="rocprof", form="CSV", dispatches=(launch(1, agent=None),))
    assert len(list_profile_tables(make_view(unknown, None, None))) == 1
    assert len(list_profile_tables(make_view(unknown, None, "mi300x"))) == 2
    with pytest.raises(RocmoeError, match="mi300x"):
        make_view(unknown, None, "mi300")


def test_a_kernel_that_is_not_there_is_told():
    with pytest.raises(RocmoeError, match="topkGating"):
        make_view(make_trace([launch(1)]), "topkGate", None)


def test_the_time_of_an_empty_kernel_is_a_number():
    assert (check_empty(None), check_empty("1.5")) == (None, 1.5)
    for text in ("0", "-1", "fast", "nan"):
        with pytest.raises(RocmoeError, match="wanted microseconds above 0"):
            check_empty(text)
