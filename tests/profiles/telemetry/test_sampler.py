"""Readings around work: when they are taken, and that they never disturb it."""

from __future__ import annotations

import threading

import pytest

from rocmoe.profiles.telemetry import sampler
from rocmoe.profiles.telemetry.choice import Choice
from rocmoe.profiles.telemetry.reading import ReadError, Reading, Telemetry
from rocmoe.profiles.telemetry.sampler import sample_around

SHORT_S = 0.001
#: Waited for at most; a test that reaches it fails.
LONG_S = 30.0


class Counting:
    """A source whose clock is the number of the reading; `fails` from that number on."""

    name = "counting"

    def __init__(self, in_process=True, fails=None):
        self.in_process, self.fails = in_process, fails
        self.count, self.threads = 0, []
        self.reached = {}

    def reach(self, count):
        """An event for the moment at which so many readings were asked for."""
        return self.reached.setdefault(count, threading.Event())

    def read(self, gpu_index):
        self.count += 1
        self.threads.append(threading.current_thread().name)
        if event := self.reached.get(self.count):
            event.set()
        if self.fails is not None and self.count >= self.fails:
            raise ReadError(f"reading {self.count} fails")
        return Reading(float(self.count), self.name, gpu_index, gfx_clock_mhz=float(self.count))


def list_threads():
    return [thread.name for thread in threading.enumerate()]


def list_clocks(readings):
    return [reading.gfx_clock_mhz for reading in readings]


def test_a_library_is_read_before_during_and_after():
    source = Counting()
    event = source.reach(4)
    returned, telemetry = sample_around(Choice(source, 3), lambda: event.wait(LONG_S), SHORT_S)
    assert returned is True
    assert telemetry.reason is None
    assert list_clocks(telemetry.readings) == [float(n + 1) for n in range(source.count)]
    assert len(telemetry.during) == source.count - 2 >= 3
    assert {reading.gpu_index for reading in telemetry.readings} == {3}
    main = threading.current_thread().name
    assert source.threads[0] == source.threads[-1] == main
    assert set(source.threads[1:-1]) == {"rocmoe-telemetry"}


def test_a_program_is_read_before_and_after_only():
    source = Counting(in_process=False)
    returned, telemetry = sample_around(Choice(source, 0), list_threads, SHORT_S)
    assert "rocmoe-telemetry" not in returned
    assert list_clocks(telemetry.readings) == [1.0, 2.0]
    assert telemetry.during == []
    assert telemetry.reason is None


def test_what_the_work_raises_is_let_through_and_the_thread_ends():
    source = Counting()
    event = source.reach(2)

    def work():
        assert event.wait(LONG_S)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sample_around(Choice(source, 0), work, SHORT_S)
    assert "rocmoe-telemetry" not in list_threads()


def test_a_reading_that_fails_during_the_work_ends_the_readings_and_is_told():
    source = Counting(fails=2)
    event = source.reach(2)
    returned, telemetry = sample_around(Choice(source, 0), lambda: event.wait(LONG_S), SHORT_S)
    assert returned is True
    assert list_clocks(telemetry.readings) == [1.0]
    assert telemetry.reason == "reading 2 fails"
    assert source.count == 3


def test_without_a_source_the_work_is_done_and_the_reason_told():
    returned, telemetry = sample_around(Choice(None, None, {"nvml": "not here"}), lambda: 7)
    reason = "no source tells about this GPU: `rocmoe doctor` says why"
    assert (returned, telemetry) == (7, Telemetry(reason=reason))


def test_long_work_is_thinned_out_and_read_less_often(monkeypatch):
    monkeypatch.setattr(sampler, "MOST_READINGS", 4)
    source = Counting(fails=9)
    taking = sampler._Sampler(Choice(source, 0), SHORT_S, [])
    taking.start()
    taking._thread.join(LONG_S)
    assert source.count == 9
    # 1 2 3 4 5 become 1 3 5, and 1 3 5 6 7 become 1 5 7; the ninth fails and ends it.
    assert list_clocks(taking.finish()) == [1.0, 5.0, 7.0, 8.0]
    assert taking._period_s == 4 * SHORT_S
