"""rocpd databases: views and tables of schema 3, renamed views of 4.1, and what is refused."""

import sqlite3
from contextlib import closing

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.rocpd import has_rocpd, open_database, read_rocpd

GUID = "0000ddb5-8903-7903-b269-cd8d3745bb8a"
ENDING = "_" + GUID.replace("-", "_")

TABLES = {
    "rocpd_metadata": "id, tag, value",
    "rocpd_info_process": "id, guid, nid, ppid, pid, command, environment",
    "rocpd_info_agent": "id, guid, nid, pid, type, absolute_index, logical_index, type_index, name,"
    " product_name, extdata",
    "rocpd_info_kernel_symbol": "id, guid, pid, kernel_name, display_name, group_segment_size,"
    " sgpr_count, arch_vgpr_count, accum_vgpr_count",
    "rocpd_kernel_dispatch": "id, guid, nid, pid, tid, agent_id, kernel_id, dispatch_id, queue_id,"
    " stream_id, start, end, private_segment_size, group_segment_size, workgroup_size_x,"
    " workgroup_size_y, workgroup_size_z, grid_size_x, grid_size_y, grid_size_z, event_id",
    "rocpd_event": "id, guid, stack_id, correlation_id",
    "rocpd_info_pmc": "id, guid, name",
    "rocpd_pmc_event": "id, guid, event_id, pmc_id, value",
}
ROWS = {
    "rocpd_metadata": [(1, "schema_version", "3"), (2, "guid", GUID)],
    "rocpd_info_process": [(41822, GUID, 1, 1, 41822, "app", '{"TOKEN": "hunter2"}')],
    "rocpd_info_agent": [
        (0, GUID, 1, 41822, "CPU", 0, 0, 0, "AMD EPYC", "AMD EPYC", "{}"),
        (4, GUID, 1, 41822, "GPU", 6, 4, 0, "gfx942", "AMD Instinct MI300X",
         '{"cu_count": 304, "num_xcc": 8, "wave_front_size": 64}'),
    ],
    "rocpd_info_kernel_symbol": [
        (10, GUID, 41822, "_Z4topkIfEvPKf.kd", "void topk<float>(float const*)", 512, 32, 24, 8)
    ],
    "rocpd_kernel_dispatch": [
        (1, GUID, 1, 41822, 9, 4, 10, 1, 1, 2, 1000, 13800, 0, 4096, 64, 1, 1, 1024, 2, 1, 100)
    ],
    "rocpd_event": [(100, GUID, 7, 0)],
    "rocpd_info_pmc": [(5, GUID, "TCC_HIT"), (6, GUID, "SQ_WAVES")],
    "rocpd_pmc_event": [(1, GUID, 100, 5, 10.0), (2, GUID, 100, 5, 20.0), (3, GUID, 100, 6, 32.0)],
}  # fmt: skip

KERNELS_3 = """CREATE VIEW kernels AS SELECT K.id, K.guid, S.display_name AS name, P.pid,
  A.absolute_index AS agent_abs_index, A.logical_index AS agent_log_index, K.dispatch_id,
  K.stream_id, K.queue_id, K.start, K.end, K.grid_size_x AS grid_x, K.grid_size_y AS grid_y,
  K.grid_size_z AS grid_z, K.workgroup_size_x AS workgroup_x, K.workgroup_size_y AS workgroup_y,
  K.workgroup_size_z AS workgroup_z, K.group_segment_size AS lds_size,
  K.private_segment_size AS scratch_size, S.arch_vgpr_count AS vgpr_count, S.accum_vgpr_count,
  S.sgpr_count, S.group_segment_size AS static_lds_size, E.stack_id, E.correlation_id AS corr_id
  FROM rocpd_kernel_dispatch K JOIN rocpd_info_kernel_symbol S ON S.id = K.kernel_id
  JOIN rocpd_info_agent A ON A.id = K.agent_id JOIN rocpd_info_process P ON P.id = K.pid
  JOIN rocpd_event E ON E.id = K.event_id"""
COUNTERS_3 = """CREATE VIEW counters_collection AS SELECT K.guid, K.dispatch_id, P.pid,
  S.display_name AS kernel_name, C.name AS counter_name, V.value FROM rocpd_pmc_event V
  JOIN rocpd_info_pmc C ON C.id = V.pmc_id JOIN rocpd_kernel_dispatch K ON K.event_id = V.event_id
  JOIN rocpd_info_kernel_symbol S ON S.id = K.kernel_id JOIN rocpd_info_process P ON P.id = K.pid"""
#: Here `grid_size_x` counts blocks.
KERNELS_4 = """CREATE VIEW kernels AS SELECT K.guid, S.display_name AS name, K.pid,
  A.absolute_index AS agent_absolute_index, A.logical_index AS agent_logical_index, K.dispatch_id,
  K.stream_id, K.queue_id, K.start, K.end, K.grid_size_x AS grid_x, K.grid_size_y AS grid_y,
  K.grid_size_z AS grid_z, K.grid_size_x / K.workgroup_size_x AS grid_size_x,
  K.workgroup_size_x AS workgroup_x, K.workgroup_size_y AS workgroup_y,
  K.workgroup_size_z AS workgroup_z, K.group_segment_size AS lds_block_size,
  K.private_segment_size AS scratch_size, S.group_segment_size AS static_lds_block_size,
  S.sgpr_count, S.arch_vgpr_count, S.accum_vgpr_count, E.stack_id, E.correlation_id
  FROM rocpd_kernel_dispatch K JOIN rocpd_info_kernel_symbol S ON S.id = K.kernel_id
  JOIN rocpd_info_agent A ON A.id = K.agent_id JOIN rocpd_event E ON E.id = K.event_id"""
COUNTERS_4 = """CREATE VIEW kernel_pmc_events AS SELECT dispatch_id, pid, kernel_name AS name,
  counter_name AS pmc_name, value AS pmc_value FROM counters_collection_3"""


def make(folder, *views, ending=ENDING, passing=True, rows=None, tables=None):
    """A database: tables with an ending, views of them without it, and more views."""
    path = folder / "1_results.db"
    with closing(sqlite3.connect(path)) as connection:
        for name, columns in {**TABLES, **(tables or {})}.items():
            connection.execute(f'CREATE TABLE "{name}{ending}" ({quote(columns)})')
            for row in {**ROWS, **(rows or {})}[name]:
                marks = ", ".join("?" * len(row))
                connection.execute(f'INSERT INTO "{name}{ending}" VALUES ({marks})', row)
            if passing:
                connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM "{name}{ending}"')
        for view in views:
            connection.execute(view)
        connection.commit()
    return path


def quote(columns):
    return ", ".join(f'"{name.strip()}"' for name in columns.split(","))


def read(path):
    return read_rocpd(path, path.name, "1")


@pytest.fixture
def by_views(tmp_path):
    return read(make(tmp_path, KERNELS_3, COUNTERS_3))


def test_views_of_schema_3(by_views):
    (launch,) = by_views.dispatches
    assert by_views.form == "rocpd schema 3"
    assert by_views.guids == {GUID}
    assert launch.kernel == "void topk<float>(float const*)"
    assert (launch.process, launch.agent, launch.queue, launch.stream) == ("1", "Agent 4", 1, 2)
    assert (launch.start_ns, launch.duration_ns, launch.dispatch_id) == (1000, 12800, 1)
    assert (launch.grid, launch.workgroup) == ((1024, 2, 1), (64, 1, 1))
    assert (launch.lds_bytes, launch.static_lds_bytes, launch.scratch_bytes) == (4096, 512, 0)
    assert (launch.vgprs, launch.accum_vgprs, launch.sgprs) == (24, 8, 32)
    assert launch.correlation_id == 7  # that of the CSV, not the external one
    assert launch.counted
    assert [(each.counter, each.value) for each in by_views.counters] == [
        ("TCC_HIT", 30.0),
        ("SQ_WAVES", 32.0),
    ]


def test_agents_with_what_is_stored_beside_their_columns(by_views):
    cpu, gpu = by_views.agents
    assert (cpu.type, cpu.cu_count) == ("CPU", None)
    assert (gpu.name, gpu.node, gpu.index, gpu.of_type) == ("gfx942", 6, 4, 0)
    assert (gpu.cu_count, gpu.xcc_count, gpu.wave_size) == (304, 8, 64)
    assert by_views.find_agent(by_views.dispatches[0]) == gpu


@pytest.mark.parametrize("passing", [True, False])
def test_tables_say_the_same_without_the_views(tmp_path, by_views, passing):
    folder = tmp_path / "tables"
    folder.mkdir()
    trace = read(make(folder, passing=passing))
    (launch,), (wanted,) = trace.dispatches, by_views.dispatches
    assert launch.symbol == "_Z4topkIfEvPKf.kd"
    assert {**vars(launch), "symbol": None} == vars(wanted)
    assert trace.counters == by_views.counters
    assert trace.agents == by_views.agents


def test_names_of_schema_4(tmp_path, by_views):
    folder = tmp_path / "4"
    folder.mkdir()
    inner = COUNTERS_3.replace("VIEW counters_collection", "VIEW counters_collection_3")
    rows = {"rocpd_metadata": [(1, "schema_version", "4.1.0")]}
    trace = read(make(folder, KERNELS_4, inner, COUNTERS_4, rows=rows))
    assert trace.form == "rocpd schema 4.1.0"
    assert trace.dispatches == by_views.dispatches
    assert trace.counters == by_views.counters


def test_the_environment_is_not_read_even_where_a_view_would_show_it(tmp_path, by_views):
    assert "hunter2" not in repr(by_views)
    leaky = KERNELS_3.replace("S.display_name AS name", "P.environment AS name")
    folder = tmp_path / "leaky"
    folder.mkdir()
    with pytest.raises(RocmoeError, match=r"kernel: found None; wanted some text"):
        read(make(folder, leaky))


def test_a_database_cannot_be_written_through_its_connection(tmp_path):
    path = make(tmp_path, KERNELS_3)
    before = path.read_bytes()
    with closing(open_database(path)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("CREATE TABLE more (id)")
        row = connection.execute('SELECT pid, environment FROM "rocpd_info_process"').fetchone()
        assert tuple(row) == (41822, None)
    read(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_an_unknown_schema_is_named(tmp_path):
    rows = {"rocpd_metadata": [(1, "schema_version", "9")]}
    renamed = KERNELS_3.replace("K.start,", "K.start AS begin,")
    with pytest.raises(RocmoeError) as caught:
        read(make(tmp_path, renamed, rows=rows))
    assert str(caught.value).startswith(
        "1_results.db: found kernels without start in schema 9; wanted rocpd schema 3 or 4"
    )


def test_tables_of_schema_4_are_not_joined_as_those_of_3(tmp_path):
    moved = "id, guid, track_id, kernel_id, dispatch_id, start_id, end_id"
    path = make(
        tmp_path,
        rows={"rocpd_kernel_dispatch": []},
        tables={"rocpd_kernel_dispatch": moved},
    )
    with pytest.raises(RocmoeError, match=r"rocpd_kernel_dispatch without pid, agent_id, start"):
        read(path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("start", "soon", "start_ns: found 'soon'"), ("group_segment_size", 1.5, "found 1.5")],
)
def test_values_of_another_type_are_refused(tmp_path, column, value, message):
    path = make(tmp_path, KERNELS_3)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f'UPDATE "rocpd_kernel_dispatch{ENDING}" SET "{column}" = ?', (value,))
        connection.commit()
    with pytest.raises(RocmoeError, match=message):
        read(path)


def test_what_is_no_database(tmp_path):
    path = tmp_path / "x_results.db"
    path.write_bytes(make(tmp_path).read_bytes()[:5000])
    with pytest.raises(RocmoeError, match=r"x_results\.db: found no readable rocpd database"):
        read(path)
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE top (id)")
    assert not has_rocpd(tmp_path / "other.db")
    with pytest.raises(RocmoeError, match=r"neither kernels nor the tables behind it"):
        read(tmp_path / "other.db")
