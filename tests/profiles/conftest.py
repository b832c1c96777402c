from collections import OrderedDict, defaultdict, deque

import pytest

from rocmoe.profiles.measuring.machine import Activity, Captured, CaptureError


class PretendedCache:
    """Blocks of memory, of which the least recently read ones are left out."""

    BLOCK = 1024

    def __init__(self, size):
        self.size, self.blocks = size, OrderedDict()

    def read(self, address, size):
        """Bytes that were not in it."""
        missed = 0
        for block in range(address // self.BLOCK, -(-(address + size) // self.BLOCK)):
            missed += block not in self.blocks
            self.blocks[block] = True
            self.blocks.move_to_end(block)
            while len(self.blocks) * self.BLOCK > self.size:
                self.blocks.popitem(last=False)
        return missed * self.BLOCK


class PretendedGpu:
    """A GPU of pretence, whose host and device have clocks that only move by what is asked.

    launch: what a call does; it takes the host `host_us` to queue, and its stream `device_us` to
    do once it is free; streams do not hold each other up.  A graph takes the host `REPLAY_US` to
    launch.  read: a launch that takes as long as memory and the cache let it.
    """

    REPLAY_US = 8.0
    #: Of a launch that reads, and of a KiB from the cache and from memory.
    LAUNCH_US, CACHED_US, MEMORY_US = 4.0, 0.01, 0.04

    def __init__(self, cache_bytes=1000):
        self.cache_bytes = cache_bytes
        self.cache = PretendedCache(cache_bytes)
        self.host, self.free = 0.0, defaultdict(float)
        self.activities, self.captured, self.spans = [], None, 0
        self.refuses = False

    def launch(self, device_us, host_us=5.0, name="kernel", stream=0):
        self.host += host_us
        if self.captured is not None:
            self.captured.append(device_us)
            return
        start = max(self.host, self.free[stream])
        self.free[stream] = start + device_us
        self.activities.append(Activity(name, start, device_us, stream))

    def wait(self, stream, other):
        """What a stream does next begins once all is done that another one was given."""
        self.free[stream] = max(self.free[stream], self.free[other])

    def read(self, address, size):
        missed = self.cache.read(address, size)
        kib = (missed * self.MEMORY_US + max(size - missed, 0) * self.CACHED_US) / 1024
        self.launch(self.LAUNCH_US + kib)

    def now_us(self):
        return self.host

    def synchronize(self):
        self.host = max(self.host, *self.free.values(), 0.0)

    def hold(self, us):
        self.launch(us, 0.0, "hold")

    def span_us(self, work, before, hold_us):
        self.spans += 1
        self.hold(hold_us)
        before()
        start = max(self.host, self.free[0])
        work()
        end = max(start, self.free[0])
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
        return sorted(self.activities, key=lambda activity: activity.start_us)

    def clock_mhz(self):
        return 1000.0


@pytest.fixture
def gpu():
    return PretendedGpu()
