"""The JSON tree: names by number, instances summed, and the place of what is wrong."""

import json
import random
from copy import deepcopy
from pathlib import Path

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.rocprof_json import read_json

FIXTURE = Path(__file__).parent / "fixtures" / "v70.json"


def load():
    return json.loads(FIXTURE.read_text(encoding="utf-8"))


def read(folder, document):
    path = folder / "1_results.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return read_json(path, "1_results.json", "1")


def test_a_launch_has_its_names_and_its_own_lds():
    trace = read_json(FIXTURE, "v70.json", "41822")
    first, second = trace.dispatches
    assert (trace.tool, trace.form, trace.sources) == ("rocprofv3", "JSON", ("v70.json",))
    assert first.kernel == "void topk<float>(float const*)"
    assert first.symbol == "_Z4topkIfEvPKf.kd"
    assert (first.agent, first.queue, first.stream, first.correlation_id) == ("Agent 4", 94, 0, 7)
    assert (first.duration_ns, first.grid, first.workgroup) == (12800, (1024, 2, 1), (64, 1, 1))
    assert (first.lds_bytes, first.static_lds_bytes) == (4096, 512)
    assert (first.vgprs, first.accum_vgprs, first.sgprs) == (24, 8, 32)
    assert (second.dispatch_id, second.kernel) == (2, "_Z6otherPf.kd")
    (agent,) = (agent for agent in trace.agents if agent.type == "GPU")
    assert (agent.name, agent.cu_count, agent.xcc_count) == ("gfx942", 304, 8)


def test_instances_of_a_counter_are_summed_and_the_launch_is_counted():
    trace = read_json(FIXTURE, "v70.json", "41822")
    assert [(each.dispatch_id, each.counter, each.value) for each in trace.counters] == [
        (1, "TCC_HIT", 30.0), (1, "SQ_WAVES", 32.0),
    ]  # fmt: skip
    assert [each.counted for each in trace.dispatches] == [True, True]


def test_several_processes_are_told_apart(tmp_path):
    document = load()
    (one,) = document["rocprofiler-sdk-tool"]
    other = deepcopy(one)
    other["metadata"]["pid"] = 7
    other["callback_records"] = {}
    document["rocprofiler-sdk-tool"].append(other)
    trace = read(tmp_path, document)
    assert {each.process for each in trace.dispatches} == {"1#41822", "1#7"}
    assert {each.process for each in trace.dispatches if each.counted} == {"1#41822"}


def test_kernels_are_found_by_id_and_not_by_place(tmp_path):
    document = load()
    random.Random(1).shuffle(document["rocprofiler-sdk-tool"][0]["kernel_symbols"])
    document["rocprofiler-sdk-tool"][0]["kernel_symbols"].reverse()
    assert set(read(tmp_path, document).dispatches) == {
        *(each for each in read(tmp_path, load()).dispatches)
    }


def test_nothing_of_the_environment_is_read():
    assert "hunter2" in FIXTURE.read_text(encoding="utf-8")
    assert "hunter2" not in repr(read_json(FIXTURE, "v70.json", "41822"))


def edit(path, value):
    def change(process):
        *parts, last = path
        for part in parts:
            process = process[part]
        if value is None:
            del process[last]
        else:
            process[last] = value

    return change


LAUNCH = ("buffer_records", "kernel_dispatch", 0)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((*LAUNCH, "dispatch_info", "kernel_id"), 99,
         "found kernel_id 99, which kernel_symbols does not list"),
        ((*LAUNCH, "dispatch_info", "agent_id", "handle"), 98,
         "found agent_id 98, which agents does not list"),
        (("counters",), [], "found counter_id 5, which counters does not list"),
        ((*LAUNCH, "start_timestamp"), "soon", "kernel_dispatch[0].start_timestamp"),
        ((*LAUNCH, "dispatch_info", "grid_size"), None, "missing required field `grid_size`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_a_line(tmp_path, path, value, message):
    document = load()
    edit(path, value)(document["rocprofiler-sdk-tool"][0])
    with pytest.raises(RocmoeError) as caught:
        read(tmp_path, document)
    assert str(caught.value).startswith("1_results.json: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_cut_is_told_with_line_and_column(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"rocprofiler-sdk-tool": [\n  {"metadata": {"pid": }}]}', encoding="utf-8")
    with pytest.raises(RocmoeError, match=r"x\.json:2:24: found no JSON"):
        read_json(path, "x.json", "1")
    path.write_bytes(FIXTURE.read_bytes()[:200])
    with pytest.raises(RocmoeError, match=r"x\.json:\d+:\d+: found no JSON \(.*truncated"):
        read_json(path, "x.json", "1")
    path.write_text('{"rocprofiler-sdk-tool": []}', encoding="utf-8")
    with pytest.raises(RocmoeError, match=r"found no process"):
        read_json(path, "x.json", "1")
