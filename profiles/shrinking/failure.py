"""When two results have the same failure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rocmoe.profiles.artifact import Result, Status
from rocmoe.profiles.job import Reply
from rocmoe.profiles.outcome import BAD


@dataclass(frozen=True)
class Failure:
    """What has to stay.

    checks: that failed.  words: of an exception or of what ended the process, without numbers:
    sizes are in them, which get smaller.
    """

    status: Status
    checks: frozenset[str] = frozenset()
    words: str = ""

    def describe(self) -> str:
        """The status, and what failed."""
        what = ", ".join(sorted(self.checks)) or self.words
        return f"{self.status} ({what})" if what else self.status

    def is_same(self, other: Failure | None) -> bool:
        """The same status, and: one of the same checks, or the same words."""
        if other is None or other.status != self.status:
            return False
        if self.status == "fail":
            return bool(self.checks & other.checks)
        return self.words == other.words


def find_failure(outcome: Result | Reply) -> Failure | None:
    """The failure of a result, None where it has none."""
    if outcome.status not in BAD:
        return None
    checks = frozenset(check.name for check in outcome.checks if check.ok is False)
    # A hang is one however long was waited for it.
    told = outcome.status in ("error", "crash")
    return Failure(outcome.status, checks, _strip(outcome.reason) if told else "")


def _strip(reason: str | None) -> str:
    """What was printed last is left out too: it need not be of the crash."""
    return re.sub(r"-?\d+", "#", (reason or "").partition("; it printed last")[0])
