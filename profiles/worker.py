"""The process that runs candidates: one job after another, of one backend, until one goes wrong."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from rocmoe.ops.backends.assembly import load_variant
from rocmoe.ops.core.backend import load_backend, split_selector
from rocmoe.ops.core.case import Case, parse_case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import CandidateError, InputsError, RocmoeError, describe_error
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.peer_import import announce_imports
from rocmoe.ops.core.simulator import Watch
from rocmoe.ops.core.spec import OpSpec, load_op
from rocmoe.ops.gcn.machine.fault import DeadlockError, UnsupportedError
from rocmoe.profiles.artifact import record_checks
from rocmoe.profiles.bare import examine_bare
from rocmoe.profiles.bundle.recording import examine_recorded, examine_replayed
from rocmoe.profiles.environment import collect_environment
from rocmoe.profiles.examination import Examination
from rocmoe.profiles.graphs.examination import examine_in_graph
from rocmoe.profiles.graphs.record import GraphRecord, GraphTask
from rocmoe.profiles.job import (
    READY,
    Answer,
    Job,
    Loading,
    Message,
    Probe,
    ProbeReply,
    Profiling,
    Reply,
)
from rocmoe.profiles.measuring.timing import examine_and_time, time_in_turns
from rocmoe.profiles.orders import examine_order
from rocmoe.profiles.profiling.record import ProfileRecord
from rocmoe.profiles.profiling.torch_profiler import profile_calls
from rocmoe.references.judging.blocks import use_threads
from rocmoe.references.judging.verdict import Check, Verdict

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def serve(connection: Connection, log: str, memory_bytes: int | None, threads: int) -> None:
    """Answer messages until the other end is closed.

    Whatever a candidate prints goes to the file `log`.  memory_bytes bounds what the process may
    allocate, which turns a runaway allocation into a MemoryError; None on a GPU, whose drivers
    reserve address space far beyond what they use.
    """
    _isolate(log)
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    import torch

    torch.set_num_threads(threads)
    use_threads(threads)
    connection.send_bytes(READY)
    announce_imports(lambda name: connection.send_bytes(msgspec.json.encode(Loading(name))))
    decoder = msgspec.json.Decoder(Message)
    home = os.getcwd()
    while True:
        os.chdir(home)  # a candidate may have left it, and files are named relative to it
        try:
            message = decoder.decode(connection.recv_bytes())
        except (EOFError, OSError):
            return
        connection.send_bytes(msgspec.json.encode(_answer(message)))


def _isolate(log: str) -> None:
    """A session of its own, dead with its parent, with nothing to read and a file to print to."""
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The start server ignores SIGINT and its children inherit that; a candidate may rely on it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (printed, 1), (printed, 2)):
        os.dup2(source, target)
    faulthandler.enable(sys.stderr, all_threads=False)


def _answer(message: Message) -> Answer:
    if isinstance(message, Probe):
        return _probe(message)
    start = time.perf_counter()
    reply = _run(message)
    return msgspec.structs.replace(reply, seconds=time.perf_counter() - start)


def _probe(probe: Probe) -> ProbeReply:
    errors = []
    for op, selector in probe.implementations:
        backend, variant = split_selector(selector)
        try:
            load_backend(backend).find(load_op(op), variant)
        except RocmoeError as error:
            errors.append(str(error))
    return ProbeReply(collect_environment(), errors)


def _run(job: Job) -> Reply:
    if not job.case_id:
        return _examine_bare(job)
    case = parse_case(job.case_id)
    spec = load_op(case.op)
    found = {selector: _find(spec, case, selector, job) for selector in job.selectors}
    implementations = {}
    for selector, implementation in found.items():
        if isinstance(implementation, Reply):
            return implementation
        implementations[selector] = implementation
        spec = implementation.restate(spec, case)
    if spec.draw is not load_op(case.op).draw:  # its inputs are not those of other processes
        job = msgspec.structs.replace(job, draws="")
    reply = _carry_out(job, spec, case, implementations)
    beyond = implementations[job.selector].find_overstepped(case)
    if beyond is None or reply.status in ("pass", "refused"):
        return reply
    return msgspec.structs.replace(reply, reason=f"{reply.reason}; beyond a limit: {beyond}")


def _carry_out(
    job: Job, spec: OpSpec, case: Case, implementations: Mapping[str, Implementation]
) -> Reply:
    if job.against:
        return _time_in_turns(job, spec, case, implementations)
    if job.profiling is not None:
        return _profile(job, spec, case, implementations[job.selector], job.profiling)
    if job.graph is not None:
        return _try_graphs(job, spec, case, implementations[job.selector], job.graph)
    return _examine(job, spec, case, implementations[job.selector])


def _find(spec: OpSpec, case: Case, selector: str, job: Job) -> Implementation | Reply:
    """An implementation that takes the case on the device, or the reply that there is none."""
    device = parse_device(job.device)
    name, variant = split_selector(selector)
    backend = load_backend(name)
    if absence := backend.find_absence() or device.find_absence():
        return Reply("unavailable", absence)
    try:
        implementation = backend.find(spec, variant)
    except RocmoeError as error:  # it was found when the run began
        return Reply("error", str(error))
    if implementation is None:
        return Reply("refused", f"{name} has no {spec.name}")
    if absence := implementation.find_absence():
        return Reply("unavailable", absence, implementation.variant)
    if not job.guard:
        implementation = implementation.without_guard()
    if refusal := implementation.find_refusal(case, device):
        return Reply("refused", refusal, implementation.variant)
    return implementation


def _time_in_turns(
    job: Job, spec: OpSpec, case: Case, implementations: Mapping[str, Implementation]
) -> Reply:
    """A reply for each; one for all where a call raised, which ends the turns of all."""
    assert job.timing is not None
    timing = job.timing
    turns: list[Reply] = []

    def look() -> Examination:
        examined = time_in_turns(
            spec, case, implementations, parse_device(job.device), strict=job.strict,
            timing=timing, folder=job.draws,
        )  # fmt: skip
        turns.extend(
            _record(each, implementations[name].variant) for name, each in examined.items()
        )
        return next(iter(examined.values()))

    reply = _answer_for(implementations[job.selector].variant, look)
    return msgspec.structs.replace(reply, turns=turns)


def _examine(job: Job, spec: OpSpec, case: Case, implementation: Implementation) -> Reply:
    device, watch = parse_device(job.device), make_watch(job)

    def look() -> Examination:
        if folder := job.record or job.replay:
            follow = examine_recorded if job.record else examine_replayed
            return follow(spec, case, implementation, device, job.strict, folder)
        if job.timing is not None:
            return examine_and_time(
                spec, case, implementation, device, strict=job.strict, timing=job.timing,
                folder=job.draws,
            )  # fmt: skip
        return examine_order(
            spec, case, implementation, device, strict=job.strict, watch=watch, folder=job.draws
        )

    return _answer_for(implementation.variant, look)


def _profile(
    job: Job, spec: OpSpec, case: Case, implementation: Implementation, profiling: Profiling
) -> Reply:
    """What torch's profiler tells of the calls, which are not judged."""
    records: list[ProfileRecord] = []

    def look() -> Examination:
        device = parse_device(job.device)
        records.append(profile_calls(spec, case, implementation, device, profiling))
        return Examination(Verdict((Check("profiled", True, 0.0, 0.0),)))

    reply = _answer_for(implementation.variant, look)
    return msgspec.structs.replace(reply, profile=records[0] if records else None)


def _try_graphs(
    job: Job, spec: OpSpec, case: Case, implementation: Implementation, task: GraphTask
) -> Reply:
    """What eager calls come to, and what becomes of them in graphs."""
    records: list[GraphRecord | None] = []

    def look() -> Examination:
        examined, record = examine_in_graph(
            spec, case, implementation, parse_device(job.device), strict=job.strict, task=task
        )
        records.append(record)
        return examined

    reply = _answer_for(implementation.variant, look)
    return msgspec.structs.replace(reply, graph=records[0] if records else None)


def _examine_bare(job: Job) -> Reply:
    """A kernel that serves no op, of a launch file."""
    _, variant = split_selector(job.selector)
    return _answer_for(variant, lambda: examine_bare(load_variant(variant), make_watch(job)))


def _answer_for(variant: str, examine: Callable[[], Examination]) -> Reply:
    """What an examination came to, whatever the candidate does meanwhile."""
    try:
        return _record(examine(), variant)
    except (UnsupportedError, InputsError) as error:
        return Reply("refused", str(error), variant)
    except DeadlockError as error:
        return Reply("timeout", str(error), variant)
    except CandidateError as error:
        return Reply("error", str(error), variant)
    except SystemExit as error:
        return Reply("error", f"called sys.exit({error.code!r}){_where(error)}", variant)
    except BaseException as error:
        return Reply("error", f"{describe_error(error)}{_where(error)}", variant)


def _record(examined: Examination, variant: str) -> Reply:
    verdict = examined.verdict
    reason = None if verdict.ok else f"failed {', '.join(verdict.failed)}"
    return Reply(
        "pass" if verdict.ok else "fail",
        reason,
        variant,
        record_checks(verdict),
        list(verdict.findings),
        counts=examined.counts,
        measurements=None if examined.measurements is None else [*examined.measurements],
        variants=[*examined.variants],
        passed=[*examined.passed],
        kernels=[*examined.kernels],
    )


def make_watch(job: Job) -> Watch:
    """What a simulator looks at in a job."""
    return Watch(tuple(job.checks), job.order) if job.checks else Watch(order=job.order)


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
