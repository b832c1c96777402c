import pytest

from rocmoe.profiles.artifact import Floor
from rocmoe.profiles.measuring.measurement import (
    add_telemetry,
    find_ratio,
    invalidate,
    make_measurement,
    merge_measurements,
    refuse_measurement,
)
from rocmoe.profiles.measuring.timers import Sampled
from rocmoe.profiles.telemetry.reading import Reading, Telemetry

STEADY = {"before": 1900.0, "after": 1890.0}
PROVEN = {"cached": 10.0, "flushed": 19.0, "memory": 20.0}
CALM = Telemetry(Reading(1.0, "amdsmi", 0, violation_counts={"ppt": 5}), [],
                 Reading(1.1, "amdsmi", 0, violation_counts={"ppt": 5}))  # fmt: skip
HELD = Telemetry(CALM.before, [], Reading(1.1, "amdsmi", 0, violation_counts={"ppt": 8}))


def spread(center):
    return [center + step / 100.0 for step in range(-10, 11)]


def floors(center):
    return {"stream": Floor([spread(center)], [20], "", 64, 16)}


def measure(center, floor=5.0, timer="graph", cache="warm", clocks=STEADY, **more):
    sampled = Sampled(spread(center), 20, [])
    return make_measurement(timer, cache, sampled, floors(floor), clocks, **more)


@pytest.mark.parametrize("timer", ["graph", "events", "kernel"])
def test_faster_than_a_floor_is_invalid(timer):
    measured = measure(4.0, timer=timer)
    assert measured.status == "invalid"
    assert measured.reason == "4 us is faster than the stream floor, 5"


@pytest.mark.parametrize("center", [4.99, 6.0])
def test_as_fast_as_a_floor_within_the_interval_is_ok(center):
    measured = measure(center)
    assert (measured.status, measured.reason) == ("ok", None)


@pytest.mark.parametrize(("center", "status"), [(4.97, "ok"), (4.92, "invalid")])
def test_a_floor_is_one_kernel_and_another_may_gain_a_hundredth(center, status):
    """However narrow both intervals are."""
    sampled = Sampled([center] * 30, 20, [])
    exact = {"stream": Floor([[5.0] * 30], [20], "", 64, 16)}
    assert make_measurement("graph", "warm", sampled, exact, STEADY).status == status


def test_by_the_wall_timer_the_host_decides_so_that_nothing_is_invalid():
    assert measure(4.0, timer="wall").status == "ok"


def test_a_clock_that_fell_is_told():
    measured = measure(6.0, clocks={"before": 1900.0, "after": 1300.0})
    assert measured.status == "throttled"
    assert measured.reason == "the clock fell from 1900 to 1300 MHz"


def test_a_gpu_that_tells_it_was_held_back_is_told_with_the_numbers():
    measured = measure(6.0, telemetry=[HELD])
    assert measured.status == "throttled"
    assert measured.reason == "ppt limited the clock in 3 samples"
    assert measured.telemetry == [HELD]
    both = measure(6.0, clocks={"before": 1900.0, "after": 1300.0}, telemetry=[HELD])
    assert both.reason == "the clock fell from 1900 to 1300 MHz; ppt limited the clock in 3 samples"


@pytest.mark.parametrize("telemetry", [CALM, Telemetry(reason="nothing tells")])
def test_a_gpu_that_tells_nothing_of_it_was_not(telemetry):
    assert (measure(6.0, telemetry=[telemetry]).status, measure(6.0).telemetry) == ("ok", [])


def test_what_is_faster_than_a_floor_is_impossible_held_back_or_not():
    assert measure(4.0, telemetry=[HELD]).status == "invalid"


def test_what_is_told_of_a_whole_case_judges_each_measurement_of_it():
    assert add_telemetry(measure(6.0), CALM) == measure(6.0, telemetry=[CALM])
    assert add_telemetry(measure(6.0), HELD) == measure(6.0, telemetry=[HELD])
    refused = refuse_measurement("graph", "warm", "why")
    assert add_telemetry(refused, HELD) == refused


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (None, "no probe"),
        ({**PROVEN, "flushed": 11.0}, "a probe takes 11 us behind the flush, 20 from memory"),
        ({**PROVEN, "cached": 19.0}, "a probe is no faster cached, 19 us, than from memory, 20"),
    ],
)
def test_cold_is_unverified_where_nothing_proves_the_flush(probe, words):
    measured = measure(6.0, cache="cold", flush_probe_us=probe)
    assert measured.status == "unverified"
    assert words in measured.reason


def test_cold_is_ok_where_the_probe_proves_the_flush():
    assert measure(6.0, cache="cold", flush_probe_us=PROVEN).status == "ok"


def test_the_ratio_is_that_of_the_medians():
    measured = measure(6.0)
    assert measured.status == "ok"
    assert find_ratio(measured) == pytest.approx(1.2)
    assert find_ratio(measured, "empty") is None
    assert find_ratio(refuse_measurement("graph", "warm", "why")) is None


def test_processes_are_kept_apart_and_judged_together():
    taken = [measure(center, cache="cold", flush_probe_us=PROVEN) for center in (6.0, 7.0, 6.5)]
    merged = merge_measurements(taken)
    assert merged.samples_us == [spread(6.0), spread(7.0), spread(6.5)]
    assert merged.calls == [20, 20, 20]
    assert merged.clocks == {"before": [1900.0] * 3, "after": [1890.0] * 3}
    assert merged.flush_probe_us == {name: [us] * 3 for name, us in PROVEN.items()}
    assert merged.floors["stream"].samples_us == [spread(5.0)] * 3
    assert (merged.floors["stream"].bytes_read, merged.floors["stream"].bytes_written) == (64, 16)
    assert merged.status == "ok"


def test_a_process_whose_clock_fell_or_whose_flush_fails_shows_in_all():
    fell = measure(6.0, clocks={"before": 1900.0, "after": 1300.0})
    assert merge_measurements([measure(6.0), fell]).status == "throttled"
    cold = [measure(6.0, cache="cold", flush_probe_us=probe)
            for probe in (PROVEN, {**PROVEN, "flushed": 11.0})]  # fmt: skip
    assert merge_measurements(cold).status == "unverified"


def test_each_process_has_its_telemetry_and_the_first_that_was_held_back_is_told():
    taken = [measure(6.0, telemetry=[each]) for each in (CALM, HELD, HELD)]
    merged = merge_measurements(taken)
    assert merged.telemetry == [CALM, HELD, HELD]
    assert merged.status == "throttled"
    assert merged.reason == "ppt limited the clock in 3 samples (2 of 3 processes)"
    again = merge_measurements([merged, measure(6.0, telemetry=[CALM])])
    assert again.reason == "ppt limited the clock in 3 samples (2 of 4 processes)"
    assert merge_measurements(taken[:1] * 2).status == "ok"


def test_one_process_that_is_refused_or_wrong_makes_all_so():
    refused = refuse_measurement("graph", "warm", "why")
    assert merge_measurements([measure(6.0), refused]) == refused
    wrong = invalidate(measure(6.0), "wrong after timing")
    assert merge_measurements([measure(6.0), wrong]).reason == "wrong after timing"


def test_one_fast_process_among_several_is_not_called_impossible():
    """Floors differ between processes too: what counts is all of both."""
    merged = merge_measurements([measure(center) for center in (4.6, 6.0, 6.0, 6.0, 6.0)])
    assert (merged.status, merged.reason) == ("ok", None)
