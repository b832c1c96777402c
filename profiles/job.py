"""What is asked of a worker and what it answers, as messages between processes."""

from __future__ import annotations

import msgspec

from rocmoe.profiles.artifact import Cache, CheckRecord, Measurement, Status, Timer
from rocmoe.profiles.environment import Environment
from rocmoe.profiles.graphs.record import GraphRecord, GraphTask
from rocmoe.profiles.profiling.record import ProfileRecord
from rocmoe.references.judging.verdict import Finding

#: The first message of a worker, once it has imported what every job needs.
READY = b"ready"


class Timing(msgspec.Struct, frozen=True):
    """What is timed of an implementation that passed: every timer in every cache state.

    effort: a name of `efforts.EFFORTS`.  passed: digests of answers that were right in another
    process, by the number of their draw: only the answers of timed calls are judged then.
    inspect: whether to look, once, at what a call runs on the device.
    """

    timers: list[Timer]
    caches: list[Cache]
    effort: str = "default"
    passed: list[tuple[int, str]] = []
    inspect: bool = True


class Profiling(msgspec.Struct, frozen=True):
    """What torch's profiler is to look at, of an implementation that passed.

    trace: where its Chrome trace is left.  hardware: the name of the profile whose peaks count.
    notes: for the record, as why no other profiler was used.
    """

    calls: int
    trace: str
    hardware: str | None = None
    notes: list[str] = []


class Job(msgspec.Struct, frozen=True, tag=True):
    """Run one implementation on one case.

    case_id: empty for a kernel that serves no op.  checks, order: of a simulator: its sanitizers
    (none means those that always run), and in which order waves run.  timing: None for a job that
    only judges.  against: other implementations, that passed on the case like this one: all are
    timed in turns.  profiling: instead of judging.  record: a folder that its inputs and outputs
    are written to, for a bundle; replay: one whose inputs are taken instead of drawn ones.  graph:
    what is tried in graphs, in a process of its own.  guard: as of `Request`.  draws: a folder of
    inputs that processes share, empty for none.
    """

    case_id: str
    selector: str
    device: str
    strict: bool
    checks: list[str] = []
    order: str = "together"
    timing: Timing | None = None
    against: list[str] = []
    profiling: Profiling | None = None
    record: str = ""
    replay: str = ""
    graph: GraphTask | None = None
    guard: bool = True
    draws: str = ""

    @property
    def fresh(self) -> bool:
        """Whether it needs a process that did nothing before."""
        return self.graph is not None

    @property
    def selectors(self) -> tuple[str, ...]:
        """All implementations that it runs."""
        return (self.selector, *self.against)


class Probe(msgspec.Struct, frozen=True, tag=True):
    """Look at the machine, and at implementations by (op, selector), before anything runs."""

    implementations: list[tuple[str, str]]


class Reply(msgspec.Struct, frozen=True, tag=True):
    """What became of a job; `seconds` is the time its whole road took.

    passed: of what was judged or timed, for `Timing.passed` of the next process.  turns: of
    a job with several implementations that ran to its end, a reply for each.
    """

    status: Status
    reason: str | None = None
    variant: str = "default"
    checks: list[CheckRecord] = []
    findings: list[Finding] = []
    seconds: float = 0.0
    counts: dict[str, float] | None = None
    measurements: list[Measurement] | None = None
    variants: list[str] = []
    kernels: list[str] = []
    profile: ProfileRecord | None = None
    graph: GraphRecord | None = None
    passed: list[tuple[int, str]] = []
    turns: list[Reply] = []


class Loading(msgspec.Struct, frozen=True, tag=True):
    """Ahead of an answer: a library that is being imported, which may end the process; empty once
    that is over."""

    library: str


class ProbeReply(msgspec.Struct, frozen=True, tag=True):
    """The environment, and what is wrong with the implementations asked about, in order."""

    environment: Environment
    errors: list[str]


Message = Job | Probe
Answer = Reply | ProbeReply
