"""Floors: the same bytes as the op's, the fastest shape, in the op's cache state."""

import pytest

pytest.importorskip("triton", reason="triton is not installed")
import torch

from rocmoe.ops.core.device import Device
from rocmoe.ops.core.launch import simulating
from rocmoe.ops.core.spec import Cost
from rocmoe.ops.kernels.stream import SHAPES
from rocmoe.profiles.measuring import floors
from rocmoe.profiles.measuring.floors import Floors
from rocmoe.profiles.measuring.timers import Effort

COST = Cost(bytes_read=8192, bytes_written=100, operations=0)
EFFORT = Effort(samples=3, least=3, seconds=1.0, calls=4)
FASTEST = SHAPES[1]
EMPTY_US, FASTEST_US, OTHER_US = 1.0, 2.0, 4.0


class Executor:
    """Launches are compiled, and take the pretended GPU some time."""

    arch = "gfx942"

    def __init__(self, gpu):
        self.gpu = gpu

    def launch(self, compiled, grid, arguments):
        programs = -(-COST.bytes_read // (4 * FASTEST.words))
        is_fastest = (grid[0], compiled.num_warps) == (programs, FASTEST.warps)
        moved = FASTEST_US if is_fastest else OTHER_US
        self.gpu.launch(EMPTY_US if compiled.name == "do_nothing" else moved)


@pytest.fixture
def make_floors(gpu, monkeypatch):
    allocated = []

    def allocate(device, size):
        allocated.append(size)
        return torch.empty(-(-size // 16) * 4, dtype=torch.int32, device="meta")

    monkeypatch.setattr(floors, "allocate_lines", allocate)
    with simulating(Executor(gpu)):
        yield lambda cost=COST, kind="gpu": Floors(gpu, Device(kind), cost), allocated


def test_the_fastest_shape_counts_and_the_bytes_are_the_ops(make_floors):
    make, allocated = make_floors
    found = make().measure("graph", 1, None, EFFORT)
    assert found["stream"].samples_us == [pytest.approx([FASTEST_US] * 3)]
    assert found["stream"].variant == str(FASTEST)
    assert (found["stream"].bytes_read, found["stream"].bytes_written) == (8192, 100)
    assert found["stream"].calls == [EFFORT.calls]
    assert found["empty"].samples_us == [pytest.approx([EMPTY_US] * 3)]
    assert sorted(allocated) == [4, 100, 8192]


def test_the_timer_and_the_cache_state_are_those_of_the_op(make_floors, gpu):
    make, allocated = make_floors
    flushed = []

    def flush():
        flushed.append(1)
        gpu.launch(300.0, 1.0, "fill")

    found = make().measure("kernel", 3, flush, EFFORT)
    assert found["stream"].samples_us == [pytest.approx([FASTEST_US] * 3)]
    assert found["stream"].calls == [1]
    assert len(flushed) > 2 * EFFORT.samples
    assert allocated.count(8192) == 3, "as many sets as the op has"


def test_an_op_that_moves_nothing_has_no_stream(make_floors):
    make, _ = make_floors
    assert set(make(Cost(0, 0, 0)).measure("graph", 1, None, EFFORT)) == {"empty"}


def test_there_are_none_where_there_is_no_gpu(make_floors):
    make, allocated = make_floors
    assert make(kind="cpu").measure("wall", 1, None, EFFORT) == {}
    assert allocated == []
