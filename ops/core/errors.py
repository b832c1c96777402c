"""The exceptions of rocmoe.

RocmoeError          anything the user can mend; one line, exit 2
+-- CandidateError   a candidate returned the wrong count, shape or dtype of outputs
+-- InputsError      the inputs of a case cannot be made on this machine
+-- NoGpuError       nothing can run for want of a GPU; exit 4
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RocmoeError(Exception):
    """A request that cannot be served: what, what was found, what was wanted, the next step."""


class CandidateError(RocmoeError):
    """A candidate's outputs are not of the declared count, shape or dtype."""


class InputsError(RocmoeError):
    """The inputs of a case cannot be made on this machine; no candidate is to blame."""


class NoGpuError(RocmoeError):
    """There is no GPU here for what needs one: nothing is wrong, and nothing can be told."""


def describe_error(error: BaseException) -> str:
    """`TYPE: first line of its message`, whatever a foreign exception holds."""
    try:
        words = str(error)
    except Exception:  # a message that raises is not worth a crash
        words = "(its message cannot be read)"
    first = (words.strip().splitlines() or [""])[0][:500]
    return f"{type(error).__name__}: {first.encode('utf-8', 'backslashreplace').decode()}"


def nearest(word: str, names: Iterable[str]) -> str:
    """`; nearest: NAME` for the likeliest meaning of a mistyped word, or an empty string."""
    found = difflib.get_close_matches(word, list(names), n=1, cutoff=0.5)
    return f"; nearest: {found[0]}" if found else ""


def unknown(kind: str, word: str, names: Iterable[str]) -> RocmoeError:
    """The error for a name that is not among those known."""
    known = sorted(names)
    hint = nearest(word, known) or f"; known: {', '.join(known)}"
    return RocmoeError(f"unknown {kind} {word!r}{hint}")
