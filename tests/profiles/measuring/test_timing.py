"""The road of a timed case: only what passed is timed, and what was timed is judged again."""

import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.topk_softmax import run_torch
from rocmoe.profiles.examination import draw_twice
from rocmoe.profiles.job import Timing
from rocmoe.profiles.measuring import timing as road
from rocmoe.profiles.measuring.efforts import Rounds
from rocmoe.profiles.measuring.machine import Captured
from rocmoe.profiles.measuring.stand import MOST_SETS, Stand
from rocmoe.profiles.measuring.timers import Effort
from rocmoe.profiles.measuring.timing import examine_and_time

SPEC = load_op("topk_softmax")
CASE = parse_case("topk_softmax:T=6,E=16,k=3:fp32:renormalize=true:normal:strided")
#: Calls that judging makes ahead of the timing.
JUDGED = 3
BOTH = Timing(["wall"], ["warm", "cold"])


@pytest.fixture(autouse=True)
def short(monkeypatch):
    effort = Effort(samples=3, least=2, seconds=10.0, loop=5)
    monkeypatch.setattr(road, "load_effort", lambda name: Rounds(1, 1, effort=effort))


def time_function(function, timing=BOTH, case=CASE):
    implementation = Implementation("topk_softmax", "user", function)
    return examine_and_time(SPEC, case, implementation, Device("cpu"), strict=False, timing=timing)


def into(tamper):
    def function(gating_output, topk, renormalize, topk_weights, topk_ids):
        weights, ids = run_torch(gating_output, topk, renormalize)
        topk_weights.copy_(weights)
        topk_ids.copy_(ids)
        tamper(gating_output, topk_weights, topk_ids)

    return function


def find_check(examined):
    return next(check for check in examined.verdict.checks if check.name == "after_timing")


@pytest.mark.parametrize("function", [run_torch, into(lambda gating_output, weights, ids: None)])
def test_what_is_right_is_timed_and_judged_again(function):
    examined = time_function(function)
    assert examined.verdict.ok
    assert find_check(examined).detail == "10 answers of timed calls"
    warm, cold = examined.measurements
    assert (warm.timer, warm.cache, warm.status) == ("wall", "warm", "ok")
    # Whether the flush is proven depends on the processor and on what else it does.
    assert (cold.timer, cold.cache) == ("wall", "cold")
    assert cold.status in ("ok", "unverified")
    assert set(cold.flush_probe_us) == {"cached", "flushed", "memory"}
    assert all(each.samples_us and min(each.samples_us[0]) > 0.0 for each in examined.measurements)
    assert all(each.floors == {} for each in examined.measurements), "there is no GPU"


def test_what_is_wrong_is_not_timed():
    calls = []

    def wrong(gating_output, topk, renormalize):
        calls.append(1)
        weights, ids = run_torch(gating_output, topk, renormalize)
        return weights, ids.roll(1, 0)

    examined = time_function(wrong)
    assert examined.measurements is None
    assert len(calls) == JUDGED


def test_what_is_out_of_contract_is_not_timed():
    spec = load_op("top_p_renorm_probs")
    case = parse_case("top_p_renorm_probs:B=2,V=8:fp32:top_p=0.9:unnormalised:contiguous")
    implementation = Implementation(spec.name, "torch", spec.run_torch)
    examined = examine_and_time(
        spec, case, implementation, Device("cpu"), strict=False, timing=BOTH
    )
    assert examined.verdict.ok
    assert examined.measurements is None


def test_what_goes_wrong_only_later_is_caught():
    calls = []

    def later(gating_output, topk, renormalize):
        calls.append(1)
        weights, ids = run_torch(gating_output, topk, renormalize)
        return weights, ids.roll(1, 0) if len(calls) > JUDGED + 2 else ids

    examined = time_function(later)
    assert examined.verdict.failed == ("after_timing",)
    assert "wall warm, the last call: selection_is_top_k" in find_check(examined).detail
    assert {finding.call for finding in examined.verdict.findings} == {5}
    assert {each.status for each in examined.measurements} == {"invalid"}
    assert {each.reason for each in examined.measurements} == {"wrong after timing"}


def test_an_answer_that_is_remembered_is_caught():
    """By address and version: the road alone lets it pass, as it refills its inputs each time."""
    kept = {}

    def remember(gating_output, topk, renormalize):
        key = gating_output.data_ptr(), gating_output._version
        if key not in kept:
            kept[key] = run_torch(gating_output, topk, renormalize)
        return kept[key]

    examined = time_function(remember)
    assert "taken by chance" in find_check(examined).detail
    assert "the same inputs again" in find_check(examined).detail


def test_an_answer_that_is_wrong_only_now_and_then_is_caught_by_chance(monkeypatch):
    """Right in the last call, and in those behind the timing."""
    calls = []

    def sometimes(gating_output, topk, renormalize):
        calls.append(1)
        weights, ids = run_torch(gating_output, topk, renormalize)
        return weights, ids.roll(1, 0) if 10 < len(calls) < 20 else ids

    effort = Effort(samples=40, least=2, seconds=10.0, loop=1)
    monkeypatch.setattr(road, "load_effort", lambda name: Rounds(1, 1, effort=effort))
    monkeypatch.setattr("random.choices", lambda choices: [10])
    examined = time_function(sometimes, Timing(["wall"], ["warm"]))
    assert find_check(examined).detail.startswith("wall warm, answer 2 of those taken by chance")
    assert "the last call" not in find_check(examined).detail


def test_what_passed_in_another_process_is_timed_without_being_judged_first():
    calls = []

    def count(gating_output, topk, renormalize):
        calls.append(1)
        return run_torch(gating_output, topk, renormalize)

    first = time_function(count, Timing(["wall"], ["warm"]))
    before = len(calls)
    passed = [*first.passed]
    again = time_function(count, Timing(["wall"], ["warm"], passed=passed))
    assert len(calls) - before == before - JUDGED
    assert [check.name for check in again.verdict.checks] == ["after_timing"]
    assert again.measurements
    assert again.verdict.ok


def test_what_is_wrong_in_another_process_is_caught_there():
    right = time_function(run_torch, Timing(["wall"], ["warm"]))

    def wrong(gating_output, topk, renormalize):
        weights, ids = run_torch(gating_output, topk, renormalize)
        return weights, ids.roll(1, 0)

    later = time_function(wrong, Timing(["wall"], ["warm"], passed=[*right.passed]))
    assert later.verdict.failed == ("after_timing",)
    assert {each.status for each in later.measurements} == {"invalid"}


def test_a_call_that_skips_its_work_after_the_first_ones_is_caught():
    calls = []

    def skip(gating_output, topk, renormalize, topk_weights, topk_ids):
        calls.append(1)
        if len(calls) <= JUDGED + 10:
            into(lambda *given: None)(gating_output, topk, renormalize, topk_weights, topk_ids)

    examined = time_function(skip)
    assert "the same inputs again" in find_check(examined).detail


def test_a_late_write_out_of_bounds_is_caught():
    calls = []

    def write(gating_output, weights, ids):
        calls.append(1)
        if len(calls) > JUDGED + 2:
            weights.as_strided((1,), (1,), weights.storage_offset() + weights.numel()).fill_(0)

    examined = time_function(into(write))
    assert "topk_weights was written 0 bytes past the last element" in find_check(examined).detail


def test_a_view_of_an_input_may_be_returned():
    spec = load_op("top_k_renorm_probs")
    case = parse_case("top_k_renorm_probs:B=3,V=9:fp32:top_k=9:normal:contiguous")

    def keep_all(probs, top_k):
        return probs

    implementation = Implementation(spec.name, "user", keep_all)
    examined = examine_and_time(
        spec, case, implementation, Device("cpu"), strict=False, timing=BOTH
    )
    assert examined.verdict.ok, examined.verdict.failed


def test_what_a_later_call_raises_is_not_hidden():
    calls = []

    def fail(gating_output, topk, renormalize):
        calls.append(1)
        if len(calls) > JUDGED + 2:
            raise ValueError("its own")
        return run_torch(gating_output, topk, renormalize)

    with pytest.raises(ValueError, match="its own"):
        time_function(fail)


class TestGraphs:
    """On a GPU of pretence, whose graph runs the calls again on the memory they had."""

    @pytest.fixture
    def measure(self, gpu):
        """Times a function; a replay runs `replayed`, if that is given, on what was captured."""

        def measure(function, replayed=None):
            made = []

            def call(gating_output, topk, renormalize):
                gpu.launch(5.0)
                returned = function(gating_output, topk, renormalize)
                if gpu.captured is not None:
                    made.append((gating_output, topk, renormalize, returned))
                return returned

            capture = gpu.capture

            def capture_and_replay(calls, keep):
                graph = capture(calls, keep)
                replay_times = graph.replay

                def replay():
                    replay_times()
                    for *given, returned in made:
                        for target, value in zip(
                            returned, (replayed or function)(*given), strict=False
                        ):
                            target.copy_(value)

                return Captured(replay, graph.returned)

            gpu.capture = capture_and_replay
            implementation = Implementation("topk_softmax", "user", call)
            draws = draw_twice(SPEC, CASE)
            effort = Effort(samples=3, least=2, seconds=0.01, calls=4)
            stand = Stand(SPEC, CASE, implementation, Device("cpu"), draws, False, gpu, effort)
            return stand.measure(Timing(["graph", "wall"], ["warm"])), stand.after.verdict()

        return measure

    def test_a_graph_that_computes_is_right(self, measure):
        measurements, after = measure(run_torch)
        assert after.ok, after.checks
        assert [(each.timer, each.status) for each in measurements] == [
            ("graph", "ok"),
            ("wall", "ok"),
        ]
        assert measurements[0].calls == [4]
        assert measurements[0].samples_us == [pytest.approx([5.0] * 3)]

    def test_a_graph_that_replays_what_it_read_before_is_caught(self, measure):
        seen = {}

        def stale(gating_output, topk, renormalize):
            key = gating_output.data_ptr()
            seen.setdefault(key, run_torch(gating_output.clone(), topk, renormalize))
            return seen[key]

        _, after = measure(run_torch, stale)
        assert after.failed == ("after_timing",)
        assert "graph warm, other inputs" in after.checks[0].detail
        assert "the last call" not in after.checks[0].detail

    def test_a_graph_that_does_nothing_is_caught(self, measure):
        def nothing(gating_output, topk, renormalize):
            return ()

        _, after = measure(run_torch, nothing)
        assert "graph warm, the same inputs again" in after.checks[0].detail

    def test_a_capture_that_is_refused_is_no_crash(self, measure, gpu):
        gpu.refuses = True
        measurements, after = measure(run_torch)
        assert measurements[0].status == "refused"
        assert "cannot be captured" in measurements[0].reason
        assert measurements[0].samples_us == []
        assert (measurements[1].status, after.ok) == ("ok", True)


def test_cold_inputs_overrun_the_cache_or_are_as_many_as_calls():
    implementation = Implementation("topk_softmax", "user", run_torch)
    draws = draw_twice(SPEC, CASE)

    def count(cache_bytes, cache="cold"):
        class Machine:
            pass

        machine = Machine()
        machine.cache_bytes = cache_bytes
        stand = Stand(SPEC, CASE, implementation, Device("cpu"), draws, False, machine)
        return stand._count_sets(cache)

    cost = SPEC.cost(CASE)
    footprint = cost.bytes_read + cost.bytes_written
    assert count(footprint) == 3
    assert count(footprint * 5) == 11
    assert count(footprint * 1000) == MOST_SETS
    assert count(footprint * 1000, "warm") == 1
