"""Telemetry around what is timed: where it is read, how often, and what it does to a status."""

from __future__ import annotations

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.topk_softmax import run_torch
from rocmoe.profiles.artifact import Measurement
from rocmoe.profiles.examination import draw_twice
from rocmoe.profiles.job import Timing
from rocmoe.profiles.measuring import conditions
from rocmoe.profiles.measuring import timing as road
from rocmoe.profiles.measuring.conditions import choose_telemetry, pause_in
from rocmoe.profiles.measuring.efforts import Rounds
from rocmoe.profiles.measuring.stand import Stand, measure_in_turns
from rocmoe.profiles.measuring.timers import Effort
from rocmoe.profiles.measuring.timing import examine_and_time, time_in_turns
from rocmoe.profiles.telemetry import sampler
from rocmoe.profiles.telemetry.choice import Choice
from rocmoe.profiles.telemetry.reading import ReadError, Reading, Telemetry

SPEC = load_op("topk_softmax")
CASE = parse_case("topk_softmax:T=6,E=16,k=3:fp32:renormalize=true:normal:contiguous")
EFFORT = Effort(samples=8, least=2, seconds=10.0, calls=4, loop=2)
TIMING = Timing(["graph", "wall"], ["warm"])


class Source:
    """A source whose counter of violations grows by `grows` a reading."""

    name = "pretended"

    def __init__(self, in_process=True, grows=0, fails=False):
        self.in_process, self.grows, self.fails, self.count = in_process, grows, fails, 0

    def read(self, gpu_index):
        self.count += 1
        if self.fails:
            raise ReadError("pretended tells nothing")
        violations = {"ppt": self.grows * self.count}
        return Reading(float(self.count), self.name, gpu_index, violation_counts=violations)


@pytest.fixture
def make_stand(gpu):
    """A stand on a GPU of pretence, each call of which takes it so long."""

    def make_stand(source, device_us=5.0):
        def call(gating_output, topk, renormalize):
            gpu.launch(device_us)
            return run_torch(gating_output, topk, renormalize)

        implementation = Implementation("topk_softmax", "user", call)
        choice = Choice(source, 2)
        return Stand(SPEC, CASE, implementation, Device("cpu"), draw_twice(SPEC, CASE), False,
                     gpu, EFFORT, choice)  # fmt: skip

    return make_stand


def list_times(telemetry: Telemetry) -> list[float]:
    return [reading.taken_s for reading in telemetry.readings]


def test_each_measurement_has_readings_of_its_own(make_stand, monkeypatch):
    monkeypatch.setattr(sampler, "PERIOD_S", 0.0)
    monkeypatch.setattr(sampler, "PARTS", 0.0)
    source = Source()
    graph, wall = make_stand(source).measure(TIMING)
    for each in (graph, wall):
        (telemetry,) = each.telemetry
        assert telemetry.before.gpu_index == 2
        assert 2 <= len(telemetry.during) <= 4
        assert (each.status, len(each.samples_us[0])) == ("ok", 8)
    # Graphs are taken last; each timer has one reading before, one a sample, and one after.
    assert (wall.telemetry[0].before.taken_s, wall.telemetry[0].after.taken_s) == (1.0, 10.0)
    assert (graph.telemetry[0].before.taken_s, graph.telemetry[0].after.taken_s) == (11.0, 20.0)


def test_readings_are_taken_in_pauses_and_cost_no_sample_anything(make_stand, gpu, monkeypatch):
    """The host's clock goes on while it reads, as it would for a library."""
    monkeypatch.setattr(sampler, "PERIOD_S", 0.0)
    monkeypatch.setattr(sampler, "PARTS", 0.0)

    class Slow(Source):
        def read(self, gpu_index):
            gpu.host += 400.0
            return super().read(gpu_index)

    slow, quick = (make_stand(source).measure(TIMING) for source in (Slow(), Source()))
    assert [each.samples_us for each in slow] == [
        [pytest.approx(group) for group in each.samples_us] for each in quick
    ]


def test_a_violation_while_samples_were_taken_is_throttling(make_stand):
    graph, wall = make_stand(Source(grows=3)).measure(TIMING)
    assert (graph.status, wall.status) == ("throttled", "throttled")
    assert graph.reason == "ppt limited the clock in 3 samples"


def test_those_who_take_turns_share_readings(make_stand):
    source = Source(grows=3)
    stands = [make_stand(source), make_stand(source, 7.0)]
    for first, second in measure_in_turns(stands, TIMING):
        assert first.telemetry == second.telemetry
        assert len(first.telemetry) == 1
        assert (first.status, second.status) == ("throttled", "throttled")
    assert source.count == 4


def test_a_source_that_fails_costs_the_reading_alone(make_stand):
    graph, wall = make_stand(Source(fails=True)).measure(TIMING)
    for each in (graph, wall):
        assert (each.status, len(each.samples_us[0])) == ("ok", 8)
        assert each.telemetry == [Telemetry(reason="pretended tells nothing")]


def test_no_source_is_a_reason_at_each_measurement(make_stand):
    graph, wall = make_stand(None).measure(TIMING)
    reason = "no source tells about this GPU: `rocmoe doctor` says why"
    assert graph.telemetry == wall.telemetry == [Telemetry(reason=reason)]


def test_a_refused_measurement_has_no_telemetry(make_stand, gpu):
    gpu.refuses = True
    graph, wall = make_stand(Source()).measure(TIMING)
    assert (graph.status, graph.telemetry) == ("refused", [])
    assert len(wall.telemetry) == 1


def test_a_program_is_not_read_by_a_stand(make_stand):
    source = Source(in_process=False)
    assert [each.telemetry for each in make_stand(source).measure(TIMING)] == [[], []]
    assert source.count == 0


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(road, "load_effort", lambda name: Rounds(1, 1, effort=EFFORT))


@pytest.fixture
def pretend_choice(monkeypatch):
    """A choice for whatever device work is timed on."""

    def pretend_choice(source):
        monkeypatch.setattr(road, "choose_telemetry", lambda device: Choice(source, 0))
        return source

    return pretend_choice


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("grows", "status"), [(0, "ok"), (2, "throttled")])
def test_a_program_is_read_once_around_all_of_a_case(pretend_choice, grows, status):
    source = pretend_choice(Source(in_process=False, grows=grows))
    implementation = Implementation("topk_softmax", "torch", run_torch)
    timing = Timing(["wall", "wall"], ["warm"])
    examined = examine_and_time(
        SPEC, CASE, implementation, Device("cpu"), strict=False, timing=timing
    )
    assert source.count == 2
    assert [list_times(*each.telemetry) for each in examined.measurements] == [[1.0, 2.0]] * 2
    assert {each.status for each in examined.measurements} == {status}


@pytest.mark.usefixtures("short")
def test_a_program_is_read_once_around_turns(pretend_choice):
    source = pretend_choice(Source(in_process=False))
    both = {
        name: Implementation("topk_softmax", "torch", run_torch, name) for name in ("one", "two")
    }
    timing = Timing(["wall"], ["warm"])
    turns = time_in_turns(SPEC, CASE, both, Device("cpu"), strict=False, timing=timing)
    assert source.count == 2
    taken = [each for examined in turns.values() for each in examined.measurements]
    assert [list_times(*each.telemetry) for each in taken] == [[1.0, 2.0]] * 2


@pytest.mark.usefixtures("short")
def test_a_library_is_read_around_each_timer_alone_and_in_turns(pretend_choice):
    source = pretend_choice(Source())
    one, two = (Implementation("topk_softmax", "torch", run_torch, name) for name in "ab")
    timing = Timing(["wall", "wall"], ["warm"])
    device = Device("cpu")
    alone = examine_and_time(SPEC, CASE, one, device, strict=False, timing=timing)
    assert [each.telemetry[0].before.source for each in alone.measurements] == ["pretended"] * 2
    turns = time_in_turns(SPEC, CASE, {"one": one, "two": two}, device, strict=False, timing=timing)
    first, second = (examined.measurements for examined in turns.values())
    assert [each.telemetry for each in first] == [each.telemetry for each in second]
    assert first[0].telemetry[0].before.taken_s > alone.measurements[0].telemetry[0].after.taken_s
    assert source.count >= 6


@pytest.mark.usefixtures("short")
def test_what_is_wrong_after_timing_is_told_as_that(pretend_choice):
    pretend_choice(Source(in_process=False, grows=1))
    calls = []

    def later(gating_output, topk, renormalize):
        calls.append(1)
        weights, ids = run_torch(gating_output, topk, renormalize)
        return weights, ids.roll(1, 0) if len(calls) > 5 else ids

    implementation = Implementation("topk_softmax", "user", later)
    timing = Timing(["wall"], ["warm"])
    examined = examine_and_time(
        SPEC, CASE, implementation, Device("cpu"), strict=False, timing=timing
    )
    assert [each.reason for each in examined.measurements] == ["wrong after timing"]


def test_stages_of_a_pipeline_have_readings_of_their_own():
    """One around all measurements of a stage; those of a program are around the case."""
    taken = [Measurement("graph", "warm", "ok", [[1.0]], [1], stage="sort")]
    source = Source(grows=1)
    (sort,) = conditions.observe_stage(Choice(source, 0), lambda: taken)
    assert (source.count, sort.status) == (2, "throttled")
    assert conditions.observe_stage(Choice(Source(in_process=False), 0), lambda: taken) == taken
    assert conditions.observe_stage(None, lambda: taken) == taken
    (pipeline,) = conditions.observe_case(Choice(source, 0), lambda: [taken])
    assert (pipeline, source.count) == (taken, 2)


def test_only_gpus_are_observed(monkeypatch):
    monkeypatch.setattr(conditions, "find_choice", lambda index: f"of GPU {index}")
    assert choose_telemetry(Device("gpu", 3)) == "of GPU 3"
    assert choose_telemetry(Device("cpu")) is None


def test_who_pauses_picks_as_it_would_without():
    class Spots:
        def __init__(self):
            self.calls = []

        def picks(self, number):
            return number == 3

        def before(self, returned):
            self.calls.append(("before", returned))

        def after(self, returned):
            self.calls.append(("after", returned))

    first, second, looks = Spots(), Spots(), []
    paused, other = pause_in([first, second], lambda: looks.append(1))
    assert other is second
    assert [number for number in range(5) if paused.picks(number)] == [3]
    assert len(looks) == 5
    paused.before("x")
    paused.after("y")
    assert first.calls == [("before", "x"), ("after", "y")]
    assert pause_in([first, second], None) == [first, second]


def test_readings_survive_the_artifact(make_stand):
    graph, _ = make_stand(Source(grows=3)).measure(TIMING)
    assert msgspec.json.decode(msgspec.json.encode(graph), type=Measurement) == graph
