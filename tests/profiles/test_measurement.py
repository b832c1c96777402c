import pytest

from rocmoe.profiles.artifact import Floor
from rocmoe.profiles.measurement import (
    find_ratio,
    judge_samples,
    make_measurement,
    refuse_measurement,
    summarize_samples,
)
from rocmoe.profiles.timers import Sampled

STEADY = {"before": 1900.0, "after": 1890.0}


def spread(center):
    return [center + step / 100.0 for step in range(-10, 11)]


def floors(center):
    return {"stream": Floor(spread(center), 20, "", 64, 16)}


def test_a_summary_is_the_same_each_time_and_holds_the_median():
    summary = summarize_samples([3.0, 1.0, 2.0, 9.0, 2.5])
    assert summary == summarize_samples([3.0, 1.0, 2.0, 9.0, 2.5])
    assert summary.median == 2.5
    assert summary.p10 == pytest.approx(1.4)
    assert summary.p90 == pytest.approx(6.6)
    assert 1.0 <= summary.low < 2.5 < summary.high <= 9.0


def test_the_interval_narrows_with_more_samples():
    few, many = summarize_samples(spread(5.0)[::5]), summarize_samples(spread(5.0) * 20)
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize("timer", ["graph", "events", "kernel"])
def test_faster_than_a_floor_is_invalid(timer):
    status, reason = judge_samples(timer, "warm", spread(4.0), floors(5.0), STEADY)
    assert status == "invalid"
    assert reason == "4 us is faster than the stream floor, 5"


def test_as_fast_as_a_floor_within_the_interval_is_ok():
    assert judge_samples("graph", "warm", spread(4.99), floors(5.0), STEADY) == ("ok", None)
    assert judge_samples("graph", "warm", spread(6.0), floors(5.0), STEADY) == ("ok", None)


def test_by_the_wall_timer_the_host_decides_so_that_nothing_is_invalid():
    assert judge_samples("wall", "warm", spread(4.0), floors(5.0), STEADY) == ("ok", None)


def test_a_clock_that_fell_is_told():
    fell = {"before": 1900.0, "after": 1300.0}
    status, reason = judge_samples("graph", "warm", spread(6.0), floors(5.0), fell)
    assert status == "throttled"
    assert reason == "the clock fell from 1900 to 1300 MHz"


def test_cold_is_unverified_where_nothing_proves_the_flush():
    status, reason = judge_samples("graph", "cold", spread(6.0), floors(5.0), STEADY)
    assert status == "unverified"
    assert "no probe" in reason


def test_the_ratio_is_that_of_the_medians():
    sampled = Sampled(spread(6.0), 20, [])
    measured = make_measurement("graph", "warm", sampled, floors(5.0), STEADY)
    assert measured.status == "ok"
    assert find_ratio(measured) == pytest.approx(1.2)
    assert find_ratio(measured, "empty") is None
    assert find_ratio(refuse_measurement("graph", "warm", "why")) is None
