"""Proof that the judges catch faults: harmed kernels through the whole road."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rocmoe.ops.core.harm import Harm, list_harmed_ops, load_harms
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.job import Job, Reply
from rocmoe.profiles.outcome import BAD, Exit
from rocmoe.profiles.pool import Pool
from rocmoe.profiles.suites import list_cases

COLUMNS = ("op", "kernel", "what it does", "expected", "outcome", "caught by", "on case")


@dataclass
class Trial:
    """One harmed kernel against the cases of its op, until a check catches it."""

    op: str
    harm: Harm
    strict: bool
    cases: int = 0
    caught_by: str | None = None
    caught_on: str | None = None
    #: Everything that is not a pass or a catch: a kernel that never ran proves nothing.
    unusable: list[str] = field(default_factory=list)

    @property
    def must_be_caught(self) -> bool:
        """Whether the contract forbids what the kernel does."""
        return not self.harm.right and (self.strict or not self.harm.strict_only)

    @property
    def ran(self) -> bool:
        """Whether the kernel ran on every case that it was given."""
        return self.cases > 0 and not self.unusable

    @property
    def ok(self) -> bool:
        """Whether the judges did as they must."""
        return self.ran and (self.caught_by is not None) == self.must_be_caught

    def take(self, job: Job, reply: Reply) -> None:
        """Note what became of one case."""
        self.cases += 1
        if reply.status == "fail" and self.caught_by is None:
            failed = [check.name for check in reply.checks if check.ok is False]
            self.caught_by, self.caught_on = ", ".join(failed), job.case_id
        elif reply.status in BAD and self.caught_by is None:
            self.caught_by, self.caught_on = f"{reply.status}: {reply.reason}", job.case_id
        elif reply.status not in ("pass", *BAD):
            self.unusable.append(f"{reply.status}: {reply.reason}")

    def describe(self) -> list[str]:
        """A row of `COLUMNS`."""
        expected = "caught" if self.must_be_caught else "passes"
        if self.strict:
            expected += " (strict)"
        outcome = "ok" if self.ok else "ESCAPED" if self.must_be_caught else "REFUSED"
        if self.unusable:
            outcome = f"NOT RUN: {self.unusable[0]}"
        on = self.caught_on or f"all {self.cases} cases pass"
        name, summary = self.harm.name, self.harm.summary
        return [self.op, name, summary, expected, outcome, self.caught_by or "-", on]


def judge_trials(trials: list[Trial]) -> Exit:
    """0 when every trial is as it must be, 4 when no kernel ran, 1 else."""
    if trials and all(trial.ok for trial in trials):
        return Exit.PASSED
    return Exit.FAILED if any(trial.ran for trial in trials) else Exit.INCONCLUSIVE


def plan_trials() -> list[Trial]:
    """Every harmed kernel; one that only strict judging forbids, both ways."""
    trials = []
    for op in list_harmed_ops():
        for harm in load_harms(op).values():
            trials.append(Trial(op, harm, strict=False))
            if harm.strict_only:
                trials.append(Trial(op, harm, strict=True))
    return trials


def run_trials(
    trials: list[Trial], pool: Pool, device: str, on_progress: Callable[[int, int], None]
) -> None:
    """Run trials on the cases of the quick suite; a trial ends when its kernel is caught."""
    plan = [
        (trial, Job(case.id, f"harm:{trial.harm.name}", device, trial.strict))
        for trial in trials
        for case in list_cases(load_op(trial.op), "quick")
    ]

    def keep(index: int, reply: Reply) -> None:
        trial, job = plan[index]
        trial.take(job, reply)
        on_progress(trials.index(trial) + 1, len(trials))

    pool.run([job for _, job in plan], keep, wanted=lambda index: plan[index][0].caught_by is None)
