"""Traces for Perfetto: their form, and where they are written."""

import gzip
import json

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.perfetto import (
    CALLS,
    OUTSIDE,
    check_trace_file,
    name_files,
    render_trace,
    write_trace_file,
)
from rocmoe.profiles.profiling.trace import Dispatch, Trace


def launch(number, kernel="void topk<4>(float*)", **more):
    start = 1_550_151_853_029_637 + 10_000 * number
    given = {"agent": "Agent 4", "queue": 1, "start_ns": start, "end_ns": start + 2345,
             "grid": (1024, 1, 1), "workgroup": (64, 1, 1), "vgprs": 32,
             "lds_bytes": 512}  # fmt: skip
    return Dispatch(process="1", kernel=kernel, dispatch_id=number, **{**given, **more})


def render(*launches, outside=()):
    return json.loads(render_trace(Trace(tool="rocprofv3", form="JSON", dispatches=launches),
                                   outside))  # fmt: skip


def test_launches_are_complete_events_and_rows_have_names():
    document = render(launch(2), launch(3, stream=5), outside=[launch(1, "fill")])
    assert document["displayTimeUnit"] == "ns"
    events = [each for each in document["traceEvents"] if each["ph"] == "X"]
    assert [each["cat"] for each in events] == [OUTSIDE, CALLS, CALLS]
    for each in events:
        assert {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"} <= set(each)
        assert isinstance(each["pid"], int)
        assert isinstance(each["tid"], int)
    _, second, third = events
    assert (second["name"], second["ts"], second["dur"]) == ("topk", 10.0, 2.345)
    assert second["args"] == {
        "kernel": "void topk<4>(float*)", "grid (work-items)": [1024, 1, 1],
        "workgroup": [64, 1, 1], "blocks": 16, "LDS bytes": 512, "VGPRs": 32, "dispatch": 2,
    }  # fmt: skip
    assert (second["tid"], third["tid"]) == (1, 5)
    named = {
        (each["name"], each["pid"], each["tid"]): each["args"]["name"]
        for each in document["traceEvents"]
        if each["ph"] == "M"
    }
    assert named == {
        ("process_name", 1, 0): "Agent 4 (1)",
        ("thread_name", 1, 1): "stream or queue 1",
        ("thread_name", 1, 5): "stream or queue 5",
    }


def test_what_was_counted_or_has_no_time_is_not_on_the_line_of_time():
    assert render(launch(1, counted=True), launch(2, start_ns=None))["traceEvents"] == []


def test_several_profiles_have_files_of_their_own(tmp_path):
    path = tmp_path / "t.json"
    assert name_files(path, 1) == [path]
    assert [each.name for each in name_files(path, 2)] == ["t.01.json", "t.02.json"]
    assert [each.name for each in name_files(tmp_path / "t.json.gz", 100)][::99] == [
        "t.001.json.gz", "t.100.json.gz",
    ]  # fmt: skip


def test_a_trace_is_packed_where_its_name_says_so(tmp_path):
    write_trace_file(b"{}", tmp_path / "t.json.gz")
    write_trace_file(b"{}", tmp_path / "t.json")
    assert gzip.decompress((tmp_path / "t.json.gz").read_bytes()) == b"{}"
    assert (tmp_path / "t.json").read_bytes() == b"{}"


def test_a_file_that_cannot_be_a_trace_is_refused_before_anything_runs(tmp_path):
    check_trace_file(None)
    check_trace_file(tmp_path / "new" / "t.json")
    with pytest.raises(RocmoeError, match=r"--trace .*t.txt: wanted a name that ends in .json"):
        check_trace_file(tmp_path / "t.txt")
    (tmp_path / "d.json").mkdir()
    with pytest.raises(RocmoeError, match=r"--trace .*d.json cannot be written: it is a folder"):
        check_trace_file(tmp_path / "d.json")
