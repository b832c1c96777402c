"""A file or a folder, whatever is in it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.reading import read_profile
from rocmoe.profiles.profiling.sniff import list_sources, sniff
from rocmoe.profiles.profiling.trace import list_missing

FIXTURES = Path(__file__).parent / "fixtures"
GUID = "0000ddb5-8903-7903-b269-cd8d3745bb8a"


def put(folder, name, source):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(FIXTURES / source, path)
    return path


def make_database(path, guid=GUID):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE VIEW kernels AS SELECT 'topk' AS name, 1 AS pid, 10 AS start, 30 AS end,"
            f" 1 AS dispatch_id, '{guid}' AS guid, 4096 AS lds_size"
        )
        connection.execute(
            "CREATE VIEW counters_collection AS SELECT 1 AS pid, 1 AS dispatch_id,"
            " 'topk' AS kernel_name, 'SQ_WAVES' AS counter_name, 2.0 AS value"
        )
        connection.commit()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("v62/41822_kernel_trace.csv", "kernel_trace"),
        ("convert/out_kernel_trace.csv", "kernel_trace"),
        ("v62/counters_15.csv", "counters"),
        ("v70/41822_agent_info.csv", "agents"),
        ("v70/41822_domain_stats.csv", "stats"),
        ("v70/41822_hip_api_trace.csv", "unused"),
        ("legacy/results.csv", "v1"),
        ("legacy/results.stats.csv", "stats"),
        ("v2/results_15606.csv", "v2"),
        ("v70.json", "json"),
    ],
)
def test_a_file_is_known_by_what_it_holds(tmp_path, name, kind):
    renamed = tmp_path / f"renamed{Path(name).suffix}"
    shutil.copy(FIXTURES / name, renamed)
    assert sniff(renamed) == kind


def test_foreign_files_are_known_as_such(tmp_path):
    texts = {"a.csv": "a,b\n1,2\n", "b.json": '{"traceEvents": []}', "c.csv": "", "d.json": "[]"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert sniff(tmp_path / name) == "foreign"
    with closing(sqlite3.connect(tmp_path / "v1.db")) as connection:
        connection.execute("CREATE TABLE A (id)")
    assert sniff(tmp_path / "v1.db") == "foreign"


def test_a_folder_with_several_processes_and_a_pass_of_counters(tmp_path):
    put(tmp_path, "node/1_kernel_trace.csv", "v70/41822_kernel_trace.csv")
    put(tmp_path, "node/1_agent_info.csv", "v70/41822_agent_info.csv")
    put(tmp_path, "node/1_hip_api_trace.csv", "v70/41822_hip_api_trace.csv")
    put(tmp_path, "node/2_kernel_trace.csv", "v63/41822_kernel_trace.csv")
    put(tmp_path, "pass_1/node/3_counter_collection.csv", "v70/15606_counter_collection.csv")
    trace = read_profile(tmp_path)
    assert [(each.process, each.dispatch_id, each.counted) for each in trace.dispatches] == [
        ("node/1", 1, False), ("node/1", 4, False), ("node/2", 1, False), ("node/2", 4, False),
        ("pass_1/node/3", 1, True), ("pass_1/node/3", 2, True),
    ]  # fmt: skip
    assert trace.tool == "rocprofv3"
    assert (
        trace.form == "CSV of ROCm 7.0 or later, CSV of ROCm 6.3 or 6.4, CSV of ROCm 6.4 or later"
    )
    assert "node/1_hip_api_trace.csv" not in trace.sources
    assert trace.dispatches[1].total_vgprs == 16  # of gfx942, which its agents tell
    assert list_missing(trace, ["SQ_WAVES", "TCC_HIT_sum"]) == ["TCC_HIT_sum"]


def test_the_database_goes_before_json_and_json_before_csv(tmp_path):
    put(tmp_path, "1_kernel_trace.csv", "v70/41822_kernel_trace.csv")
    put(tmp_path, "1_kernel_stats.csv", "v70/41822_domain_stats.csv")
    put(tmp_path, "1_agent_info.csv", "v70/41822_agent_info.csv")
    put(tmp_path, "1_results.json", "v70.json")
    trace = read_profile(tmp_path)
    assert (trace.form, [each.lds_bytes for each in trace.dispatches]) == ("JSON", [4096, 0])
    assert len(trace.agents) == 2
    assert [each.domain for each in trace.stats] == ["kernel"]
    make_database(tmp_path / "1_results.db")
    trace = read_profile(tmp_path)
    assert (trace.form, [each.kernel for each in trace.dispatches]) == (
        "rocpd schema of no version",
        ["topk"],
    )


def test_a_converted_table_beside_its_database_is_not_read_twice(tmp_path):
    put(tmp_path, "rocpd-output-data/out_kernel_trace.csv", "convert/out_kernel_trace.csv")
    make_database(tmp_path / "1_results.db", "another")
    assert len(read_profile(tmp_path).dispatches) == 3
    (tmp_path / "1_results.db").unlink()
    make_database(tmp_path / "1_results.db")
    assert [each.kernel for each in read_profile(tmp_path).dispatches] == ["topk"]


def test_titles_and_file_names_of_other_versions_of_rocpd_convert(tmp_path):
    """`Vgpr_Count`, and `out_counter_collection_trace.csv`."""
    for kind, source in {
        "kernel_trace": "convert/out_kernel_trace.csv",
        "counter_collection_trace": "v70/15606_counter_collection.csv",
        "agent_info": "v70/41822_agent_info.csv",
    }.items():
        head, *rows = (FIXTURES / source).read_text(encoding="utf-8").splitlines()
        if kind != "kernel_trace":
            head, rows = f'"Guid",{head}', [f'"{GUID}",{row}' for row in rows]
        text = "\n".join([head.replace("VGPR", "Vgpr").replace("SGPR", "Sgpr"), *rows])
        text = text.replace("LDS_Block_Size", "Lds_Block_Size")
        (tmp_path / f"out_{kind}.csv").write_text(text, encoding="utf-8")
    trace = read_profile(tmp_path)
    assert [(each.dispatch_id, each.counted) for each in trace.dispatches] == [
        (2, True), (1, True), (4, False),
    ]  # fmt: skip
    assert {each.process for each in (*trace.dispatches, *trace.agents)} == {f"out#{GUID}"}
    first, last = trace.dispatches[1:]
    assert (first.lds_bytes, first.vgprs, last.accum_vgprs, last.sgprs) == (2048, 8, 4, 16)
    assert last.total_vgprs == 16


def test_a_file_that_cannot_be_opened_is_not_called_foreign(tmp_path):
    with pytest.raises(RocmoeError, match=r"found no readable file \(Is a directory\)"):
        sniff(tmp_path)


def test_a_single_trace_takes_the_agents_beside_it(tmp_path):
    path = put(tmp_path, "1_kernel_trace.csv", "v70/41822_kernel_trace.csv")
    put(tmp_path, "1_agent_info.csv", "v70/41822_agent_info.csv")
    put(tmp_path, "2_agent_info.csv", "v70/15606_agent_info.csv")
    assert [each.name for each in list_sources(path)] == [
        "1_kernel_trace.csv",
        "1_agent_info.csv",
    ]
    trace = read_profile(path)
    assert trace.find_agent(trace.dispatches[0]).name == "gfx942"


@pytest.mark.parametrize(
    ("name", "tool", "launches"),
    [("legacy", "rocprof", 2), ("v2", "rocprofv2", 1), ("legacy/results.csv", "rocprof", 2)],
)
def test_the_older_tools(name, tool, launches):
    trace = read_profile(FIXTURES / name)
    assert (trace.tool, len(trace.dispatches)) == (tool, launches)
    assert trace.notes == ()


def test_foreign_files_are_noted(tmp_path):
    put(tmp_path, "1_kernel_trace.csv", "v63/41822_kernel_trace.csv")
    (tmp_path / "notes.csv").write_text("a,b\n", encoding="utf-8")
    assert read_profile(tmp_path).notes == ("notes.csv: not of a profiler that is known; left out",)


def test_nothing_to_read(tmp_path):
    with pytest.raises(RocmoeError, match=r"gone: found nothing; wanted \*_results\.db"):
        read_profile(tmp_path / "gone")
    with pytest.raises(
        RocmoeError, match=r"found no \.db, \.json or \.csv file; .*launches no ker"
    ):
        read_profile(tmp_path)
    put(tmp_path, "1_agent_info.csv", "v70/41822_agent_info.csv")
    put(tmp_path, "1_hip_api_trace.csv", "v70/41822_hip_api_trace.csv")
    with pytest.raises(
        RocmoeError, match=r"2 file\(s\) without kernels \(1_agent_info\.csv, 1_hip"
    ):
        read_profile(tmp_path)


def test_a_malformed_file_in_a_folder_is_named(tmp_path):
    path = put(tmp_path, "node/1_kernel_trace.csv", "v70/41822_kernel_trace.csv")
    path.write_text(path.read_text(encoding="utf-8")[:-12], encoding="utf-8")
    with pytest.raises(RocmoeError, match=r"^node/1_kernel_trace\.csv:3: found 20 cells"):
        read_profile(tmp_path)
    (tmp_path / "2_results.db").write_bytes(b"nothing")
    (path).unlink()
    with pytest.raises(RocmoeError, match=r"^2_results\.db: found no readable rocpd database"):
        read_profile(tmp_path)
