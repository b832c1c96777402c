"""The launches that are made again, with a pretended GPU: what makes one the same as another."""

from types import SimpleNamespace

import pytest
import torch

from rocmoe.ops.core import gpu_launch
from rocmoe.ops.core.gpu_launch import launch_again


class OnGpu(torch.Tensor):
    """A tensor of the CPU that says it is on a GPU."""

    def get_device(self):
        return 3


class Compiled:
    function, packed_metadata = "function", "metadata"

    def __init__(self):
        self.runs = []

    def run(self, *arguments):
        self.runs.append(arguments)


KERNEL = SimpleNamespace(arg_names=["x", "count", "FLAG"])
#: Warps, stages, and whether it overlaps with the launch ahead.
HOW = (1, None, False)


@pytest.fixture
def gpu(monkeypatch):
    """Pretend; gives a function that remembers a launch and returns what it compiled."""
    hooks = SimpleNamespace(launch_enter_hook="enter", launch_exit_hook="exit")
    tools = gpu_launch._Tools(OnGpu, lambda: 3, lambda device: f"stream {device}", hooks, False)
    monkeypatch.setattr(gpu_launch, "_find_tools", lambda: tools)
    monkeypatch.setattr(gpu_launch, "_launches", {})

    def remember(arguments, num_warps=1, kernel=KERNEL):
        key, _ = gpu_launch._make_key(tools, kernel, arguments, (num_warps, None, False))
        gpu_launch._launches[key] = compiled = Compiled()
        return compiled

    return remember


def make(offset=0, dtype=torch.float32):
    return torch.zeros(64, dtype=dtype)[offset:].as_subclass(OnGpu)


def arguments(x=None, count=5, flag=True):
    return {"FLAG": flag, "x": make() if x is None else x, "count": count}


def test_what_was_launched_before_is_run_with_its_arguments_in_order(gpu):
    compiled = gpu(arguments())
    x = make()
    assert launch_again(KERNEL, (7,), arguments(x), HOW)
    (run,) = compiled.runs
    assert run[:9] == (7, 1, 1, "stream 3", "function", "metadata", None, "enter", "exit")
    assert run[9] is x
    assert run[10:] == (5, True)


def test_a_kernel_of_one_parameter_gets_it(gpu):
    kernel = SimpleNamespace(arg_names=["x"])
    compiled = gpu({"x": make()}, kernel=kernel)
    x = make()
    assert launch_again(kernel, (7,), {"x": x}, HOW)
    (run,) = compiled.runs
    assert len(run) == 10
    assert run[9] is x


@pytest.mark.parametrize(
    "other",
    [
        {"count": 6},
        {"flag": False},
        {"flag": 1},
        {"flag": 1.0},
        {"x": make(dtype=torch.bfloat16)},
        {"x": make(offset=1)},  # not aligned to 16 bytes
        {"x": torch.zeros(64)},  # of another class: not one that says it is there
    ],
    ids=str,
)
def test_what_makes_other_code_is_not_the_same_launch(gpu, other):
    compiled = gpu(arguments())
    assert not launch_again(KERNEL, (7,), arguments(**other), HOW)
    assert not compiled.runs


def test_other_options_kernels_names_and_devices_are_not_the_same(gpu, monkeypatch):
    compiled = gpu(arguments())
    assert not launch_again(KERNEL, (7,), arguments(), (2, None, False))
    assert not launch_again(KERNEL, (7,), arguments(), (1, 3, False))
    assert not launch_again(KERNEL, (7,), arguments(), (1, None, True))
    assert not launch_again(SimpleNamespace(arg_names=[]), (7,), arguments(), HOW)
    renamed = {{"count": "other"}.get(name, name): v for name, v in arguments().items()}
    assert not launch_again(KERNEL, (7,), renamed, HOW)
    tools = gpu_launch._find_tools()
    elsewhere = gpu_launch._Tools(OnGpu, lambda: 0, tools.current_stream, tools.hooks, False)
    monkeypatch.setattr(gpu_launch, "_find_tools", lambda: elsewhere)
    assert not launch_again(KERNEL, (7,), arguments(), HOW)
    assert not compiled.runs


def test_an_empty_grid_runs_nothing(gpu):
    compiled = gpu(arguments())
    assert not launch_again(KERNEL, (0, 2), arguments(), HOW)
    assert not compiled.runs


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_a_second_launch_writes_to_its_own_tensors():
    from rocmoe.ops.kernels.topk_softmax import topk_softmax

    gpu_launch._launches.clear()
    first, second = (torch.randn(9, 64, device="cuda") for _ in range(2))
    found = [topk_softmax(logits, 4, True) for logits in (first, second, first)]
    assert gpu_launch._launches
    wanted = [logits.topk(4).indices for logits in (first, second, first)]
    for (_, ids), want in zip(found, wanted, strict=True):
        assert torch.equal(ids, want.int())
