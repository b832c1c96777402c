"""Where a kernel is under the roof, and what is said of it."""

from dataclasses import replace

import pytest

from rocmoe.profiles.hardware import load_hardware
from rocmoe.profiles.profiling.diagnosis import (
    Evidence,
    diagnose,
    find_roofline,
    gather_evidence,
)
from rocmoe.profiles.profiling.metrics import Answer

MI300X = load_hardware("mi300x")
#: 5300 GB/s and 163.4 TFLOPS; in 10 us 53 MB and 1634e6 operations.
LOW = Evidence(
    time_us=10.0, empty_us=2.0, moved_bytes=5.3e6, operations=16.34e6, dram_reads=1.0,
    valu_busy=0.1, lds_busy=0.1, lds_bank_conflict=0.0, waiting=0.2,
)  # fmt: skip


def test_the_roofline_by_hand():
    found = find_roofline(Evidence(time_us=10.0, moved_bytes=26.5e6, operations=163.4e6), MI300X)
    assert found.intensity == pytest.approx(163.4 / 26.5)
    assert found.ridge == pytest.approx(163.4e12 / 5.3e12)
    assert found.gb_per_s == pytest.approx(2650)
    assert found.tflops == pytest.approx(16.34)
    assert (found.memory_share, found.compute_share) == pytest.approx((0.5, 0.1))
    assert (found.roof, found.roof_share) == ("memory", pytest.approx(0.5))
    assert found.roof_us == pytest.approx(5.0)


def test_the_other_side_of_the_ridge_and_what_is_not_known():
    found = find_roofline(Evidence(time_us=10.0, moved_bytes=5.3e6, operations=817e6), MI300X)
    assert found.intensity > found.ridge
    assert (found.roof, found.roof_share) == ("compute", pytest.approx(0.5))
    unknown = find_roofline(Evidence(time_us=10.0, moved_bytes=5.3e6), MI300X)
    assert (unknown.intensity, unknown.tflops, unknown.compute_share) == (None, None, None)
    assert unknown.roof == "memory"
    nothing = find_roofline(Evidence(time_us=10.0), MI300X)
    assert (nothing.roof, nothing.roof_us, nothing.roof_share) == (None, None, None)
    unpublished = replace(MI300X, fp32_tflops=None)
    assert find_roofline(LOW, unpublished).compute_share is None
    with pytest.raises(ValueError, match="a kernel of 0 us"):
        find_roofline(Evidence(time_us=0), MI300X)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"time_us": 3.9}, "launch-bound: 3.9 us, and an empty kernel takes 2 us"),
        ({"moved_bytes": 37.1e6}, "HBM-bound: 3710 GB/s, 70% of 5300"),
        ({"lds_busy": 0.8}, "LDS-bound: LDS busy 80% of the time"),
        ({"lds_bank_conflict": 0.3}, "LDS-bound: LDS in bank conflicts 30% of the time"),
        ({"valu_busy": 0.75}, "VALU-bound: vector units busy 75% of the time"),
        ({"operations": 1144e6}, "VALU-bound: 114 TFLOPS, 70% of 163.4"),
        ({"waiting": 0.7}, "latency-bound: waves wait 70% of the time, with memory 10%, FP32 1%, "
                           "vector units 10%, LDS 10%, bank conflicts 0%"),
        ({}, "undecided: nothing stands out: memory 10%, FP32 1%, vector units 10%, LDS 10%, "
             "bank conflicts 0%, waiting 20%"),
    ],
)  # fmt: skip
def test_one_thing_at_a_time(changes, line):
    found = diagnose(replace(LOW, **changes), MI300X)
    assert found.line == line
    assert found.kind == line.partition(":")[0]
    assert found.missing == ()


def test_each_side_of_each_threshold():
    sides = {
        "time_us": (3.99, 4.01, "launch-bound"),
        "moved_bytes": (31.9e6, 31.7e6, "HBM-bound"),
        "lds_busy": (0.61, 0.59, "LDS-bound"),
        "lds_bank_conflict": (0.26, 0.24, "LDS-bound"),
        "valu_busy": (0.61, 0.59, "VALU-bound"),
        "waiting": (0.51, 0.49, "latency-bound"),
    }
    for name, (inside, outside, kind) in sides.items():
        assert diagnose(replace(LOW, **{name: inside}), MI300X).kind == kind, name
        assert diagnose(replace(LOW, **{name: outside}), MI300X).kind != kind, name


def test_the_launch_goes_first_and_then_what_is_nearest_its_peak():
    busy = replace(LOW, valu_busy=0.7, lds_busy=0.8, waiting=0.9)
    assert diagnose(busy, MI300X).kind == "LDS-bound"
    assert diagnose(replace(busy, valu_busy=0.85), MI300X).kind == "VALU-bound"
    assert diagnose(replace(busy, time_us=3.0), MI300X).kind == "launch-bound"


def test_traffic_that_a_cache_may_have_served_is_not_called_that_of_memory():
    fast = replace(LOW, moved_bytes=37.1e6, dram_reads=None)  # less than the Infinity Cache
    found = diagnose(fast, MI300X)
    assert found.kind == "undecided"
    assert found.missing == ("dram_reads (a cache may have served it)",)
    assert diagnose(replace(fast, dram_reads=0.2), MI300X).kind == "undecided"
    assert diagnose(replace(fast, cold=True), MI300X).kind == "HBM-bound"
    larger = replace(fast, time_us=100.0, moved_bytes=371e6)
    assert diagnose(larger, MI300X).kind == "HBM-bound"
    over = replace(fast, cold=True, moved_bytes=60e6)  # more than memory can give
    assert diagnose(over, MI300X).kind == "undecided"


@pytest.mark.parametrize(
    ("name", "words"),
    [("moved_bytes", "bytes moved"), ("valu_busy", "valu_busy"), ("lds_busy", "lds_busy")],
)
def test_latency_is_not_said_until_all_resources_were_seen(name, words):
    waiting = replace(LOW, waiting=0.9)
    assert diagnose(waiting, MI300X).kind == "latency-bound"
    found = diagnose(replace(waiting, **{name: None}), MI300X)
    assert found.line.startswith(f"undecided: {words} not collected; ")
    assert found.missing == (words,)


def test_nothing_but_a_time_says_what_to_collect():
    found = diagnose(Evidence(time_us=10.0), MI300X)
    assert found.line == (
        "undecided: the time of an empty kernel, bytes moved, valu_busy, lds_busy, waiting "
        "not collected"
    )
    assert found.numbers == {"time_us": 10.0}


def test_evidence_from_metrics():
    answers = [
        Answer("fabric_bytes", "B", 5e6),
        Answer("valu_busy", "%", 40.0),
        Answer("waiting", "%", None, "not collected: SQ_WAIT_ANY"),
    ]
    found = gather_evidence(10.0, answers, moved_bytes=4e6, empty_us=2.0)
    assert found == Evidence(time_us=10.0, empty_us=2.0, moved_bytes=5e6, valu_busy=0.4)
    assert gather_evidence(10.0, [], moved_bytes=4e6).moved_bytes == 4e6
    assert diagnose(found, MI300X).numbers["valu_busy"] == 0.4
