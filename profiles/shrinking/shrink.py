"""From one failing result to the smallest case with the same failure, and its artifact."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from rocmoe.ops.backends.torch import NAME as TORCH
from rocmoe.ops.core.case import Case, parse_case
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.simulator import ALWAYS, CHECKS
from rocmoe.ops.core.spec import OpSpec, load_op
from rocmoe.profiles.address import find_result, name_result
from rocmoe.profiles.artifact import (
    Artifact,
    Request,
    Result,
    check_writable,
    record_case,
    write_artifact,
)
from rocmoe.profiles.job import Job, Reply
from rocmoe.profiles.outcome import BAD
from rocmoe.profiles.pool import Pool
from rocmoe.profiles.shrinking.cases import reduce_case
from rocmoe.profiles.shrinking.failure import Failure, find_failure
from rocmoe.profiles.shrinking.trials import Trials
from rocmoe.profiles.shrinking.values import is_answered, reduce_rows, reduce_values
from rocmoe.profiles.validation import Settings, make_header, make_path, make_result, probe

#: Tries of the failure that is shrunk: one that comes and goes may need several.
TRIES = 3
#: The share of the time that the case itself may take, and what a candidate may: seconds at least,
#: and times what the case took.
FIRST_SHARE = 0.5
LEAST_SECONDS = 5.0
TIMES = 4.0
#: Of plainer values and the smaller sizes that they allow.
ROUNDS = 4
#: Characters of a case that gives values: one that people can still paste.
MOST_CHARACTERS = 4000

OnStep = Callable[[str, Case, int], None]


@dataclass(frozen=True)
class Target:
    """A failure to shrink: where it was, and how it is brought about."""

    spec: OpSpec
    case: Case
    selector: str
    device: str
    strict: bool
    checks: tuple[str, ...]
    failure: Failure

    def make_job(self, case: Case) -> Job:
        return Job(case.id, self.selector, self.device, self.strict, [*self.checks])

    def is_valid(self, case: Case) -> bool:
        """Whether given values are an input of the op: its own torch implementation passes.

        That is no help where that is what fails.
        """
        ours = self.selector.partition(":")[0] == TORCH
        return ours or is_answered(self.spec, case, strict=self.strict)


@dataclass(frozen=True)
class Shrunk:
    """What came of it.

    found: the failure of the smallest case; None where the failure was not seen again, and `seen`
    says what was instead.  cut: whether the time was up first.
    """

    target: Target
    case: Case
    found: Reply | None
    seen: str
    ran: int
    seconds: float
    cut: bool

    @property
    def smaller(self) -> bool:
        """Whether anything was taken away."""
        return self.case != self.target.case


def read_target(address: str, device: str | None = None) -> Target:
    """The failing result that an address means; `RocmoeError` where there is none.

    device: another one than where it failed.
    """
    _, artifact, result = find_result(address)
    failure = find_failure(result)
    if failure is None:
        raise RocmoeError(f"{name_result(result)} is {result.status}: only failures are shrunk")
    if not result.case.id:
        raise RocmoeError(f"{address}: it is of no op, so that it has no case to shrink")
    spec = load_op(result.case.op)
    case = spec.check_case(parse_case(result.case.id))
    failed = [name for name in CHECKS if name in failure.checks]
    checks = tuple(dict.fromkeys([*ALWAYS, *failed])) if failed else ()
    return Target(
        spec, case, result.selector, device or result.device, artifact.request.strict, checks,
        failure,
    )  # fmt: skip


def run_shrink(
    target: Target,
    seconds: float,
    out: Path | None,
    jobs: int | None = None,
    on_step: OnStep = lambda what, case, ran: None,
) -> tuple[Shrunk, Artifact | None, Path | None]:
    """Shrink a failure within some seconds, and write the artifact of what is left.

    The artifact and its path are None where the failure was not seen again.  Raises `RocmoeError`
    for an implementation that cannot be loaded, and `OSError` where the disk fails.
    """
    path = out or make_path("shrink")
    check_writable(path, "--out")
    request = Request(
        command="shrink", ops=[target.spec.name], backends=[target.selector],
        device=target.device, suite="smoke", cases=[target.case.id], seed=0, strict=target.strict,
    )  # fmt: skip
    header = make_header(request, probe(request))
    shrunk = shrink(target, seconds, jobs, on_step)
    if shrunk.found is None:
        return shrunk, None, None
    result = _make_result(target, shrunk.case, shrunk.found)
    artifact = Artifact(**msgspec.structs.asdict(header), complete=True, results=[result])
    write_artifact(artifact, path)
    return shrunk, artifact, path


def _make_result(target: Target, case: Case, reply: Reply) -> Result:
    return make_result(record_case(target.spec, case), target.selector, target.device, reply)


def shrink(
    target: Target, seconds: float, jobs: int | None = None, on_step: OnStep = lambda *_: None
) -> Shrunk:
    """Bring the failure about, then try what is smaller until nothing is, or the time is up."""
    start = time.monotonic()
    with Settings(1, max(FIRST_SHARE * seconds, LEAST_SECONDS)).make_pool(target.device) as pool:
        first = _repeat(pool, target)
    if not target.failure.is_same(find_failure(first)):
        return Shrunk(target, target.case, None, _tell(first), 1, time.monotonic() - start, False)
    with Settings(jobs, _limit(target, first)).make_pool(target.device) as pool:
        trials = Trials(pool, target.make_job, target.failure, start + seconds)
        trials.replies[target.case.id] = first
        case = _shrink(target, trials, on_step)
    taken = time.monotonic() - start
    return Shrunk(target, case, trials.replies[case.id], "", trials.ran, taken, trials.cut)


def _shrink(target: Target, trials: Trials, on_step: OnStep) -> Case:
    spec, find_valid = target.spec, partial(trials.find_first, is_valid=target.is_valid)
    drawn = case = reduce_case(spec, target.case, trials.find_first)
    on_step("case", case, trials.ran)
    if (fewer := reduce_rows(spec, case, find_valid)) != case:
        case = fewer
        on_step("rows", case, trials.ran)
    # Sizes that the draw needed are not needed by values that were chosen.
    for _ in range(ROUNDS):
        if (plainer := reduce_values(spec, case, find_valid)) == case:
            break
        case = reduce_case(spec, plainer, find_valid)
        on_step("values", case, trials.ran)
    return drawn if len(case.id) > max(MOST_CHARACTERS, len(drawn.id)) else case


def _repeat(pool: Pool, target: Target) -> Reply:
    """What becomes of the case: of several tries the first with the failure, else the last."""
    replies: list[Reply] = []

    def wanted(index: int) -> bool:
        del index
        return not any(target.failure.is_same(find_failure(reply)) for reply in replies)

    pool.run([target.make_job(target.case)] * TRIES, lambda _, reply: replies.append(reply), wanted)
    return replies[-1]


def _limit(target: Target, first: Reply) -> float:
    """Seconds that a candidate may take; a hang is one after the least."""
    if target.failure.status == "timeout":
        return LEAST_SECONDS
    return max(LEAST_SECONDS, TIMES * first.seconds)


def _tell(reply: Reply) -> str:
    found = find_failure(reply)
    if found is not None and reply.status in BAD:
        return found.describe()
    return f"{reply.status}: {reply.reason}" if reply.reason else reply.status
