"""Why a capture failed: the expression of the candidate that no graph can hold, and its line."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path
from types import TracebackType

from rocmoe.ops.core.errors import describe_error
from rocmoe.profiles.graphs.record import Refusal
from rocmoe.profiles.measuring.machine import CaptureError

#: Packages whose lines are not the candidate's: what calls it, and what it calls.
FOREIGN = ("torch", "triton", "contextlib", "rocmoe.profiles", "rocmoe.ops.core")

READS = "reads on the host what the device has yet to compute"
#: What an expression does that a capture refuses, by what stands in it; the first one found counts.
DOES = {
    "synchronize": "waits for the device",
    "empty_cache": "frees memory",
    "alloc": "allocates memory",
    ".item(": READS,
    ".tolist(": READS,
    ".cpu(": READS,
    ".numpy(": READS,
    "nonzero": READS,
    "masked_select": READS,
    "unique": READS,
    "bincount": READS,
    "int(": READS,
    "float(": READS,
    "bool(": READS,
    "tensor(": "copies from the host",
    ".to(": "copies between host and device",
    ".cuda(": "copies from the host",
}
#: What an error says was done, whatever the expression; the words are those of HIP and CUDA alike.
SAYS = {
    "Graph is empty": "puts no work on the device that a graph could hold",
    "legacy stream": "works on the default stream, not on the current one",
    "uncaptured work in another stream": "waits for work of a stream that is not captured",
    "unjoined work": "leaves work on a stream that is not joined again",
    "merge of separate capture": "joins two captures",
    "event last recorded in a capturing": "asks about an event of the capture",
    "previous error during capture": "went on behind a call that no capture permits",
    "generator": "draws random numbers that no replay could draw anew",
}
#: What is wrong where a capture refuses an expression that says nothing of itself.
WAITS = "waits for the device, reads on the host, or allocates or frees memory"
NOT_PERMITTED = "not permitted when stream is capturing"


def find_refusal(error: CaptureError) -> Refusal:
    """What could not be captured, by the first exception behind the failure of a capture."""
    first = _find_first(error)
    call, line = _find_place(first.__traceback__)
    return Refusal(call, line, describe_error(first))


def tell_refusal(refusal: Refusal) -> str:
    """The same in a sentence."""
    what = f"{refusal.call} at {refusal.line}" if refusal.call else "the call"
    return f"{what} {_tell_deed(refusal)} ({refusal.error})"


def _tell_deed(refusal: Refusal) -> str:
    for part, deed in SAYS.items():
        if part in refusal.error:
            return deed
    if NOT_PERMITTED not in refusal.error:
        return "raises while it is captured"
    return next((deed for part, deed in DOES.items() if part in refusal.call), WAITS)


def _find_first(error: CaptureError) -> BaseException:
    """The end of a capture fails behind what failed inside, which is its context."""
    cause = error.__cause__ or error
    return cause.__context__ or cause


def _find_place(trace: TracebackType | None) -> tuple[str, str]:
    """The expression and the `FILE.py:LINE` of the innermost frame that is the candidate's."""
    names = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(trace)]
    for name, place in reversed([*zip(names, traceback.extract_tb(trace), strict=True)]):
        if not any(name == each or name.startswith(f"{each}.") for each in FOREIGN):
            return _find_expression(place), f"{Path(place.filename).name}:{place.lineno}"
    return "", ""


def _find_expression(place: traceback.FrameSummary) -> str:
    """What raised, of one line; the whole line before Python 3.11, which knows no columns."""
    start, end = getattr(place, "colno", None), getattr(place, "end_colno", None)
    same_line = getattr(place, "end_lineno", place.lineno) == place.lineno
    if start is None or end is None or not same_line:
        return (place.line or "").strip()
    whole = linecache.getline(place.filename, place.lineno or 0)
    return whole.encode()[start:end].decode(errors="replace")
