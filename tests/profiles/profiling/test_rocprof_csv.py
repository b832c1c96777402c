"""The CSV of every version of rocprofv3 is read as the same launches."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.csv_table import Row, Table, read_table
from rocmoe.profiles.profiling.rocprof_csv import (
    join_launches,
    read_agents,
    read_counters,
    read_kernel_trace,
    read_stats,
)

FIXTURES = Path(__file__).parent / "fixtures"
ADDITION = "void addition_kernel<float>(float*, float const*, float const*, int, int)"


def read(reader, name, process="41822"):
    return reader(read_table(FIXTURES / name, name), process)


@pytest.mark.parametrize(
    ("name", "columns", "form", "agent", "lds", "static", "registers", "numbers"),
    [
        ("v62/41822_kernel_trace.csv", 16, "CSV of ROCm 6.2", "4", 2048, None, (None,) * 3,
         (None, None)),
        ("v63/41822_kernel_trace.csv", 18, "CSV of ROCm 6.3 or 6.4", "4", 2048, None, (None,) * 3,
         (4, None)),
        ("dev/41822_kernel_trace.csv", 19, "CSV of a development build before ROCm 7.0", "4", 2048,
         None, (None,) * 3, (4, 3)),
        ("v70/41822_kernel_trace.csv", 22, "CSV of ROCm 7.0 or later", "Agent 4", None, 0,
         (12, 4, 16), (4, 1)),
        ("convert/out_kernel_trace.csv", 23, "CSV of rocpd convert", "Agent 4", 2048, None,
         (12, 4, 16), (4, 1)),
    ],
)  # fmt: skip
def test_a_launch_of_every_header(name, columns, form, agent, lds, static, registers, numbers):
    table = read_table(FIXTURES / name, name)
    assert len(table.header) == columns
    trace = read(read_kernel_trace, name)
    first, second = trace.dispatches
    assert (trace.tool, trace.form) == ("rocprofv3", form)
    assert (first.kernel, first.agent, first.queue) == (ADDITION, agent, 1)
    assert (first.start_ns, first.duration_ns) == (1550151853029637, 12800)
    assert (first.grid, first.workgroup, first.blocks) == ((1024, 1024, 1), (64, 1, 1), 16384)
    assert (first.lds_bytes, first.static_lds_bytes, first.scratch_bytes) == (lds, static, 0)
    assert (second.vgprs, second.accum_vgprs, second.sgprs) == registers
    assert (second.dispatch_id, second.stream) == numbers
    assert second.correlation_id == 4
    assert not first.counted


def test_static_lds_of_7_0_is_not_that_of_the_launch_and_noted():
    assert (
        "LDS_Block_Size is what the code declares"
        in read(read_kernel_trace, "v70/41822_kernel_trace.csv").notes[0]
    )
    for other in ("v63/41822", "convert/out"):
        assert read(read_kernel_trace, f"{other}_kernel_trace.csv").notes == ()


def test_converted_files_tell_processes_apart():
    first = read(read_kernel_trace, "convert/out_kernel_trace.csv", "out").dispatches[0]
    assert first.process == "out#0000ddb5-8903-7903-b269-cd8d3745bb8a"


def convert(name, guids=("a",)):
    """A fixture as rocpd convert would have it, for several databases."""
    rows = [{"Guid": guid, **row} for guid in guids for row in load(name)]
    return make_table(name, list(rows[0]), rows)


def test_converted_counters_have_the_lds_of_the_launch():
    rows = [{**row, "Guid": "a", "LDS_Block_Size": "2048"} for row in load("v63/counters_18.csv")]
    (launch,) = read_counters(make_table("x", list(rows[0]), rows), "out").dispatches
    assert (launch.lds_bytes, launch.static_lds_bytes) == (2048, None)
    assert read_counters(convert("v63/counters_18.csv"), "out").form == "CSV of rocpd convert"


def test_agents_of_several_databases_are_numbered_apart():
    agents = read_agents(convert("v70/41822_agent_info.csv", ("a", "b")), "out").agents
    assert {(each.process, each.type, each.of_type) for each in agents} == {
        ("out#a", "CPU", 0), ("out#a", "GPU", 0), ("out#b", "CPU", 0), ("out#b", "GPU", 0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "columns", "form", "start"),
    [
        ("v62/counters_15.csv", 15, "CSV of ROCm 6.2", None),
        ("v62/counters_16.csv", 16, "CSV of ROCm 6.2", None),
        ("v63/counters_18.csv", 18, "CSV of ROCm 6.3", 3200098838431081),
    ],
)
def test_counters_of_every_header(name, columns, form, start):
    table = read_table(FIXTURES / name, name)
    assert len(table.header) == columns
    trace = read_counters(table, "1")
    (launch,), (value,) = trace.dispatches, trace.counters
    assert trace.form == form
    assert (launch.counted, launch.start_ns, launch.vgprs) == (True, start, 12)
    assert (launch.grid, launch.workgroup, launch.blocks) == ((1048576,), (64,), 16384)
    assert (value.counter, value.value, value.dispatch_id) == ("SQ_WAVES", 16384.0, 4)


def test_counters_of_19_columns_make_one_launch_of_several_rows():
    trace = read(read_counters, "v70/15606_counter_collection.csv")
    assert [launch.dispatch_id for launch in trace.dispatches] == [1, 2]
    assert [(each.dispatch_id, each.counter, each.value) for each in trace.counters] == [
        (1, "SQ_WAVES", 16384.0), (1, "SQ_INSTS_VALU", 162000.0), (2, "SQ_WAVES", 16384.0),
    ]  # fmt: skip
    assert trace.dispatches[0].lds_bytes is None
    assert (trace.dispatches[0].static_lds_bytes, trace.dispatches[0].accum_vgprs) == (0, 0)


def test_a_counter_that_is_there_twice_is_left_out():
    name = "v70/15606_counter_collection.csv"
    table = read_table(FIXTURES / name, name)
    trace = read_counters(Table(name, table.header, (*table.rows, table.rows[0])), "1")
    assert [each.counter for each in trace.counters] == ["SQ_INSTS_VALU", "SQ_WAVES"]
    assert trace.notes == (f"{name}: SQ_WAVES of dispatch 1 is there twice: left out",)


def test_agents():
    cpu, gpu = read(read_agents, "v70/41822_agent_info.csv").agents
    assert (cpu.type, cpu.index, cpu.of_type) == ("CPU", 0, 0)
    assert (gpu.name, gpu.product) == ("gfx942", "AMD Instinct MI300X")  # named by its version
    assert (gpu.node, gpu.index, gpu.of_type) == (6, 4, 0)
    assert (gpu.cu_count, gpu.xcc_count, gpu.wave_size, gpu.max_clock_mhz) == (304, 8, 64, 2100)
    labels = [gpu.has_label(label) for label in ("Agent 4", "6", "GPU 0")]
    assert labels == [True] * 3
    assert not any(gpu.has_label(label) for label in ("Agent 6", "4", "GPU 4", "CPU 0", "Agent"))
    assert read(read_agents, "v70/15606_agent_info.csv").agents[1].name == "gfx900"


def test_statistics():
    first, second = read(read_stats, "v70/41822_hip_api_stats.csv").stats
    assert (first.domain, first.name, first.calls) == ("hip_api", "hipStreamCreateWithFlags", 4)
    assert (first.total_ns, first.average_ns) == (262497406, 65624351.5)
    assert (first.percentage, first.min_ns, first.max_ns) == (85.15, 3991286, 249121840)
    assert second.stddev_ns == 0.0
    assert read(read_stats, "v70/41822_domain_stats.csv").stats[0].domain == "domain"
    old = read(read_stats, "legacy/results.stats.csv")
    assert (old.tool, old.stats[0].min_ns, old.stats[0].domain) == ("rocprof", None, "")


def test_a_launch_in_trace_and_counters_is_one_and_counted():
    trace, counters = (
        read(read_kernel_trace, "v63/41822_kernel_trace.csv"),
        read(read_counters, "v63/counters_18.csv"),
    )
    joined, rest = join_launches([trace, counters])
    assert [(each.dispatch_id, each.counted) for each in joined.dispatches] == [
        (1, False),
        (4, True),
    ]
    assert joined.dispatches[1].vgprs == 12  # which the trace of 6.3 does not tell
    assert joined.dispatches[1].start_ns == 1550151853064037
    assert rest.dispatches == ()


def test_without_dispatch_ids_the_correlation_id_joins():
    parts = [
        read(read_kernel_trace, "v62/41822_kernel_trace.csv"),
        read(read_counters, "v62/counters_15.csv"),
    ]
    joined, rest = join_launches(parts)
    assert [(each.dispatch_id, each.counted) for each in joined.dispatches] == [
        (None, False),
        (4, True),
    ]
    assert rest.dispatches == ()


def test_a_newer_table_without_a_known_column_is_refused():
    header = ("Kind", "Kernel_Name", "Begin")
    with pytest.raises(RocmoeError, match=r"x:1: found 3 columns without Start_Timestamp"):
        read_kernel_trace(Table("x", header, ()), "1")


def load(name):
    with (FIXTURES / name).open(encoding="utf-8", newline="") as file:
        return [dict(row) for row in csv.DictReader(file)]


def make_table(name, columns, rows):
    made = tuple(
        Row(name, line, {column: row[column] for column in columns})
        for line, row in enumerate(rows, 2)
    )
    return Table(name, tuple(columns), made)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize(
    ("reader", "name"),
    [
        (read_kernel_trace, "v62/41822_kernel_trace.csv"),
        (read_kernel_trace, "v70/41822_kernel_trace.csv"),
        (read_kernel_trace, "convert/out_kernel_trace.csv"),
        (read_counters, "v70/15606_counter_collection.csv"),
        (read_agents, "v70/41822_agent_info.csv"),
    ],
)
def test_the_order_of_columns_and_rows_changes_nothing(reader, name, data):
    rows = load(name)
    columns = list(rows[0])
    shuffled = make_table(
        name, data.draw(st.permutations(columns)), data.draw(st.permutations(rows))
    )
    one, other = reader(make_table(name, columns, rows), "1"), reader(shuffled, "1")
    for part in ("dispatches", "counters", "agents"):
        assert set(getattr(one, part)) == set(getattr(other, part))
    assert (one.form, one.notes) == (other.form, other.notes)
