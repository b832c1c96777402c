"""The machine of pretence itself: what a capture of HIP's and CUDA's does, and what it does not."""

import pytest
import torch

from rocmoe.profiles.measuring.machine import CaptureError


def test_a_capture_runs_nothing_and_a_replay_everything_in_place(machine):
    numbers = torch.zeros(4)

    def call():
        numbers.add_(1.0)
        return numbers * 2.0

    graph = machine.make_graph([call], 1)
    assert numbers.tolist() == [1.0] * 4, "the warm-up alone"
    (doubled,) = graph.returned
    assert doubled[0] != 2.0, "nothing was computed yet"
    assert doubled[0] != 4.0
    graph.replay()
    graph.replay()
    assert (numbers.tolist(), doubled.tolist()) == ([3.0] * 4, [6.0] * 4)
    numbers.fill_(1.0)
    graph.replay()
    assert doubled.tolist() == [4.0] * 4
    assert graph.count_nodes() == {"kernel": 2}


def test_memory_that_was_freed_keeps_what_it_held_until_it_is_reused(machine):
    kept = [torch.ones(4)]
    graph = machine.make_graph([lambda: kept[0] + 1.0], 1)
    kept.clear()
    graph.replay()
    assert graph.returned[0].tolist() == [2.0] * 4
    machine.press()
    graph.replay()
    assert graph.returned[0].tolist() != [2.0] * 4


def test_memory_that_is_in_use_or_the_graphs_own_is_not_touched_by_pressure(machine):
    kept = torch.ones(4)
    graph = machine.make_graph([lambda: (kept * 3.0) + 1.0], 1)
    graph.replay()
    machine.press()
    assert graph.returned[0].tolist() == [4.0] * 4
    graph.replay()
    assert graph.returned[0].tolist() == [4.0] * 4


def test_in_a_shared_pool_an_earlier_graph_writes_over_a_later_one(machine):
    numbers = torch.ones(4)
    first = machine.make_graph([lambda: (numbers + 1.0) * 2.0], 1)
    later = machine.make_graph([lambda: numbers * 5.0], 1, first)
    first.replay()
    later.replay()
    assert first.returned[0].tolist() == [4.0] * 4
    assert later.returned[0].tolist() == [5.0] * 4
    first.replay()
    assert later.returned[0].tolist() != [5.0] * 4


@pytest.mark.parametrize("call", [lambda: None, lambda: torch.ones(2).sum().item()])
def test_an_empty_graph_and_a_read_on_the_host_are_refused(machine, call):
    with pytest.raises(CaptureError, match=r"Graph is empty|not permitted when stream is"):
        machine.make_graph([call], 1)
    assert not machine.capturing
