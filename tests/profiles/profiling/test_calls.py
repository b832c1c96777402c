"""The launches of the calls told from all others."""

import pytest

from rocmoe.profiles.measuring.machine import WARM_UP_CALLS
from rocmoe.profiles.profiling.calls import DELIMITER, DELIMITERS, keep_calls
from rocmoe.profiles.profiling.trace import CounterValue, Dispatch, KernelStats, Trace

CALLS = 4


def make_trace(names, process="1", counted=False, numbered=True):
    launches = [
        Dispatch(
            process=process, kernel=name, dispatch_id=number if numbered else None,
            start_ns=1000 * number, end_ns=1000 * number + 10 * number, counted=counted,
            grid=(64,), workgroup=(64,),
        )
        for number, name in enumerate(names, 1)
    ]  # fmt: skip
    values = [
        CounterValue(process=process, dispatch_id=each.dispatch_id, kernel=each.kernel,
                     counter="SQ_WAVES", value=1.0)
        for each in launches if counted
    ]  # fmt: skip
    stats = (KernelStats(domain="kernel", name="a", calls=9, total_ns=9, average_ns=1),)
    return Trace(tool="rocprofv3", form="JSON", dispatches=(*launches,), counters=(*values,),
                 stats=stats)  # fmt: skip


def run(call, generation=("fill", "fill", "a"), delimiters=DELIMITERS, calls=CALLS):
    """What a program launches: inputs, the warm-up, empty kernels, the calls."""
    return [*generation, *call * WARM_UP_CALLS, *[DELIMITER] * delimiters, *call * calls]


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("call", [["a"], ["a", "b", "a"]])
def test_what_comes_behind_the_last_empty_kernel_is_of_the_calls(numbered, call):
    trace = make_trace(run(call), numbered=numbered)
    found = keep_calls(trace, CALLS)
    assert [each.kernel for each in found.trace.dispatches] == call * CALLS
    assert len(found.outside) == 3 + len(call) * WARM_UP_CALLS + DELIMITERS
    assert found.trace.notes == ()
    assert found.trace.stats == ()
    first = 3 + len(call) * WARM_UP_CALLS + 1
    assert found.empty_us == pytest.approx((first + (DELIMITERS - 1) / 2) * 10 / 1e3)


def test_launches_that_are_not_in_order_in_the_files_are_sorted():
    names = run(["a", "b"])
    trace = make_trace(names)
    shuffled = Trace(tool="t", form="f", dispatches=trace.dispatches[::-1])
    kept = keep_calls(shuffled, CALLS).trace.dispatches
    assert [each.dispatch_id for each in kept] == [*range(len(names) - 7, len(names) + 1)]


def test_counters_of_the_calls_alone_are_kept_and_their_launches_have_no_empty_time():
    trace = make_trace(run(["a"]), counted=True)
    timed = make_trace(run(["a"]), process="2")
    both = Trace(tool="t", form="f", dispatches=timed.dispatches + trace.dispatches,
                 counters=trace.counters)  # fmt: skip
    found = keep_calls(both, CALLS)
    kept = [each.dispatch_id for each in found.trace.dispatches if each.counted]
    assert [each.dispatch_id for each in found.trace.counters] == kept
    assert len(kept) == CALLS
    assert keep_calls(trace, CALLS).empty_us is None
    assert keep_calls(trace, CALLS).trace.notes == ("nothing of the calls was timed",)


def test_without_empty_kernels_launches_are_counted_and_others_told():
    trace = make_trace(run(["a", "b", "b"], generation=("fill", "fill"), delimiters=0))
    found = keep_calls(trace, CALLS)
    assert [each.kernel for each in found.trace.dispatches] == ["a", "b", "b"] * CALLS
    (note,) = found.trace.notes
    assert note.endswith("left out, not in proportion to the calls: fill (2)")
    assert found.empty_us is None


def test_without_empty_kernels_what_inputs_are_made_with_too_is_left_out():
    trace = make_trace(run(["a", "b"], generation=("a",), delimiters=0))
    found = keep_calls(trace, CALLS)
    assert [each.kernel for each in found.trace.dispatches] == ["b"] * CALLS
    assert "a (8)" in found.trace.notes[0]


def test_another_process_that_made_no_calls_has_nothing_to_keep():
    trace = make_trace(run(["a"]))
    other = make_trace(["tune", "tune"], process="9")
    both = Trace(tool="t", form="f", dispatches=trace.dispatches + other.dispatches)
    found = keep_calls(both, CALLS)
    assert {each.process for each in found.trace.dispatches} == {"1"}
    assert "tune (2)" in found.trace.notes[0]


def test_a_kernel_that_not_every_call_launches_is_noted():
    names = [*run(["a"]), "b"]
    (note,) = keep_calls(make_trace(names), CALLS).trace.notes
    assert note == "not as often in each of 4 calls, or not seen each time: b (1)"
