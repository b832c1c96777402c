"""A validation run: from a request to an artifact."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from rocmoe.ops.core.backend import (
    Backend,
    load_backend,
    split_selector,
)
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import OpSpec
from rocmoe.profiles.artifact import (
    FORMAT,
    VERSION,
    Artifact,
    CaseRecord,
    Header,
    Request,
    Result,
    check_writable,
    record_case,
)
from rocmoe.profiles.budget import Budget, check_count_keys, check_counts
from rocmoe.profiles.environment import Environment
from rocmoe.profiles.job import Job, Probe, Reply
from rocmoe.profiles.junit import write_junit
from rocmoe.profiles.pool import Pool, available_memory
from rocmoe.profiles.request import list_selectors, means, plan_cases
from rocmoe.profiles.stream import Recorder, find_unfinished, read_stream

FOLDER = Path("rocmoe-artifacts")

#: Called with a result and how many are done of how many.
OnProgress = Callable[[Result, int, int], None]


#: What judging takes where the inputs are largest: a few float64 copies of 256 rows of 151936.
JUDGE_BYTES = 8 << 30
#: Each has a context on the GPU, of half a gigabyte there.
MOST_JUDGES = 8
#: Where GPU code runs by default without a GPU: as an MI300X executes it.
SIMULATED = "sim:gfx942"


class Run(Protocol):
    """One implementation on one case, as a job and as a result."""

    @property
    def key(self) -> tuple[str, str]:
        """Case id and selector, by which its result is found."""

    def make_job(self, strict: bool) -> Job: ...

    def make_result(self, reply: Reply) -> Result: ...


@dataclass(frozen=True)
class Planned:
    """One implementation on one case."""

    spec: OpSpec
    case: Case
    selector: str
    device: str
    guard: bool = field(default=True, kw_only=True)

    @property
    def key(self) -> tuple[str, str]:
        return self.case.id, self.selector

    def make_job(self, strict: bool) -> Job:
        return Job(self.case.id, self.selector, self.device, strict, guard=self.guard)

    def make_result(self, reply: Reply) -> Result:
        return make_result(record_case(self.spec, self.case), self.selector, self.device, reply)


@dataclass(frozen=True)
class Settings:
    """How a run is carried out; none of it changes what a result says.

    jobs: cases at a time; None means one a core, but one on a GPU, whose memory they would share.
    timeout: seconds a case may take.
    """

    jobs: int | None = None
    timeout: float = 120.0
    out: Path | None = None
    junit: Path | None = None
    resume: bool = False
    budget: Budget | None = None

    def make_pool(self, *devices: str) -> Pool:
        """The workers for some devices."""
        on_gpu = any(parse_device(device).kind == "gpu" for device in devices)
        jobs = self.jobs or (1 if on_gpu else os.cpu_count() or 1)
        return Pool(jobs, self.timeout, limit_memory=not on_gpu)

    def make_judging_pool(self, *devices: str, jobs: int | None = None) -> Pool:
        """Workers that judge ahead of timing, where it does not matter that they share a GPU: by
        default as many as half of the cores, each with memory for a large case."""
        on_gpu = any(parse_device(device).kind == "gpu" for device in devices)
        cores, memory = (os.cpu_count() or 1) // 2, available_memory() // JUDGE_BYTES
        jobs = jobs or max(1, min(cores, memory, MOST_JUDGES))
        return Pool(jobs, self.timeout, limit_memory=not on_gpu)


def plan_run(request: Request, has_gpu: bool) -> list[Planned]:
    """Every backend on every case; one that the user did not name only on the ops that it has,
    only where it runs on the device, and in a simulator not named either only on the smoke suite.
    """
    asked = plan_cases(request)
    plan = []
    for selector in list_selectors(request):
        backend = load_backend(split_selector(selector)[0])
        device = request.device or choose_device(backend, has_gpu)
        fits = parse_device(device).kind in backend.DEVICES
        # To compile and simulate the quick suite of every op takes minutes.
        brief = request.simulates_briefly and parse_device(device).kind == "sim"
        cases = plan_cases(msgspec.structs.replace(request, suite="smoke")) if brief else asked
        plan += [
            Planned(spec, case, selector, device, guard=request.guard)
            for spec, case in cases
            if (request.backends or fits) and means(request, selector, spec)
        ]
    return plan


def choose_device(backend: Backend, has_gpu: bool) -> str:
    """The GPU if there is one; else the CPU, or the simulator of an MI300X for GPU code."""
    if has_gpu and "gpu" in backend.DEVICES:
        return "gpu"
    return "cpu" if "cpu" in backend.DEVICES else SIMULATED


def run_validation(
    request: Request, settings: Settings, on_progress: OnProgress
) -> tuple[Artifact, Path]:
    """Run a request and write its artifact.

    Raises `RocmoeError` for what is wrong before anything ran, `KeyboardInterrupt` after writing
    what is done, and `OSError` where the disk fails.
    """
    path, done = _open_run(request, settings)
    if settings.junit is not None:
        check_writable(settings.junit, "--junit")
        if settings.junit.resolve() == path.resolve():
            raise RocmoeError(f"--junit {settings.junit} is where the artifact goes; name another")
    environment = probe(request)
    plan = plan_run(request, bool(environment.gpus))
    if settings.budget is not None:
        triton = environment.triton or ""
        simulated = [(each, parse_device(each.device).arch) for each in plan]
        check_count_keys(
            settings.budget,
            [(each.spec.name, each.case.id, arch, triton) for each, arch in simulated if arch],
        )
    header = make_header(request, environment)
    devices = {planned.device for planned in plan}
    with Recorder(path, header, done) as recorder, settings.make_pool(*devices) as pool:
        artifact = run_jobs(pool, plan, request.strict, recorder, on_progress)
    if settings.junit is not None:
        write_junit(artifact, settings.junit)
    return artifact, path


def find_excesses(artifact: Artifact, budget: Budget) -> list[str]:
    """A line for each count of a simulated result that is beyond the budget."""
    lines = []
    for result in artifact.results:
        arch = parse_device(result.device).arch
        if arch and result.counts is not None:
            triton = artifact.environment.triton or ""
            case = result.case
            lines += check_counts(budget, case.op, case.id, arch, triton, result.counts)
    return lines


def run_jobs(
    pool: Pool,
    plan: Sequence[Run],
    strict: bool,
    recorder: Recorder,
    on_progress: OnProgress,
) -> Artifact:
    """Run what the recorder does not hold yet, and finish it."""
    known = {(result.case.id, result.selector) for result in recorder.results}
    todo = [run for run in plan if run.key not in known]
    jobs = [run.make_job(strict) for run in todo]

    def keep(index: int, reply: Reply) -> None:
        result = todo[index].make_result(reply)
        recorder.add(result)
        on_progress(result, len(recorder.results), len(plan))

    order = [run.key for run in plan]
    try:
        pool.run(jobs, keep)
    except KeyboardInterrupt:
        recorder.finish(order, complete=False)
        raise
    return recorder.finish(order, complete=True)


def probe(request: Request) -> Environment:
    named = [(op, selector) for op in request.ops for selector in request.backends]
    with Settings().make_pool() as pool:
        reply = pool.probe(Probe(named))
    if reply.errors:
        raise RocmoeError(reply.errors[0])
    return reply.environment


def _open_run(request: Request, settings: Settings) -> tuple[Path, list[Result]]:
    """Where the artifact goes, and what an unfinished run of it has done already."""
    if not settings.resume:
        return settings.out or make_path(request.command), []
    path = settings.out or find_unfinished(FOLDER, request)
    header, done = read_stream(path)
    if header.version != VERSION:
        raise RocmoeError(f"--resume: {path} was begun by version {header.version} of the format")
    for name in request.__struct_fields__:
        before, now = getattr(header.request, name), getattr(request, name)
        if before != now:
            raise RocmoeError(f"--resume: {name} was {before!r} in the run begun, now {now!r}")
    return path, done


def make_path(command: str) -> Path:
    now = datetime.datetime.now(datetime.timezone.utc)
    return FOLDER / f"{command}-{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.json"


def make_header(request: Request, environment: Environment) -> Header:
    now = datetime.datetime.now(datetime.timezone.utc)
    created = now.isoformat(timespec="seconds")
    return Header(FORMAT, VERSION, created, request, environment)


def make_result(record: CaseRecord, selector: str, device: str, reply: Reply) -> Result:
    """What an artifact keeps of a reply."""
    backend, variant = split_selector(selector)
    return Result(
        case=record,
        backend=backend,
        variant=variant or reply.variant,
        device=str(parse_device(device)),
        **{
            name: getattr(reply, name)
            for name in msgspec.structs.asdict(reply)
            if name not in ("variant", "passed", "turns")
        },
    )
