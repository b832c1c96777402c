"""What counts as throttling, and what does not."""

from __future__ import annotations

import msgspec
import pytest

from rocmoe.profiles.telemetry.reading import Reading, Telemetry
from rocmoe.profiles.telemetry.throttling import find_throttling


def look(taken_s=0.0, **told):
    return Reading(taken_s, "amdsmi", 0, **told)


def run_at(*clocks, busy=98.0):
    """Telemetry of a work at some clocks, idle before and after."""
    idle = look(gfx_clock_mhz=132.0, utilization_percent=0.0)
    during = [look(gfx_clock_mhz=mhz, utilization_percent=busy) for mhz in clocks]
    return Telemetry(idle, during, idle)


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
            look(1.1, violation_ns={"power": 8_200_000, "thermal": 0}),
            "power limited the clock for 3.2 of 100 ms",
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
        (None, look(violation_counts={"ppt": 1})),
        (None, None),
    ],
)
def test_a_counter_that_stood_was_reset_or_is_not_known_twice_is_not(before, after):
    assert find_throttling(Telemetry(before, [], after)) is None


def test_percentages_count_behind_the_work_and_where_nothing_is_counted():
    calm, hot = look(), look(violation_percents={"ppt": 34.0, "prochot": 0.0})
    assert find_throttling(Telemetry(calm, [], hot)) == "ppt limited the clock for 34 % of the time"
    assert find_throttling(Telemetry(hot, [], calm)) is None
    counted = msgspec.structs.replace(hot, violation_counts={"ppt": 7})
    assert find_throttling(Telemetry(counted, [], counted)) is None


def test_reasons_count_during_the_work():
    capped = look(throttle_reasons=["sw_power_cap", "applications_clocks_setting"])
    idle, free = look(throttle_reasons=["gpu_idle"]), look(throttle_reasons=[])
    words = "sw_power_cap in 2 of 3 readings"
    assert find_throttling(Telemetry(idle, [capped, free, capped], idle)) == words
    assert find_throttling(Telemetry(capped, [free, look()], capped)) is None
    assert find_throttling(Telemetry(idle, [], capped)) == "sw_power_cap in 1 of 1 readings"
    assert find_throttling(Telemetry(capped, [], idle)) is None


def test_a_clock_that_falls_at_work_is_throttling_with_the_deepest_fall():
    words = "the clock fell from 2100 to 1200 MHz at 98 % utilization"
    assert find_throttling(run_at(900.0, 2100.0, 1500.0, 1200.0, 2000.0)) == words


@pytest.mark.parametrize(
    "telemetry",
    [
        run_at(132.0, 900.0, 2100.0),  # it wakes up
        run_at(2100.0, 1576.0),  # above three quarters
        run_at(2100.0, 132.0, busy=10.0),  # nothing to do
        run_at(2100.0, 132.0, busy=None),
        run_at(),  # an idle clock before and after
        Telemetry(look(gfx_clock_mhz=2100.0), [], look(gfx_clock_mhz=132.0)),
    ],
)
def test_other_changes_of_the_clock_are_not(telemetry):
    assert find_throttling(telemetry) is None


def test_all_that_is_found_is_in_one_line():
    before = look(violation_counts={"ppt": 1}, violation_samples=10)
    during = [look(throttle_reasons=["ppt0"])]
    after = look(violation_counts={"ppt": 2}, violation_samples=20)
    assert find_throttling(Telemetry(before, during, after)) == (
        "ppt limited the clock in 1 of 10 samples (10.0%); ppt0 in 1 of 1 readings"
    )
