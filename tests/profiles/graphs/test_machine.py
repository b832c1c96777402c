"""Graphs of a GPU by torch's interface, of which only the order of calls is looked at here."""

from contextlib import contextmanager

import pytest

from rocmoe.profiles.graphs import machine as graphs
from rocmoe.profiles.graphs.machine import GpuGraph, GraphGpu
from rocmoe.profiles.graphs.nodes import UnreadError
from rocmoe.profiles.measuring.machine import CaptureError


class Stream:
    def __init__(self, log, name):
        self.log, self.name = log, name

    def wait_stream(self, other):
        self.log.append(f"{self.name} waits for {other.name}")


class TorchGraph:
    def __init__(self, log, keep_graph=False):
        self.log, self.kept = log, keep_graph

    def capture_begin(self, pool=None):
        self.log.append(f"begin {pool}")

    def capture_end(self):
        self.log.append("end")

    def instantiate(self):
        assert self.kept
        self.log.append("instantiate")

    def replay(self):
        self.log.append("replay")

    def pool(self):
        return "pool of the first"

    def raw_cuda_graph(self):
        return 7


class Cuda:
    """The part of torch.cuda that captures."""

    def __init__(self, keeps=True):
        self.log, self.keeps = [], keeps
        self.current = Stream(self.log, "current")

    def CUDAGraph(self, **options):
        if options and not self.keeps:
            raise TypeError("unexpected keyword argument 'keep_graph'")
        return TorchGraph(self.log, **options)

    def Stream(self):
        return Stream(self.log, "side")

    def current_stream(self):
        return self.current

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        yield
        self.current = before

    def synchronize(self, index):
        self.log.append("synchronize")


def make_gpu(cuda):
    gpu = GraphGpu.__new__(GraphGpu)
    gpu._cuda, gpu._index, gpu._pressed = cuda, 0, 0
    gpu._streams = graphs.deque(maxlen=graphs.STREAMS)
    return gpu


def test_a_graph_is_kept_looked_at_and_instantiated_and_the_next_one_shares_its_pool(monkeypatch):
    monkeypatch.setattr(graphs, "load_library", lambda hip: "library")
    monkeypatch.setattr(graphs, "count_nodes", lambda library, graph: {f"{library} {graph}": 1})
    cuda = Cuda()
    gpu = make_gpu(cuda)
    first = gpu.make_graph([lambda: cuda.log.append(cuda.current.name) or 5], 1)
    assert cuda.log == [
        "side waits for current", "side", "synchronize", "begin None", "side", "end",
        "current waits for side", "instantiate",
    ]  # fmt: skip
    assert (first.returned, first.count_nodes()) == ([5], {"library 7": 1})
    assert [stream.name for stream in gpu._streams] == ["side"]
    gpu.make_graph([lambda: None], 1, first)
    assert "begin pool of the first" in cuda.log
    first.replay()
    assert cuda.log[-1] == "replay"


def test_a_torch_that_keeps_no_graph_captures_all_the_same():
    cuda = Cuda(keeps=False)
    graph = make_gpu(cuda).make_graph([lambda: 5], 1)
    assert "instantiate" not in cuda.log
    with pytest.raises(UnreadError, match=r"keeps no graph to look at; wanted 2\.8"):
        graph.count_nodes()


def test_a_graph_that_cannot_be_instantiated_is_refused(monkeypatch):
    def fail(self):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(TorchGraph, "instantiate", fail)
    monkeypatch.setattr(graphs, "load_library", lambda hip: "library")
    with pytest.raises(CaptureError, match="RuntimeError: out of memory"):
        make_gpu(Cuda()).make_graph([lambda: 5], 1)


def test_the_blocks_of_pressure_are_of_every_size_that_torch_cuts():
    sizes = [size for size, _ in graphs.BLOCKS]
    assert sizes == sorted(sizes)
    assert sizes[0] == 512
    assert any(size < 1 << 20 for size in sizes)
    assert any(1 << 20 < size < 10 << 20 for size in sizes)
    assert sizes[-1] > 20 << 20
    assert sum(size * number for size, number in graphs.BLOCKS) < 1 << 28, "of several processes"


def test_a_graph_keeps_what_its_calls_returned():
    captured = graphs.Captured(lambda: None, [1, 2])
    assert GpuGraph(captured, None, None).returned == [1, 2]
