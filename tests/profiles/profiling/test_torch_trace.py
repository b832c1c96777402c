"""The Chrome trace of torch's profiler, as torch 2.11 writes it on an H100."""

import json
from pathlib import Path

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.kernels import list_kernels
from rocmoe.profiles.profiling.torch_trace import read_torch_trace
from rocmoe.profiles.profiling.trace import Agent

FIXTURE = Path(__file__).parent / "fixtures/torch/h100.json"
H100 = Agent(process="torch", type="GPU", name="sm_90", product="NVIDIA H100 80GB HBM3", of_type=0)


@pytest.fixture
def change(tmp_path):
    """The fixture with its first kernel changed: read by the reader."""

    def read(**changes):
        document = json.loads(FIXTURE.read_text())
        event = next(each for each in document["traceEvents"] if each.get("cat") == "kernel")
        event.update({name: value for name, value in changes.items() if name in event})
        event["args"].update(changes.get("more", {}))
        (tmp_path / "t.json").write_text(json.dumps(document))
        return read_torch_trace(tmp_path / "t.json")

    return read


def test_what_the_device_did_in_its_order_with_times_to_the_nanosecond():
    trace = read_torch_trace(FIXTURE, [H100])
    assert [each.duration_ns for each in trace.dispatches] == [
        1728, 12577, 1504, 1728, 13577, 1504,
    ]  # fmt: skip
    assert trace.dispatches[0].start_ns == 5214826123456
    fill, topk, copy = trace.dispatches[:3]
    assert (topk.kernel, topk.stream, topk.correlation_id) == ("_topk_softmax_kernel", 7, 12)
    assert (topk.grid, topk.workgroup, topk.blocks) == ((524288, 1, 1), (128, 1, 1), 4096)
    assert (topk.lds_bytes, topk.vgprs, topk.sgprs) == (4096, 56, None)
    assert (topk.occupancy, topk.waves_per_cu) == (100.0, 124.121216)
    assert (fill.blocks, fill.occupancy) == (16, 1.0)
    assert (copy.grid, copy.lanes, copy.vgprs, copy.occupancy) == (None, None, None, None)
    assert trace.find_agent(topk) == H100


def test_kernels_copies_and_fills_have_short_names():
    kernels = list_kernels(read_torch_trace(FIXTURE))
    assert [(each.short, each.durations_ns) for each in kernels] == [
        ("_topk_softmax_kernel", (12577, 13577)),
        ("at::native::vectorized_elementwise_kernel", (1728, 1728)),
        ("Memcpy DtoD", (1504, 1504)),
    ]


def test_what_the_profiler_does_not_know_is_none(change):
    nothing = {
        "warps per SM": "inf", "est. achieved occupancy %": -100, "grid": None,
        "registers per thread": None, "device": None,
    }  # fmt: skip
    launch = change(more=nothing).dispatches[1]
    assert launch.kernel == "_topk_softmax_kernel"
    assert (launch.waves_per_cu, launch.occupancy, launch.vgprs) == (None, None, None)
    assert (launch.grid, launch.workgroup, launch.agent) == (None, None, None)


def test_whole_microseconds_of_older_versions_are_read(change):
    assert change(ts=5214826133, dur=12).dispatches[1].duration_ns == 12000


def test_what_is_malformed_is_told_with_its_place(change, tmp_path):
    with pytest.raises(RocmoeError, match=r"t.json: traceEvents\[3\]: dur: found None; wanted"):
        change(dur=None)
    with pytest.raises(RocmoeError, match=r"traceEvents\[3\]: found kernel without name or args"):
        change(name=None)
    path = tmp_path / "other.json"
    for text, said in (
        ("{", "other.json: found no JSON"),
        ("[]", "found no list of traceEvents"),
        ('{"traceEvents": [1]}', "found no list of traceEvents"),
    ):
        path.write_text(text)
        with pytest.raises(RocmoeError, match=said):
            read_torch_trace(path)
    with pytest.raises(RocmoeError, match="found no readable file"):
        read_torch_trace(tmp_path / "gone.json")
