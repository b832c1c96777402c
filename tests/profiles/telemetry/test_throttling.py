"""What counts as throttling, and what does not."""

from __future__ import annotations

import msgspec
import pytest

from rocmoe.profiles.telemetry.reading import Reading, Telemetry
from rocmoe.profiles.telemetry.throttling import find_throttling


def look(taken_s=0.0, **told):
    return Reading(taken_s, "amdsmi", 0, **told)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            look(violation_counts={"ppt": 100, "prochot": 0}, violation_samples=1000),
            look(violation_counts={"ppt": 112, "prochot": 0}, violation_samples=1340),
            "ppt limited the clock in 12 of 340 samples (3.5%)",
        ),
        (
            look(violation_counts={"ppt": 1, "hbm_thermal": 1}),
            look(violation_counts={"ppt": 2, "hbm_thermal": 4}),
            "ppt limited the clock in 1 samples; hbm_thermal limited the clock in 3 samples",
        ),
        (
            look(1.0, violation_ns={"power": 5_000_000, "thermal": 0}),
            look(1.25, violation_ns={"power": 35_200_000, "thermal": 0}),
            "power limited the clock for 30.2 of 250 ms",
        ),
        (
            look(1.0, violation_ns={"thermal": 0}),
            look(1.03, violation_ns={"thermal": 11_000_000}),
            "thermal limited the clock for 11 of 100 ms",
        ),
    ],
)
def test_a_counter_that_grew_is_throttling(before, after, words):
    assert find_throttling(Telemetry(before, [], after)) == words


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (look(violation_counts={"ppt": 100}), look(violation_counts={"ppt": 100})),
        (look(violation_counts={"ppt": 100}), look(violation_counts={"ppt": 3})),
        (look(violation_counts={"ppt": 100}), look()),
        (look(), look(violation_counts={"ppt": 100})),
        (look(violation_counts={"ppt": 1}), None),
        (look(1.0, violation_ns={"power": 0}), look(1.25, violation_ns={"power": 24_000_000})),
        # Counted in steps of 100 ms, so that it may be of the time before.
        (look(1.0, violation_ns={"power": 0}), look(1.03, violation_ns={"power": 9_000_000})),
        (None, look(violation_counts={"ppt": 1})),
        (None, None),
    ],
)
def test_a_counter_that_hardly_grew_was_reset_or_is_not_known_twice_is_not(before, after):
    assert find_throttling(Telemetry(before, [], after)) is None


def test_percentages_count_behind_the_work_and_where_nothing_is_counted():
    calm, hot = look(), look(violation_percents={"ppt": 34.0, "prochot": 0.0})
    assert find_throttling(Telemetry(calm, [], hot)) == "ppt limited the clock for 34 % of the time"
    assert find_throttling(Telemetry(hot, [], calm)) is None
    counted = msgspec.structs.replace(hot, violation_counts={"ppt": 7})
    assert find_throttling(Telemetry(counted, [], counted)) is None


def test_reasons_count_that_most_readings_in_the_work_tell():
    hot = look(throttle_reasons=["sw_thermal_slowdown", "applications_clocks_setting"])
    idle, free = look(throttle_reasons=["gpu_idle"]), look(throttle_reasons=[])
    words = "sw_thermal_slowdown in 2 of 3 readings"
    assert find_throttling(Telemetry(idle, [hot, free, hot], idle)) == words
    assert find_throttling(Telemetry(hot, [free, look()], hot)) is None
    assert find_throttling(Telemetry(idle, [], hot)) == "sw_thermal_slowdown in 1 of 1 readings"
    assert find_throttling(Telemetry(hot, [], idle)) is None


def test_a_change_of_the_clock_is_no_slowdown():
    """NVML's hw_slowdown may be told for it, once."""
    changing, free = look(throttle_reasons=["hw_slowdown"]), look(throttle_reasons=[])
    assert find_throttling(Telemetry(changing, [changing, free], changing)) is None


@pytest.mark.parametrize("counters", [{"power": 7}, {"power": 7, "thermal": 0}])
def test_a_power_cap_counts_by_its_counter_where_there_is_one(counters):
    capped = look(throttle_reasons=["sw_power_cap"])
    assert find_throttling(Telemetry(capped, [capped], capped)) == "sw_power_cap in 1 of 1 readings"
    counted = msgspec.structs.replace(capped, violation_ns=counters)
    assert find_throttling(Telemetry(counted, [counted], counted)) is None
    assert find_throttling(Telemetry(capped, [counted], counted)) is not None


def test_a_clock_shows_nothing():
    """In a pause it is that of a GPU with nothing to do: `during` 132 MHz behind 2100."""
    fast, slow = (look(gfx_clock_mhz=mhz, utilization_percent=98.0) for mhz in (2100.0, 132.0))
    assert find_throttling(Telemetry(fast, [fast, slow], slow)) is None


def test_all_that_is_found_is_in_one_line():
    before = look(violation_counts={"ppt": 1}, violation_samples=10)
    during = [look(throttle_reasons=["ppt0"])]
    after = look(violation_counts={"ppt": 2}, violation_samples=20)
    assert find_throttling(Telemetry(before, during, after)) == (
        "ppt limited the clock in 1 of 10 samples (10.0%); ppt0 in 1 of 1 readings"
    )
