"""What machines are asked for: caches, and graphs that cannot be captured."""

import gc
import warnings
import weakref
from collections import deque

import pytest

from rocmoe.ops.core.device import Device
from rocmoe.profiles.measuring.machine import UNKNOWN_CACHE, CaptureError, Gpu, Host, find_machine

FOLDER = "sys/devices/system/cpu/cpu0/cache"


def test_the_last_cache_of_the_host_is_the_largest_one(tmp_path):
    for index, size in enumerate(("48K", "2048K", "36M")):
        (tmp_path / FOLDER / f"index{index}").mkdir(parents=True)
        (tmp_path / FOLDER / f"index{index}" / "size").write_text(f"{size}\n")
    assert Host(tmp_path).cache_bytes == 36 << 20


def test_a_host_that_lists_no_caches_is_taken_to_have_a_large_one(tmp_path):
    assert Host(tmp_path).cache_bytes == UNKNOWN_CACHE


def test_the_cpu_is_a_host_and_its_clock_goes_on():
    machine = find_machine(Device("cpu"))
    assert type(machine) is Host
    before = machine.now_us()
    machine.synchronize()
    assert machine.now_us() >= before


class Graph:
    """What torch's graphs do: the end of a capture fails behind a call that failed inside."""

    def __init__(self, end=None):
        self.end = end

    def capture_begin(self):
        assert not gc.isenabled(), "garbage may hold device memory"

    def capture_end(self):
        if isinstance(self.end, str):
            warnings.warn(self.end, stacklevel=1)
        elif self.end is not None:
            raise self.end


def record(graph, *calls):
    returned = deque(maxlen=2)
    Gpu._record(None, graph, list(calls), returned)
    return list(returned)


def fail():
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


def test_the_last_answers_are_kept():
    assert record(Graph(), lambda: 1, lambda: 2, lambda: 3) == [2, 3]


@pytest.mark.parametrize(
    ("graph", "calls", "said"),
    [
        (Graph(), [fail], "^RuntimeError: operation not permitted when stream is capturing$"),
        (Graph(RuntimeError("invalidated")), [fail], "^RuntimeError: operation not permitted"),
        (Graph(RuntimeError("invalidated")), [], "^RuntimeError: invalidated"),
        (Graph("The CUDA Graph is empty. This"), [], "^UserWarning: The CUDA Graph is empty"),
    ],
)
def test_the_first_thing_that_went_wrong_is_told(graph, calls, said):
    with pytest.raises(CaptureError, match=said):
        record(graph, *calls)
    assert gc.isenabled()


def test_an_answer_is_let_go_before_the_next_call_so_that_its_memory_serves_again():
    living = []

    def call():
        living.append(len(alive))
        answer = Answer()
        alive.add(answer)
        return answer

    alive = weakref.WeakSet()
    assert len(record(Graph(), *[call] * 5)) == 2
    assert living == [0, 1, 1, 1, 1]


class Answer:
    pass
