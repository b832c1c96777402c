"""The timers on a real GPU: what they count and refuse, never how long it takes."""

import pytest
import torch

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.topk_softmax import run_torch
from rocmoe.profiles.job import Timing
from rocmoe.profiles.measuring.flush import make_flush
from rocmoe.profiles.measuring.machine import Gpu
from rocmoe.profiles.measuring.timers import Effort, RefusedError, Work, take_samples
from rocmoe.profiles.measuring.timing import examine_and_time
from rocmoe.profiles.telemetry.findings import look_at_telemetry
from rocmoe.profiles.telemetry.sampler import MOST_READINGS
from rocmoe.profiles.tools import Machine as DoctorMachine

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
]
EFFORT = Effort(samples=5, least=3, seconds=0.05, calls=4, loop=4)
SPEC = load_op("topk_softmax")
CASE = parse_case("topk_softmax:T=64,E=64,k=4:bf16:renormalize=true:normal:contiguous")


@pytest.fixture(scope="module")
def gpu():
    return Gpu(0)


@pytest.mark.parametrize("timer", ["graph", "events", "kernel", "wall"])
@pytest.mark.parametrize("cold", [False, True])
def test_every_timer_samples_calls_on_every_set(gpu, timer, cold):
    counters = [torch.zeros(1000, device="cuda") for _ in range(3 if cold else 1)]
    flush = make_flush(Device("gpu"), 2 * gpu.cache_bytes) if cold else None

    def call(number):
        return counters[number % len(counters)].add_(1.0)

    sampled = take_samples(timer, gpu, Work(call, len(counters), flush), EFFORT)
    assert 3 <= len(sampled.samples_us) <= 5
    assert all(us > 0.0 for us in sampled.samples_us)
    assert all(counter[0] >= 2.0 for counter in counters)
    assert len({float(counter.std()) for counter in counters}) == 1


def test_a_replay_makes_every_call_again(gpu):
    counter = torch.zeros(1, device="cuda")
    sampled = take_samples("graph", gpu, Work(lambda n: counter.add_(1.0)), EFFORT)
    before = counter.item()
    sampled.replay()
    assert counter.item() == before + sampled.calls == before + EFFORT.calls


@pytest.mark.parametrize("call", [lambda n: torch.ones(1, device="cuda").item(), lambda n: None])
def test_what_no_graph_can_hold_is_refused(gpu, call):
    with pytest.raises(RefusedError, match="cannot be captured in a graph"):
        take_samples("graph", gpu, Work(call), EFFORT)
    assert take_samples("wall", gpu, Work(lambda n: None), EFFORT).samples_us


def test_calls_that_do_nothing_on_the_device_have_no_kernel_time(gpu):
    with pytest.raises(RefusedError, match="0 device activities"):
        take_samples("kernel", gpu, Work(lambda n: None), EFFORT)


def test_measurements_have_floors_of_the_same_bytes():
    implementation = Implementation("topk_softmax", "torch", run_torch)
    timing = Timing(["wall", "graph", "events", "kernel"], ["warm", "cold"])
    examined = examine_and_time(
        SPEC, CASE, implementation, Device("gpu"), strict=False, timing=timing
    )
    assert examined.verdict.ok
    assert len(examined.measurements) == 8
    assert {each.status for each in examined.measurements} <= {"ok", "unverified", "throttled"}
    cost = SPEC.cost(CASE)
    for each in examined.measurements:
        stream = each.floors["stream"]
        assert (stream.bytes_read, stream.bytes_written) == (cost.bytes_read, cost.bytes_written)
        assert stream.samples_us
        assert each.floors["empty"].samples_us


def test_a_measurement_of_a_small_kernel_has_telemetry_and_was_not_held_back():
    """Here a source must tell: where the driver is, NVML or AMD's library comes with it."""
    implementation = Implementation("topk_softmax", "torch", run_torch)
    timing = Timing(["graph", "wall"], ["warm"])
    examined = examine_and_time(
        SPEC, CASE, implementation, Device("gpu"), strict=False, timing=timing
    )
    for each in examined.measurements:
        (telemetry,) = each.telemetry
        assert telemetry.reason is None, telemetry.reason
        assert telemetry.before.taken_s < telemetry.after.taken_s
        assert len(telemetry.during) <= MOST_READINGS
        for reading in (telemetry.before, telemetry.after):
            assert reading.gfx_clock_mhz > 0.0, reading
            assert reading.socket_power_w > 0.0, reading
        assert each.status == "ok", (each.reason, telemetry)
    looked = look_at_telemetry(DoctorMachine())
    assert looked.status == "ok", looked
    assert examined.measurements[0].telemetry[0].before.source in looked.found
