"""What is written down of a trace, with what no trace tells."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from rocmoe.ops.core.spec import Cost
from rocmoe.profiles.hardware import load_hardware
from rocmoe.profiles.profiling.kernels import list_kernels
from rocmoe.profiles.profiling.record import ProfileRecord
from rocmoe.profiles.profiling.recording import Setting, make_record
from rocmoe.profiles.profiling.torch_trace import read_torch_trace
from rocmoe.profiles.profiling.trace import Agent, CounterValue, Dispatch, Trace

FIXTURE = Path(__file__).parent / "fixtures/torch/h100.json"
H100, MI300X = load_hardware("h100"), load_hardware("mi300x")
SM_90 = Agent(process="torch", type="GPU", name="sm_90", of_type=0, cu_count=132)
GFX942 = Agent(process="1", type="GPU", name="gfx942", index=4, cu_count=304, xcc_count=8)
COST = Cost(bytes_read=6_700_000, bytes_written=0, operations=1_000_000)


def record(trace, **setting):
    return make_record(trace, list_kernels(trace), Setting(**setting))


@pytest.fixture
def on_h100():
    trace = read_torch_trace(FIXTURE, [SM_90])
    return lambda **more: record(
        trace, **{"hardware": H100, "calls": 2, "cost": COST, "empty_us": 1.5, **more}
    )


def test_a_call_of_several_kernels_is_under_the_roof_as_a_whole(on_h100):
    found = on_h100()
    topk, fill, copy = found.kernels
    assert [each.a_call for each in found.kernels] == [1.0, 1.0, 1.0]
    us = 13.077 + 1.728 + 1.504
    place = found.roofline
    assert place.time_us == pytest.approx(us)
    assert place.at_least
    assert place.memory_share == pytest.approx(6.7e6 / (us * 3350e3))
    assert place.roof_us == pytest.approx(2.0)
    # What one of them has to move is not known, nor is it what the call has to.
    assert (topk.roofline, topk.diagnosis.kind) == (None, "undecided")
    assert fill.diagnosis.line == "launch-bound: 1.73 us, and an empty kernel takes 1.5 us"
    assert (topk.vgprs, topk.agprs, topk.lds_bytes) == (56, None, 4096)
    assert (topk.occupancy, fill.occupancy) == (100.0, pytest.approx(100 * 0.484848 / 64))
    assert (copy.short, copy.blocks, copy.occupancy, copy.limited_by) == (
        "Memcpy DtoD", None, None, [],
    )  # fmt: skip


def test_a_kernel_that_is_the_whole_call_has_to_move_its_bytes():
    launches = [each for each in read_torch_trace(FIXTURE).dispatches if each.vgprs == 56]
    trace = Trace(tool="torch", form="f", dispatches=(*launches,), agents=(SM_90,))
    (kernel,) = record(trace, hardware=H100, calls=2, cost=COST, empty_us=1.5).kernels
    assert kernel.roofline.at_least
    assert kernel.roofline.moved_bytes == 6_700_000
    assert kernel.diagnosis.line == (
        "undecided: valu_busy, lds_busy, waiting not collected; memory at least 15%, "
        "FP32 at least 0%"
    )
    large = Cost(bytes_read=30_000_000, bytes_written=0, operations=0)
    (cached,) = record(trace, hardware=H100, calls=2, cost=large, empty_us=1.5).kernels
    assert "dram_reads (a cache may have served it)" in cached.diagnosis.missing
    larger = Cost(bytes_read=60_000_000, bytes_written=0, operations=0)
    slow = [replace(each, end_ns=each.start_ns + 25_000) for each in launches]
    trace = Trace(tool="torch", form="f", dispatches=(*slow,), agents=(SM_90,))
    (bound,) = record(trace, hardware=H100, calls=2, cost=larger, empty_us=1.5).kernels
    assert bound.diagnosis.line == "HBM-bound: at least 2400 GB/s, 72% of 3350"


def test_few_workgroups_are_told_of_what_is_undecided(on_h100):
    line = next(each for each in on_h100(empty_us=0.1).kernels if each.blocks == 16).diagnosis.line
    assert line.endswith("16 workgroups leave 116 of 132 compute units idle")


def test_bytes_that_were_counted_go_before_those_that_are_needed():
    def launch(number, counted):
        return Dispatch(
            process=str(counted), kernel="k", agent="Agent 4", dispatch_id=number,
            start_ns=0, end_ns=10_000, counted=counted, grid=(64,), workgroup=(64,),
        )  # fmt: skip

    counts = {"TCC_BUBBLE_sum": 0.0, "TCC_EA0_RDREQ_sum": 1e6, "TCC_EA0_RDREQ_32B_sum": 0.0,
              "WRITE_SIZE": 1000.0}  # fmt: skip
    trace = Trace(
        tool="rocprofv3", form="JSON", agents=(GFX942,),
        dispatches=(launch(1, False), launch(1, True)),
        counters=tuple(
            CounterValue(process="True", dispatch_id=1, kernel="k", counter=name, value=value)
            for name, value in counts.items()
        ),
    )  # fmt: skip
    found = record(trace, hardware=MI300X, calls=1, cost=COST)
    (kernel,) = found.kernels
    assert kernel.launches == 1, "the one that was timed"
    assert not kernel.roofline.at_least
    assert kernel.roofline.moved_bytes == 64e6 + 1024e3
    assert kernel.roofline.operations is None
    metrics = {each.metric: each for each in kernel.metrics}
    assert metrics["fabric_bytes"].value == 64e6 + 1024e3
    assert metrics["valu_busy"].value is None
    assert metrics["valu_busy"].reason.startswith("not collected")
    assert found.roofline.at_least, "of the call it is what the op needs"


def test_without_a_known_gpu_there_is_a_rate_and_no_share(on_h100):
    found = on_h100(hardware=None)
    assert (found.hardware, found.roofline.memory_share) == (None, None)
    assert found.roofline.gb_per_s == pytest.approx(6.7e6 / 16.309e3)
    assert all(each.diagnosis is None for each in found.kernels)


def test_a_record_is_the_same_behind_json(on_h100):
    found = on_h100(notes=("a note",), commands=(("rocprofv3", "--pmc"),), version="2.11.0")
    again = msgspec.json.decode(msgspec.json.encode(found), type=ProfileRecord)
    assert again == found
    assert (again.tool, again.version, again.calls) == ("torch's profiler", "2.11.0", 2)
