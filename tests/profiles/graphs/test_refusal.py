"""Why a capture failed: the candidate's expression, and what it did."""

import sys

import pytest

from rocmoe.profiles.graphs.record import Refusal
from rocmoe.profiles.graphs.refusal import READS, WAITS, find_refusal, tell_refusal
from rocmoe.profiles.measuring.machine import CaptureError

SAID = "AcceleratorError: CUDA error: operation not permitted when stream is capturing"


@pytest.mark.parametrize(
    ("call", "error", "deed"),
    [
        ("int(count.item())", SAID, READS),
        ("mask.nonzero()", SAID.replace("CUDA", "HIP"), READS),
        ("torch.cuda.synchronize()", SAID, "waits for the device"),
        ("lib.hipMalloc(8)", SAID, "allocates memory"),
        ("torch.tensor([1, 2])", SAID, "copies from the host"),
        ("kernel[grid](x)", SAID, WAITS),
        ("x + 1", "RuntimeError: HIP error: operation would make the legacy stream depend on a "
         "capturing blocking stream", "works on the default stream, not on the current one"),
        ("", "UserWarning: The CUDA Graph is empty. This usually",
         "puts no work on the device that a graph could hold"),
        ("x.item()", "ValueError: no", "raises while it is captured"),
        ("", "RuntimeError: CUDA error: operation failed due to a previous error during capture",
         "went on behind a call that no capture permits"),
    ],
)  # fmt: skip
def test_what_was_done_is_told_by_the_error_and_then_by_the_expression(call, error, deed):
    told = tell_refusal(Refusal(call, "k.py:3" if call else "", error))
    assert told == f"{f'{call} at k.py:3' if call else 'the call'} {deed} ({error})"


def fail(end=None):
    """As the machine does: what the end of a capture says hides what the candidate raised."""
    try:
        try:
            candidate(3)
        finally:
            if end:
                raise RuntimeError(end)
    except RuntimeError as error:
        raise CaptureError("told elsewhere") from error


def candidate(number):
    count = number + 1
    return count + wait(count)


def wait(count):
    raise RuntimeError("operation not permitted when stream is capturing\nand a hint")


@pytest.mark.parametrize("end", [None, "operation failed due to a previous error"])
def test_the_first_exception_counts_and_its_innermost_line(end):
    with pytest.raises(CaptureError) as caught:
        fail(end)
    refusal = find_refusal(caught.value)
    assert refusal.error == "RuntimeError: operation not permitted when stream is capturing"
    assert refusal.line == f"test_refusal.py:{wait.__code__.co_firstlineno + 1}"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="lines have no columns before Python 3.11")
def test_lines_of_what_the_candidate_calls_are_passed_over(monkeypatch):
    """`wait` stands for a function of torch's: the expression that called it counts."""
    namespace = {"__name__": "torch.pretended"}
    exec("def wait(count):\n    raise RuntimeError('no')", namespace)
    monkeypatch.setitem(globals(), "wait", namespace["wait"])
    with pytest.raises(CaptureError) as caught:
        fail()
    refusal = find_refusal(caught.value)
    assert refusal.call == "wait(count)"
    assert refusal.line == f"test_refusal.py:{candidate.__code__.co_firstlineno + 2}"


def test_an_error_without_a_line_of_the_candidates_has_none():
    assert find_refusal(CaptureError("alone")) == Refusal("", "", "CaptureError: alone")
