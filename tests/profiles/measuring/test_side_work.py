"""Work that a timed stream does not wait for, on a GPU of pretence with several streams."""

import pytest

from rocmoe.profiles.measuring.side_work import (
    MOST_LETTERS,
    TOLERANCE_US,
    UnseenError,
    inspect_call,
)

SIDE = 7


@pytest.fixture
def inspect(gpu):
    gpu.hold(300.0)  # what came before does not count

    def inspect(call):
        return inspect_call(gpu, call, lambda: gpu.launch(1.0, name="do_nothing"))

    return inspect


def test_work_on_the_current_stream_is_all_timed(gpu, inspect):
    def call():
        gpu.launch(50.0, name="first")
        gpu.launch(2.0, name="second")

    found = inspect(call)
    assert found.kernels == ("first", "second")
    assert found.side_work is None


def test_symbols_are_cut_where_arguments_fill_pages(gpu, inspect):
    def call():
        gpu.launch(5.0, name="k" * MOST_LETTERS)
        gpu.launch(5.0, name="k" * MOST_LETTERS + "arguments")

    assert inspect(call).kernels == ("k" * MOST_LETTERS, "k" * MOST_LETTERS + "...")


def test_a_side_stream_that_is_joined_is_timed(gpu, inspect):
    def call():
        gpu.launch(5.0, name="first")
        gpu.wait(SIDE, 0)
        gpu.launch(80.0, name="aside", stream=SIDE)
        gpu.launch(5.0, name="beside")
        gpu.wait(0, SIDE)

    found = inspect(call)
    assert found.kernels == ("first", "aside", "beside")
    assert found.side_work is None


def test_a_side_stream_that_is_not_joined_is_told(gpu, inspect):
    def call():
        gpu.launch(5.0, name="first")
        gpu.wait(SIDE, 0)
        gpu.launch(80.0, name="aside", stream=SIDE)

    assert inspect(call).side_work == (
        f"aside on stream {SIDE} ended 80.0 us after what is timed of its call"
    )


def test_short_work_aside_is_told_too(gpu, inspect):
    def call():
        gpu.wait(SIDE, 0)
        gpu.launch(3 * TOLERANCE_US, name="aside", stream=SIDE)

    assert "aside on stream 7 ended 3.0 us after" in inspect(call).side_work


def test_a_side_stream_that_does_not_wait_is_told(gpu, inspect):
    """Its work is over before the timed stream reaches the call, so that nothing ends late."""

    def call():
        gpu.launch(80.0, name="aside", stream=SIDE)
        gpu.wait(0, SIDE)

    assert "aside on stream 7 began" in inspect(call).side_work
    assert "before what is timed of its call" in inspect(call).side_work


def test_the_furthest_is_named(gpu, inspect):
    def call():
        gpu.wait(SIDE, 0)
        gpu.launch(20.0, name="less", stream=SIDE)
        gpu.launch(300.0, name="most", stream=SIDE)

    assert inspect(call).side_work.startswith("most on stream 7 ended 320.0 us after")


def test_what_clocks_are_not_held_to_is_let_pass(gpu, inspect):
    def call():
        gpu.wait(SIDE, 0)
        gpu.launch(1.0 + TOLERANCE_US, name="aside", stream=SIDE)
        gpu.launch(1.0)

    assert inspect(call).side_work is None


def test_a_call_that_does_nothing_on_the_device_leaves_nothing(inspect):
    found = inspect(lambda: None)
    assert (found.kernels, found.side_work) == ((), None)


def test_a_host_that_is_slow_does_not_count(gpu, inspect):
    assert inspect(lambda: gpu.launch(1.0, host_us=9000.0)).side_work is None


def test_markers_that_are_not_seen_are_no_proof(gpu, inspect):
    with pytest.raises(UnseenError, match="saw 3 of the 2 markers"):
        inspect(lambda: gpu.launch(1.0, name="do_nothing"))
    gpu.profile = lambda work: []
    with pytest.raises(UnseenError, match="saw 0 of what the device did"):
        inspect(lambda: None)


def test_the_name_of_the_marker_is_any(gpu):
    def call():
        gpu.launch(1.0, name="one")
        gpu.launch(2.0, name="two")

    found = inspect_call(gpu, call, lambda: gpu.launch(1.0, name="mark"))
    assert [*found.kernels] == ["one", "two"]
    assert found.side_work is None
