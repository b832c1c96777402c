"""Readings around work: when they are taken, how many are kept, and that they never disturb it."""

from __future__ import annotations

import pytest

from rocmoe.profiles.telemetry import sampler
from rocmoe.profiles.telemetry.choice import Choice
from rocmoe.profiles.telemetry.reading import ReadError, Reading, Telemetry
from rocmoe.profiles.telemetry.sampler import MOST_READINGS, PARTS, PERIOD_S, sample_around


class Counting:
    """A source whose clock is the number of the reading, on a time of its own.

    takes_s: what a reading takes; fails: from that reading on.
    """

    name = "counting"

    def __init__(self, in_process=True, takes_s=0.0, fails=None):
        self.in_process, self.takes_s, self.fails = in_process, takes_s, fails
        self.count, self.time_s = 0, 100.0

    def read(self, gpu_index):
        self.count += 1
        self.time_s += self.takes_s
        if self.fails is not None and self.count >= self.fails:
            raise ReadError(f"reading {self.count} fails")
        return Reading(self.time_s, self.name, gpu_index, gfx_clock_mhz=float(self.count))

    def observe(self, work_s, pause_s, gpu_index=0):
        """Telemetry of a work that pauses every so often."""

        def work(look):
            end_s = self.time_s + work_s
            while self.time_s < end_s:
                self.time_s += pause_s
                look()
            return "done"

        returned, telemetry = sample_around(Choice(self, gpu_index), work, lambda: self.time_s)
        assert returned == "done"
        return telemetry


def list_clocks(readings):
    return [reading.gfx_clock_mhz for reading in readings]


def test_a_library_is_read_before_in_pauses_and_after():
    telemetry = Counting().observe(3.5 * PERIOD_S, PERIOD_S / 8, gpu_index=3)
    assert telemetry.reason is None
    assert list_clocks(telemetry.readings) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert len(telemetry.during) == 3
    assert {reading.gpu_index for reading in telemetry.readings} == {3}


def test_work_that_is_short_or_never_pauses_is_read_before_and_after():
    assert len(Counting().observe(0.9 * PERIOD_S, PERIOD_S / 8).readings) == 2
    _, telemetry = sample_around(Choice(Counting(), 0), lambda look: None)
    assert len(telemetry.readings) == 2


def test_a_program_is_read_before_and_after_only():
    telemetry = Counting(in_process=False).observe(50 * PERIOD_S, PERIOD_S)
    assert list_clocks(telemetry.readings) == [1.0, 2.0]
    assert telemetry.during == []
    assert telemetry.reason is None


def test_slow_readings_take_a_small_share_of_the_time():
    source = Counting(takes_s=PERIOD_S / 4)
    start_s, work_s = source.time_s, 2.5 * PARTS * source.takes_s
    telemetry = source.observe(work_s, PERIOD_S / 8)
    assert len(telemetry.during) == 2
    assert telemetry.during[0].taken_s - start_s >= PARTS * source.takes_s


def test_long_work_keeps_a_handful_of_readings_over_all_of_it():
    source = Counting()
    start_s = source.time_s
    telemetry = source.observe(100 * PERIOD_S, PERIOD_S / 8)
    assert 2 <= len(telemetry.during) <= MOST_READINGS
    assert source.count < 20
    assert telemetry.during[0].taken_s < start_s + 1.5 * PERIOD_S
    assert telemetry.during[-1].taken_s > start_s + 50 * PERIOD_S


def test_readings_are_thinned_out_and_taken_half_as_often(monkeypatch):
    monkeypatch.setattr(sampler, "MOST_READINGS", 4)
    source = Counting()
    # 2 3 4 5 6 become 2 4 6 at 5 periods; from then on one every two.
    telemetry = source.observe(7.5 * PERIOD_S, PERIOD_S / 8)
    assert list_clocks(telemetry.during) == [2.0, 4.0, 6.0, 7.0]


def test_what_the_work_raises_is_let_through():
    def work(look):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sample_around(Choice(Counting(), 0), work)


@pytest.mark.parametrize(("fails", "kept"), [(1, []), (2, [1.0]), (3, [1.0, 2.0])])
def test_a_reading_that_fails_is_the_last_and_is_told(fails, kept):
    source = Counting(fails=fails)
    telemetry = source.observe(1.5 * PERIOD_S, PERIOD_S / 8)
    assert list_clocks(telemetry.readings) == kept
    assert telemetry.after is None
    assert telemetry.reason == f"reading {fails} fails"
    assert source.count == fails


def test_without_a_source_the_work_is_done_and_the_reason_told():
    returned, telemetry = sample_around(Choice(None, None, {"nvml": "not here"}), lambda look: 7)
    reason = "no source tells about this GPU: `rocmoe doctor` says why"
    assert (returned, telemetry) == (7, Telemetry(reason=reason))
