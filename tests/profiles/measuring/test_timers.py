"""The timers' arithmetic, on a GPU of pretence: what counts, what does not, what is refused."""

import weakref

import pytest

from rocmoe.profiles.measuring.machine import Activity
from rocmoe.profiles.measuring.timers import (
    WARM_UP_CALLS,
    Effort,
    RefusedError,
    Work,
    split_calls,
    take_samples,
)

#: Two kernels that the device does in 5 us and the host takes 60 us to queue.
KERNELS_US = (2.0, 3.0)
HOST_US = 30.0
EFFORT = Effort(samples=6, least=3, seconds=1.0)


def call_kernels(gpu, made=None):
    def call(number):
        for duration in KERNELS_US:
            gpu.launch(duration, HOST_US)
        if made is not None:
            made.append(number)
        return number

    return call


@pytest.mark.parametrize(
    ("timer", "calls"), [("graph", EFFORT.calls), ("events", 1), ("kernel", 1)]
)
def test_what_the_host_takes_is_no_time_of_the_device(gpu, timer, calls):
    sampled = take_samples(timer, gpu, Work(call_kernels(gpu)), EFFORT)
    assert sampled.samples_us == pytest.approx([sum(KERNELS_US)] * EFFORT.samples)
    assert sampled.calls == calls


def test_wall_is_what_the_host_waits_for(gpu):
    sampled = take_samples("wall", gpu, Work(call_kernels(gpu)), EFFORT)
    # The device ends its last kernel after the host has queued it.
    wanted = (EFFORT.loop * 2 * HOST_US + KERNELS_US[-1]) / EFFORT.loop
    assert sampled.samples_us == pytest.approx([wanted] * EFFORT.samples)
    assert sampled.calls == EFFORT.loop


def test_wall_waits_for_a_device_that_is_slower_than_the_host(gpu):
    sampled = take_samples("wall", gpu, Work(lambda n: gpu.launch(50.0, 1.0)), EFFORT)
    assert sampled.samples_us[0] == pytest.approx(50.0, rel=0.01)


def test_long_calls_are_fewer_in_a_graph_and_in_a_loop(gpu):
    effort = Effort(samples=6, least=3, seconds=1.0, sample_us=1000.0)
    for timer in ("graph", "wall"):
        sampled = take_samples(timer, gpu, Work(lambda n: gpu.launch(300.0)), effort)
        assert sampled.calls == 3
        assert sampled.samples_us[-1] == pytest.approx(300.0, rel=0.05)


def test_samples_end_with_the_time_but_are_at_least_a_few(gpu):
    short = Effort(samples=50, least=4, seconds=1e-5)
    assert len(take_samples("events", gpu, Work(call_kernels(gpu)), short).samples_us) == 4
    longer = Effort(samples=50, least=4, seconds=3e-3)
    assert 4 < len(take_samples("events", gpu, Work(call_kernels(gpu)), longer).samples_us) < 50


@pytest.mark.parametrize("timer", ["graph", "events", "kernel"])
def test_a_flush_comes_ahead_of_every_sample_and_is_not_timed(gpu, timer):
    flushed = []

    def flush():
        flushed.append(1)
        gpu.launch(700.0, 1.0, "fill")

    sampled = take_samples(timer, gpu, Work(call_kernels(gpu), 4, flush), EFFORT)
    assert sampled.samples_us == pytest.approx([sum(KERNELS_US)] * EFFORT.samples)
    assert len(flushed) == EFFORT.samples


def test_a_cold_loop_has_no_more_calls_than_there_are_inputs(gpu):
    work = Work(call_kernels(gpu), 4, lambda: gpu.launch(700.0, 1.0, "fill"))
    sampled = take_samples("wall", gpu, work, EFFORT)
    assert sampled.calls == 4
    assert max(sampled.samples_us) < 700.0


def test_every_call_of_a_graph_has_its_number_and_the_last_answers_are_kept(gpu):
    made = []
    sampled = take_samples("graph", gpu, Work(call_kernels(gpu, made), 3), EFFORT)
    assert made[-EFFORT.calls :] == list(range(EFFORT.calls))
    assert sampled.returned == [17, 18, 19]
    assert sampled.replay is not None


def test_a_capture_that_is_refused_says_why(gpu):
    gpu.refuses = True
    with pytest.raises(RefusedError, match="cannot be captured in a graph: operation not permit"):
        take_samples("graph", gpu, Work(call_kernels(gpu)), EFFORT)


def test_what_a_call_raises_is_not_taken_for_a_refusal(gpu):
    def call(number):
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        take_samples("wall", gpu, Work(call), EFFORT)


def test_kernels_are_added_up_call_by_call():
    seen = [Activity("k", float(at), float(us)) for at, us in enumerate([1, 2, 10, 20])]
    assert split_calls(seen, 2, 0) == [3.0, 30.0]
    assert split_calls(seen, 2, 1) == [2.0, 20.0]


@pytest.mark.parametrize(("calls", "flushes"), [(3, 0), (4, 1), (5, 0)])
def test_calls_that_did_not_do_as_much_cannot_be_told_apart(calls, flushes):
    seen = [Activity("k", float(at), 1.0) for at in range(4)]
    with pytest.raises(RefusedError, match=rf"4 device activities in {calls} calls"):
        split_calls(seen, calls, flushes)


@pytest.mark.parametrize("timer", ["events", "kernel", "wall"])
def test_an_answer_is_let_go_before_the_next_call(gpu, timer):
    alive, living = weakref.WeakSet(), []

    def call(number):
        living.append(len(alive))
        gpu.launch(5.0, 1.0)
        answer = Answer()
        alive.add(answer)
        return answer

    take_samples(timer, gpu, Work(call), EFFORT)
    assert len(living) > 5
    assert set(living[WARM_UP_CALLS:]) == {0}


class Answer:
    pass
