"""Flushes: what evicts the caches, and a probe that tells whether it does."""

import pytest

pytest.importorskip("triton", reason="triton is not installed")
import torch

from rocmoe.ops.core.device import Device
from rocmoe.ops.core.launch import simulating
from rocmoe.profiles.measuring import flush as module
from rocmoe.profiles.measuring.flush import LAYOUTS, make_flush, prepare_flush, probe_flush
from rocmoe.profiles.measuring.machine import Host
from rocmoe.profiles.measuring.measurement import PROBES, doubt_flush

GPU, CPU = Device("gpu"), Device("cpu")
CACHE = 1 << 16


class Executor:
    """Launches are compiled, and read memory through the cache of the pretended GPU."""

    arch = "gfx942"

    def __init__(self, gpu):
        self.gpu = gpu

    def launch(self, compiled, grid, arguments):
        source = arguments["source"]
        self.gpu.read(source.data_ptr(), source.numel() * 4)


@pytest.fixture
def reading(gpu, monkeypatch):
    """A GPU of pretence with a cache of `CACHE` bytes, whose memory is the host's."""
    gpu.cache_bytes = gpu.cache.size = CACHE
    allocated = []

    def allocate(device, size):
        allocated.append(torch.zeros(-(-size // 16) * 4, dtype=torch.int32))
        return allocated[-1]

    monkeypatch.setattr(module, "allocate_lines", allocate)
    gpu.allocated = allocated
    with simulating(Executor(gpu)):
        yield gpu


def doubt(probe):
    return doubt_flush({name: [us] for name, us in probe.items()})


def probe(gpu, size):
    return probe_flush(gpu, GPU, make_flush(GPU, size))


def test_a_flush_of_twice_the_cache_is_proven(reading):
    found = probe(reading, 2 * CACHE)
    assert tuple(found) == PROBES
    assert doubt(found) is None


def test_what_a_launch_takes_does_not_count(reading):
    kib = CACHE / LAYOUTS["gpu"].parts / 1024
    wanted = {
        "cached": kib * reading.CACHED_US,
        "flushed": kib * reading.MEMORY_US,
        "memory": kib * reading.MEMORY_US,
    }
    # A piece that does not begin with a block of the cache covers one block more.
    slack = 1.01 * reading.MEMORY_US
    assert slack < reading.LAUNCH_US / 10
    assert probe(reading, 2 * CACHE) == pytest.approx(wanted, abs=slack)


def test_all_of_the_buffer_but_the_piece_is_read_ahead_of_a_cold_one(reading, monkeypatch):
    reads = []
    monkeypatch.setattr(reading, "read", lambda address, size: reads.append((address, size)))
    probe(reading, 2 * CACHE)
    begin, whole = reads[0]
    layout = LAYOUTS["gpu"]
    size = whole // layout.pieces
    cold = [
        (before, behind, piece)
        for before, behind, piece in zip(reads, reads[1:], reads[2:], strict=False)
        if (before[0], piece[1]) == (begin, size) and before[1] + behind[1] == whole - size
    ]
    assert len(cold) == layout.repetitions == len({piece for *_, piece in cold})
    for before, behind, piece in cold:
        assert piece[0] == begin + before[1]
        assert behind[0] == piece[0] + size


@pytest.mark.parametrize("share", [0.1, 0.25, 0.45])
def test_a_flush_that_leaves_some_of_the_probe_cached_is_told(reading, share):
    assert "behind the flush" in doubt(probe(reading, int(share * CACHE)))


def test_no_flush_at_all_is_told(reading):
    assert "behind the flush" in doubt(probe_flush(reading, GPU, lambda: None))


def test_a_cache_that_does_nothing_proves_nothing(reading):
    reading.cache.size = 0
    assert "no faster cached" in doubt(probe(reading, 2 * CACHE))


def test_a_cache_that_is_larger_than_it_is_said_to_be_is_told(reading):
    reading.cache.size = 64 * CACHE
    assert "no faster cached" in doubt(probe(reading, 2 * CACHE))


def test_what_takes_no_longer_than_a_launch_proves_nothing(reading):
    """Reading costs nothing, so that less what a launch takes nothing would be left to compare."""
    reading.CACHED_US = reading.MEMORY_US = 0.0
    assert "no faster cached" in doubt(probe(reading, 2 * CACHE))


def test_the_buffer_is_several_times_the_cache_and_a_piece_fits_it(reading):
    probe(reading, 2 * CACHE)
    largest = max(memory.numel() * 4 for memory in reading.allocated)
    for layout in LAYOUTS.values():
        assert layout.parts >= 2
        assert layout.pieces - 1 >= 2 * layout.parts, "what is read ahead is twice the cache"
        assert layout.repetitions <= layout.pieces - 2, "every cold piece is another one"
    assert largest == CACHE * LAYOUTS["gpu"].pieces // LAYOUTS["gpu"].parts


def test_the_flush_reads_as_much_as_it_is_to_in_one_launch(reading):
    flush = make_flush(GPU, 1 << 20)
    before = len(reading.activities)
    flush()
    assert len(reading.activities) == before + 1
    assert [memory.numel() * 4 for memory in reading.allocated] == [1 << 20, 0]


def test_where_no_kernel_can_read_the_flush_overwrites():
    assert torch.equal(make_flush(CPU, 100)(), torch.zeros(100, dtype=torch.uint8))


class PretendedHost(Host):
    """A processor whose clock only moves as memory is read."""

    def __init__(self, gpu):
        self.gpu, self.cache_bytes = gpu, CACHE

    def now_us(self):
        self.gpu.synchronize()
        return self.gpu.now_us()


@pytest.mark.parametrize(("share", "words"), [(2.0, "None"), (0.1, "behind the flush")])
def test_a_processor_is_probed_by_its_own_clock(gpu, monkeypatch, share, words):
    gpu.cache.size = CACHE
    monkeypatch.setattr(torch, "amax", lambda m: gpu.read(m.data_ptr(), m.numel() * 4))
    memory = torch.zeros(int(share * CACHE) // 4, dtype=torch.int32)
    assert words in str(doubt(probe_flush(PretendedHost(gpu), CPU, lambda: torch.amax(memory))))


def test_real_memory_is_read_and_flushed_on_the_host():
    flushed = []

    class Small(Host):
        def __init__(self):
            self.cache_bytes = CACHE

    found = probe_flush(Small(), CPU, lambda: flushed.append(1))
    assert tuple(found) == PROBES
    assert min(found.values()) > 0.0
    assert len(flushed) == 1 + LAYOUTS["cpu"].repetitions


def test_a_flush_is_made_and_probed_once_for_a_machine(reading):
    prepared = prepare_flush(reading, GPU, 2 * CACHE)
    spans = reading.spans
    assert prepare_flush(reading, GPU, 2 * CACHE) is prepared
    assert reading.spans == spans > 0
    assert doubt(prepared.probe_us) is None
    assert prepare_flush(reading, GPU, CACHE) is not prepared
