"""What is written down of an op in a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

#: What is wrong with an op in a graph.
Fault = Literal["refused", "stale", "wrong", "differs"]
GraphVerdict = Literal["safe", "refused", "stale", "wrong", "differs", "not tried"]

CAPTURE, UNCHANGED, INPUTS = "capture", "unchanged", "changed inputs"
COUNTS, MANY, PRESSURE = "changed counts", "many replays", "allocator pressure"
SIDE, LARGE, POOL = "side stream", "large graph", "shared pool"
PROCESSES, TIMED, SURVIVES = "processes", "timed replays", "survives"

#: The trials of one process in their order.  Behind a capture that failed a process is suspect, so
#: that what captures again comes last.
MATRIX = (CAPTURE, UNCHANGED, INPUTS, COUNTS, MANY, PRESSURE, SIDE, LARGE, POOL)
#: The trials of every further process.
BRIEF = (CAPTURE, UNCHANGED, INPUTS)
#: Without these no graph is called safe.
REQUIRED = BRIEF


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to use a graph, against an eager run.

    ok: null where it was not tried.  detail: what was done, what went wrong, or why it was not
    tried.  fault: what is wrong, where something is.
    """

    name: str
    ok: bool | None
    detail: str = ""
    fault: Fault | None = None


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A capture that failed.

    call: the expression that cannot be captured; line: `FILE.py:LINE` of it; both empty where no
    line of the candidate raised.  error: what torch said.
    """

    call: str
    line: str
    error: str


class GraphRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of an op's calls in a graph.

    reason: of every verdict but `safe`.  nodes: of the graph of one call, kind -> count, null where
    they were not read; unread: why.  answers: by output the digest of its canonical form for each
    draw.  dot: the file that the graph was drawn into.
    """

    verdict: GraphVerdict
    reason: str | None = None
    trials: list[Trial] = []
    nodes: dict[str, int] | None = None
    unread: str | None = None
    refusal: Refusal | None = None
    answers: dict[str, list[str]] = {}
    dot: str | None = None


class GraphTask(msgspec.Struct, frozen=True):
    """What a process is to try.  trials: of `MATRIX`.  judged: whether it also judges eager calls,
    as `rocmoe validate` does.  replays: of `MANY`.  dot: a file to draw the graph into."""

    trials: list[str]
    judged: bool
    replays: int
    dot: str | None = None


def add_trial(record: GraphRecord, trial: Trial) -> GraphRecord:
    """The record with one more trial, and the verdict that all of them come to."""
    trials = [*record.trials, trial]
    verdict, reason = judge_trials(trials)
    return msgspec.structs.replace(record, trials=trials, verdict=verdict, reason=reason)


def judge_trials(trials: Sequence[Trial]) -> tuple[GraphVerdict, str | None]:
    """The verdict and the reason of it: the first fault; safe only where all of `REQUIRED` passed.

    What was not tried is no evidence.
    """
    for trial in trials:
        if trial.fault is not None:
            return trial.fault, f"{trial.name}: {trial.detail}"
    passed = {trial.name for trial in trials if trial.ok}
    if missing := [name for name in REQUIRED if name not in passed]:
        why = next((each.detail for each in trials if each.name == missing[0]), "was not reached")
        return "not tried", f"{missing[0]}: {why}"
    return "safe", None
