"""A profile as tables."""

from pathlib import Path

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import Cost
from rocmoe.profiles.hardware import load_hardware
from rocmoe.profiles.profiling.kernels import list_kernels
from rocmoe.profiles.profiling.recording import Setting, make_record
from rocmoe.profiles.profiling.report import (
    check_empty,
    choose_kernels,
    list_tables,
    make_profile,
    view_trace,
)
from rocmoe.profiles.profiling.torch_trace import read_torch_trace
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


def show(trace, pattern=None, hardware=None, empty_us=None):
    return list_tables([make_profile(view_trace(trace, pattern, hardware, empty_us))])


def test_a_row_a_kernel_the_one_that_took_longest_first():
    trace = make_trace(
        [launch(1), launch(2, us=30.0), launch(3, us=20.0), launch(4, "fill.kd", 40.0)],
        notes=("registers are estimates",),
    )
    (table, _) = show(trace)
    assert table.title == "rocprofv3 (JSON): 4 launches"
    assert table.columns == (
        "kernel", "launches", "median us", "p99 us", "total us", "share", "blocks", "lanes", "LDS",
        "VGPR", "SGPR", "scratch", "occupancy %", "limit", "agent",
    )  # fmt: skip
    rest = ["16", "64", "512", "40", "96", "0", "0.164", "grid", "gfx942"]
    assert table.rows == [
        ["vllm::moe::topkGating", "3", "20.0", "29.8", "60.0", "60%", *rest],
        ["fill", "1", "40.0", "40.0", "40.0", "40%", *rest],
    ]
    assert table.notes == ("note: registers are estimates",)


def test_what_no_format_told_is_a_dash_and_counted_launches_have_no_time():
    bare = launch(1, counted=True, lds_bytes=None, total_vgprs=None, vgprs=None, sgprs=None)
    (table,) = show(make_trace([bare]))
    assert table.columns == (
        "kernel", "launches", "median us", "p99 us", "share", "blocks", "lanes", "scratch", "agent",
    )  # fmt: skip
    assert table.rows[0][1:6] == ["1", "-", "-", "-", "16"]


def test_counters_become_metrics_and_what_was_not_collected_is_never_0():
    trace = make_trace(
        [launch(1), launch(2, counted=True)],
        [count(2, "FETCH_SIZE", 2048.0), count(2, "WRITE_SIZE", 1024.0)],
    )
    _, metrics, diagnoses = show(trace, "topkGating")
    found = {row[0]: row[2] for row in metrics.rows}
    assert (found["fetch_kib"], found["write_kib"]) == ("2048", "1024")
    assert "valu_busy" not in found
    assert any(note.startswith("valu_busy: not collected") for note in metrics.notes)
    ((kernel, line),) = diagnoses.rows
    assert kernel == "vllm::moe::topkGating"
    assert line.startswith("undecided: the time of an empty kernel")


def test_a_kernel_as_short_as_an_empty_one_is_bound_by_its_launch():
    ((_, line),) = show(make_trace([launch(1, us=3.0)]), empty_us=2.0)[-1].rows
    assert line.startswith("launch-bound")


def test_hardware_that_is_named_counts_and_without_any_nothing_is_diagnosed():
    unknown = Trace(tool="rocprof", form="CSV", dispatches=(launch(1, agent=None),))
    assert len(show(unknown)) == 1
    assert len(show(unknown, hardware="mi300x")) == 2
    with pytest.raises(RocmoeError, match="mi300x"):
        show(unknown, hardware="mi300")


def test_a_kernel_that_is_not_there_is_told():
    with pytest.raises(RocmoeError, match="topkGating"):
        show(make_trace([launch(1)]), "topkGate")


def read_h100(notes=()):
    agent = Agent(process="torch", type="GPU", name="sm_90", of_type=0, cu_count=132)
    trace = read_torch_trace(Path(__file__).parent / "fixtures/torch/h100.json", [agent])
    cost = Cost(bytes_read=2_000_000, bytes_written=360_000, operations=0)
    setting = Setting(hardware=load_hardware("h100"), calls=2, cost=cost, empty_us=1.6,
                      version="2.11.0", notes=notes)  # fmt: skip
    return make_record(trace, list_kernels(trace), setting)


def test_profiles_of_calls_have_what_they_are_of_in_front_and_a_row_a_call():
    one = make_profile(read_h100(("only here",)), ("topk_softmax", "T=16", "torch"))
    other = make_profile(read_h100(), ("topk_softmax", "T=4096", "torch"))
    kernels, calls, diagnoses = list_tables([one, other])
    assert kernels.title == "torch's profiler 2.11.0 (Chrome trace): 2 calls"
    assert kernels.columns == (
        "op", "shape", "backend", "kernel", "a call", "median us", "p99 us", "share", "blocks",
        "lanes", "LDS", "VGPR", "occupancy %", "limit",
    )  # fmt: skip
    assert kernels.rows[1] == [
        "topk_softmax", "T=16", "torch", "at::native::vectorized_elementwise_kernel", "1", "1.73",
        "1.73", "11%", "16", "128", "0", "20", "0.758", "grid",
    ]  # fmt: skip
    assert kernels.notes == ("note: topk_softmax T=16 torch: only here",)
    assert calls.title == "A call under the roof of h100"
    assert calls.rows[0][3:] == ["3", "16.3", "2.36", "145", "4.3", "0.7", "1.60"]
    assert [row[3] for row in diagnoses.rows[:2]] == [row[3] for row in kernels.rows[:2]]
    assert len(diagnoses.rows) == 6


def test_kernels_that_are_chosen_keep_their_share_and_the_call_is_whole():
    profiles = [make_profile(read_h100(), ("topk_softmax", "T=16", "torch"))]
    kernels, calls, diagnoses = list_tables(choose_kernels(profiles, "topk"))
    assert [row[3:8] for row in kernels.rows] == [
        ["_topk_softmax_kernel", "1", "13.1", "13.6", "80%"]
    ]
    assert calls.rows == list_tables(profiles)[1].rows
    assert len(diagnoses.rows) == 1
    assert len(list_tables(choose_kernels(profiles, "^Memcpy"))[0].rows) == 1
    with pytest.raises(RocmoeError, match="unknown kernel 'topkk'"):
        choose_kernels(profiles, "topkk")
    assert list_tables([]) == []


def test_the_time_of_an_empty_kernel_is_a_number():
    assert (check_empty(None), check_empty("1.5")) == (None, 1.5)
    for text in ("0", "-1", "fast", "nan"):
        with pytest.raises(RocmoeError, match="wanted microseconds above 0"):
            check_empty(text)
