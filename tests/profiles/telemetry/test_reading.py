"""The record, as it is stored."""

from __future__ import annotations

import msgspec
import pytest

from rocmoe.profiles.telemetry.reading import ReadError, Reading, Telemetry, check_reading

FULL = Reading(
    1.5, "amdsmi", 0, 2087.0, 1300.0, 612.0, 60.0, 71.0, 64.0, 98.0,
    {"ppt": 3}, 10, {"power": 5}, {"ppt": 30.0}, ["ppt0"],
)  # fmt: skip


def test_telemetry_survives_storage_and_holds_only_what_was_told():
    telemetry = Telemetry(FULL, [FULL, Reading(2.0, "nvml", 1, throttle_reasons=[])], None, "why")
    stored = msgspec.json.encode(telemetry)
    assert msgspec.json.decode(stored, type=Telemetry) == telemetry
    least = b'{"taken_s":2.0,"source":"nvml","gpu_index":1,"throttle_reasons":[]}'
    assert least in stored
    assert b'"after"' not in stored


def test_readings_are_in_order_without_gaps():
    first, last = (msgspec.structs.replace(FULL, taken_s=each) for each in (1.0, 9.0))
    assert Telemetry(first, [FULL], last).readings == [first, FULL, last]
    assert Telemetry(None, [FULL], None).readings == [FULL]


def test_a_reading_of_nothing_is_refused():
    empty = Reading(1.0, "nvml", 0)
    assert empty.is_empty
    with pytest.raises(ReadError, match=r"^nvml tells nothing about GPU 0$"):
        check_reading(empty)
    for name in Reading.__struct_fields__[3:]:
        told = msgspec.structs.replace(empty, **{name: getattr(FULL, name)})
        assert check_reading(told) is told
