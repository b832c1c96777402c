"""A benchmark run: from a request to an artifact of measured times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from rocmoe.ops.core.backend import Backend, load_backend, split_selector
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import CACHES, Artifact, Request, Timer
from rocmoe.profiles.bench_cases import Shapes, list_bench_cases
from rocmoe.profiles.job import Job, Timing
from rocmoe.profiles.measuring.efforts import load_effort
from rocmoe.profiles.measuring.rounds import Book, run_rounds
from rocmoe.profiles.measuring.timers import HOST_TIMERS, TIMERS
from rocmoe.profiles.outcome import Exit, judge_run
from rocmoe.profiles.request import list_selectors, make_request, means
from rocmoe.profiles.stream import Recorder
from rocmoe.profiles.suites import find_cases
from rocmoe.profiles.validation import (
    OnProgress,
    Planned,
    Settings,
    make_header,
    make_path,
    probe,
)

GPU_TIMERS: tuple[Timer, ...] = ("graph", "kernel", "wall")


@dataclass(frozen=True)
class BenchRun(Planned):
    """One implementation on one case, judged and then timed; only judged without a timing, as in a
    simulator, which counts instead."""

    timing: Timing | None

    def make_timing_job(
        self, strict: bool, passed: Sequence[tuple[int, str]], inspect: bool
    ) -> Job | None:
        if self.timing is None:
            return None
        timing = msgspec.structs.replace(self.timing, passed=[*passed], inspect=inspect)
        return msgspec.structs.replace(self.make_job(strict), timing=timing)


def make_bench_request(
    ops: Sequence[str],
    backends: Sequence[str],
    impls: Sequence[str],
    shapes: Shapes,
    *,
    device: str | None,
    timers: Sequence[str],
    caches: Sequence[str],
    effort: str,
    strict: bool,
    command: str = "bench",
    guard: bool = True,
) -> Request:
    """A checked request, with every case that it means; `RocmoeError` for what is wrong with it.

    ops: none means those of the cases, or all that the models use.
    """
    load_effort(effort)
    if not (ops or shapes.cases or shapes.models or impls):
        raise RocmoeError(f"nothing to time: rocmoe {command} OP, or --model NAME, or --case ID")
    request = make_request(
        ops, backends, impls, command=command, device=device, suite="smoke", cases=shapes.cases,
        seed=shapes.seed, strict=strict, guard=guard,
    )  # fmt: skip
    request = msgspec.structs.replace(
        request, timers=_check_all("timer", timers, TIMERS), models=[*shapes.models],
        caches=_check_all("cache state", caches, CACHES), tokens=[*shapes.tokens], effort=effort,
    )  # fmt: skip
    return set_cases(request, shapes, has_gpu=True)


def _check_all(kind: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    if strange := [name for name in names if name not in known]:
        raise unknown(kind, strange[0], known)
    return list(dict.fromkeys(names))


def set_cases(request: Request, shapes: Shapes, *, has_gpu: bool) -> Request:
    """The request with the cases that its shapes mean on a machine, and only ops that have any."""
    device = request.device or ("gpu" if has_gpu else "cpu")
    kind = parse_device(device).kind
    found = {op: list_bench_cases(load_op(op), shapes, kind) for op in request.ops}
    used = [op for op, cases in found.items() if cases]
    if missing := [op for op in request.ops if op not in used and not shapes.models]:
        raise RocmoeError(f"there is no case of {missing[0]}; `rocmoe list cases` has them")
    if not used:
        models = ", ".join(shapes.models)
        raise RocmoeError(
            f"{models} does not use {', '.join(request.ops)}, or only in tensors that are too "
            "large; name other --tokens, or a --case"
        )
    return msgspec.structs.replace(
        request, ops=used, cases=[case.id for op in used for case in found[op]]
    )


def choose_device(request: Request, backend: Backend, has_gpu: bool) -> str:
    """The GPU if there is one; else the CPU for what runs there."""
    if request.device is not None:
        return request.device
    return "cpu" if not has_gpu and "cpu" in backend.DEVICES else "gpu"


def plan_bench(request: Request, has_gpu: bool) -> list[BenchRun]:
    """Every backend on every case; one that the user did not name only on the ops that it has, and
    only where it runs on the device.  Raises `RocmoeError` for a timer that a device has not."""
    specs = [load_op(name) for name in request.ops]
    cases = [(spec, case) for spec in specs for case in find_cases(spec, request.cases, 0)]
    plan = []
    for selector in list_selectors(request):
        backend = load_backend(split_selector(selector)[0])
        device = choose_device(request, backend, has_gpu)
        kind = parse_device(device).kind
        if not request.backends and (kind not in backend.DEVICES or (kind == "gpu") > has_gpu):
            continue
        timing = choose_timing(request, device)
        plan += [
            BenchRun(spec, case, selector, device, timing, guard=request.guard)
            for spec, case in cases
            if means(request, selector, spec)
        ]
    return plan


def choose_timing(request: Request, device: str) -> Timing | None:
    """The timers and cache states of a request on a device; None in a simulator."""
    kind = parse_device(device).kind
    timers: list[Any] = [*request.timers]
    if kind == "sim":
        if timers:
            raise RocmoeError(f"timer {timers[0]}: {device} has no time, only counts")
        return None
    if strange := [name for name in timers if kind != "gpu" and name not in HOST_TIMERS]:
        raise RocmoeError(
            f"timer {strange[0]} needs a GPU; on {device} there is {', '.join(HOST_TIMERS)}"
        )
    caches: list[Any] = [*request.caches]
    default = GPU_TIMERS if kind == "gpu" else HOST_TIMERS
    return Timing(timers or [*default], caches, request.effort)


def run_bench(
    request: Request, shapes: Shapes, settings: Settings, on_progress: OnProgress
) -> tuple[Artifact, Path]:
    """Judge everything of a request, time what passed one after another, and write the artifact.

    Raises as `run_validation`.
    """
    path = settings.out or make_path(request.command)
    environment = probe(request)
    has_gpu = bool(environment.gpus)
    request = set_cases(request, shapes, has_gpu=has_gpu)
    plan = plan_bench(request, has_gpu)
    header = make_header(request, environment)
    devices = {planned.device for planned in plan}
    rounds = load_effort(request.effort)
    with (
        Recorder(path, header) as recorder,
        settings.make_judging_pool(*devices) as judging,
        settings.make_pool(*devices) as timing,
        TemporaryDirectory(prefix="rocmoe-draws-") as draws,
    ):
        book = Book(recorder, request.strict, on_progress, draws)
        artifact = run_rounds(judging, timing, plan, rounds, book)
    return artifact, path


def judge_bench(artifact: Artifact) -> Exit:
    """As a validation; and 4 where something that passed was not measured, or no work can be as
    fast as what was measured."""
    outcome = judge_run(artifact)
    taken = [each for result in artifact.results for each in result.measurements or ()]
    if outcome is Exit.PASSED and any(each.status in ("invalid", "refused") for each in taken):
        return Exit.INCONCLUSIVE
    return outcome
