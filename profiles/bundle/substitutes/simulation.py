"""Nothing was simulated, so that there is nothing to judge or count."""

from __future__ import annotations

from collections.abc import Sequence

from rocmoe.ops.core.case import Case
from rocmoe.references.judging.verdict import Verdict


def judge_faults(launches: Sequence[object], checks: Sequence[str]) -> Verdict:
    """No checks."""
    del launches, checks
    return Verdict(())


def count_launches(case: Case, launches: Sequence[object]) -> None:
    """No counts."""
    del case, launches
