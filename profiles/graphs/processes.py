"""What several processes say of one graph."""

from __future__ import annotations

from collections.abc import Sequence

from rocmoe.profiles.graphs.record import (
    CAPTURE,
    PROCESSES,
    SURVIVES,
    GraphRecord,
    Trial,
    add_trial,
)
from rocmoe.profiles.job import Reply


def is_captured(record: GraphRecord) -> bool:
    """Whether a graph of one call was captured."""
    return any(trial.name == CAPTURE and trial.ok for trial in record.trials)


def compare_processes(first: GraphRecord, others: Sequence[Reply]) -> Trial:
    """Whether further processes capture and replay as the first did, and answer the same.

    Answers are compared in the op's canonical form; where it has none each is only judged.
    """
    if not is_captured(first):
        return Trial(PROCESSES, None, "nothing was captured")
    if not others:
        return Trial(PROCESSES, None, "there was one process only")
    for number, reply in enumerate(others, 2):
        if (trial := _find_fault(number, first, reply)) is not None:
            return trial
    names = ", ".join(first.answers)
    told = f"the same {names}" if names else "each answer judged, no canonical form to compare"
    return Trial(PROCESSES, True, f"{1 + len(others)} processes, {told}")


def _find_fault(number: int, first: GraphRecord, reply: Reply) -> Trial | None:
    where = f"in process {number}"
    record = reply.graph
    if record is None:
        return Trial(PROCESSES, False, f"{where}: {reply.status}: {reply.reason}", "wrong")
    if record.verdict == "not tried":
        return Trial(PROCESSES, None, f"{where}: {record.reason}")
    if record.verdict != "safe":
        return Trial(PROCESSES, False, f"{where}: {record.reason}", record.verdict)
    for name, digests in first.answers.items():
        if record.answers[name] != digests:
            words = f"{name} is unlike that of process 1, on the same inputs"
            return Trial(PROCESSES, False, f"{where}: {words}", "differs")
    return None


def record_death(reason: str) -> GraphRecord:
    """The record of an implementation whose eager calls are right, and whose process died while it
    was tried in graphs."""
    why = "the process died"
    record = GraphRecord("not tried", why)
    return add_trial(record, Trial(SURVIVES, False, f"{why}: {reason}", "wrong"))
