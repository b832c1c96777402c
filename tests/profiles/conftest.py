from collections import deque

import pytest

from rocmoe.profiles.machine import Activity, Captured, CaptureError


class PretendedGpu:
    """A GPU of pretence, whose host and device have clocks that only move by what is asked.

    launch: what a call does; it takes the host `host_us` to queue, and the device `device_us` to
    do once it is free.  A graph takes the host `REPLAY_US` to launch.
    """

    REPLAY_US = 8.0

    def __init__(self, cache_bytes=1000):
        self.cache_bytes = cache_bytes
        self.host = self.free = 0.0
        self.activities, self.captured, self.spans = [], None, 0
        self.refuses = False

    def launch(self, device_us, host_us=5.0, name="kernel"):
        self.host += host_us
        if self.captured is not None:
            self.captured.append(device_us)
            return
        start = max(self.host, self.free)
        self.free = start + device_us
        self.activities.append(Activity(name, start, device_us))

    def now_us(self):
        return self.host

    def synchronize(self):
        self.host = max(self.host, self.free)

    def span_us(self, work, before, hold_us):
        self.spans += 1
        self.launch(hold_us, 0.0, "hold")
        before()
        start = max(self.host, self.free)
        work()
        end = max(start, self.free)
        self.synchronize()
        return end - start

    def capture(self, calls, keep):
        returned = deque(maxlen=keep)
        self.captured = []
        for call in calls:
            returned.append(call())
        durations, self.captured = self.captured, None
        if self.refuses:
            raise CaptureError("operation not permitted when stream is capturing")

        def replay():
            self.host += self.REPLAY_US
            for duration in durations:
                self.launch(duration, 0.0)

        return Captured(replay, list(returned))

    def profile(self, work):
        self.activities.clear()
        work()
        return list(self.activities)

    def clock_mhz(self):
        return 1000.0


@pytest.fixture
def gpu():
    return PretendedGpu()
