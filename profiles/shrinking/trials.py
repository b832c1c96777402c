"""Candidates, tried in workers: which of them still fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rocmoe.ops.core.case import Case
from rocmoe.profiles.job import Job, Reply
from rocmoe.profiles.pool import Pool
from rocmoe.profiles.shrinking.failure import Failure, find_failure


@dataclass
class Trials:
    """Tries candidates until a point in time, and remembers what became of each.

    make_job: of a case.  replies: of those that failed in the same way, by their ids.  is_valid: of
    candidates of values, of which not every choice is an input.  cut: whether the time was up
    before everything had been tried.
    """

    pool: Pool
    make_job: Callable[[Case], Job]
    failure: Failure
    deadline: float
    clock: Callable[[], float] = time.monotonic
    replies: dict[str, Reply] = field(default_factory=dict)
    refuted: set[str] = field(default_factory=set)
    ran: int = 0
    cut: bool = False

    def find_first(
        self, cases: Sequence[Case], is_valid: Callable[[Case], bool] = lambda case: True
    ) -> int | None:
        """The number of the first that fails in the same way; None where none does.

        is_valid: asked of what fails in the same way, whether that is worth anything.
        """
        start = 0
        while start < len(cases):
            found = self._find(cases[start:])
            if found is None or is_valid(cases[start + found]):
                return None if found is None else start + found
            self.refuted.add(cases[start + found].id)
            start += found + 1
        return None

    def _find(self, cases: Sequence[Case]) -> int | None:
        best: int | None = None
        todo = []
        for number, case in enumerate(cases):
            if case.id in self.refuted:
                continue
            if case.id in self.replies:
                best = number
                break
            todo.append((number, case))

        def wanted(index: int) -> bool:
            if best is not None and todo[index][0] > best:
                return False
            if self.clock() >= self.deadline:
                self.cut = True
                return False
            return True

        def keep(index: int, reply: Reply) -> None:
            nonlocal best
            number, case = todo[index]
            self.ran += 1
            if not self.failure.is_same(find_failure(reply)):
                self.refuted.add(case.id)
                return
            self.replies[case.id] = reply
            best = number if best is None else min(best, number)

        if todo:
            self.pool.run([self.make_job(case) for _, case in todo], keep, wanted)
        return best
