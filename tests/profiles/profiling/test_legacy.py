"""The CSV of rocprof and rocprofv2."""

from pathlib import Path

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.csv_table import Table, read_table
from rocmoe.profiles.profiling.legacy import read_v1, read_v2

FIXTURES = Path(__file__).parent / "fixtures"


def test_rocprof_has_counters_between_its_own_columns():
    trace = read_v1(read_table(FIXTURES / "legacy/results.csv", "results.csv"), "results")
    first, second = trace.dispatches
    assert (trace.tool, first.process, first.agent) == ("rocprof", "results#15606", "GPU 4")
    assert (first.duration_ns, first.lds_bytes, first.vgprs, first.wave_size) == (12800, 512, 8, 64)
    assert (second.duration_ns, second.accum_vgprs, second.grid) == (None, 4, (1048576,))
    assert [(each.dispatch_id, each.counter, each.value) for each in trace.counters] == [
        (0, "SQ_WAVES", 16384.0), (0, "GRBM_COUNT", 20000.0), (1, "SQ_WAVES", 16384.0),
    ]  # fmt: skip
    assert first.counted


def test_rocprof_without_times_says_how_to_get_them():
    table = read_table(FIXTURES / "legacy/results.csv", "results.csv")
    kept = tuple(
        c for c in table.header if not c.endswith("Ns") and c not in ("SQ_WAVES", "GRBM_COUNT")
    )
    trace = read_v1(Table("results.csv", kept, table.rows), "results")
    assert trace.notes == ("results.csv: no times: rocprof writes them with --timestamp on",)
    assert not trace.dispatches[0].counted
    assert trace.counters == ()


def test_rocprofv2():
    trace = read_v2(read_table(FIXTURES / "v2/results_15606.csv", "results_15606.csv"), "r")
    (launch,), (value,) = trace.dispatches, trace.counters
    assert (trace.tool, launch.process, launch.dispatch_id) == ("rocprofv2", "r#15606", 1)
    assert (launch.duration_ns, launch.correlation_id, launch.lds_bytes) == (12800, 7, 512)
    assert (value.counter, value.value) == ("SQ_WAVES", 16384.0)


@pytest.mark.parametrize("reader", [read_v1, read_v2])
def test_other_tables_are_refused(reader):
    with pytest.raises(RocmoeError, match=r"x:1: found 1 columns without"):
        reader(Table("x", ("A",), ()), "r")
