"""A benchmark run: from a request to an artifact of measured times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rocmoe.ops.core.backend import Backend, load_backend, split_selector
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.spec import OpSpec, load_op
from rocmoe.profiles.artifact import Artifact, Cache, Request, Timer
from rocmoe.profiles.job import Job, Timing
from rocmoe.profiles.outcome import Exit, judge_run
from rocmoe.profiles.stream import Recorder
from rocmoe.profiles.suites import find_cases
from rocmoe.profiles.sweep import expand_sweep, list_default_cases, parse_sweep
from rocmoe.profiles.timers import HOST_TIMERS, TIMERS
from rocmoe.profiles.validation import (
    OnProgress,
    Planned,
    Settings,
    list_selectors,
    make_header,
    make_path,
    make_request,
    probe,
    run_jobs,
)

GPU_TIMERS: tuple[Timer, ...] = ("graph", "kernel", "wall")
CACHES: tuple[Cache, ...] = ("warm", "cold")


@dataclass(frozen=True)
class TimedRun(Planned):
    """One implementation on one case, judged and then timed."""

    timing: Timing

    def make_job(self, strict: bool) -> Job:
        return msgspec.structs.replace(super().make_job(strict), timing=self.timing)


def make_bench_request(
    ops: Sequence[str],
    backends: Sequence[str],
    impls: Sequence[str],
    *,
    device: str | None,
    cases: Sequence[str],
    sweep: Sequence[str],
    timers: Sequence[str],
    caches: Sequence[str],
    seed: int,
    strict: bool,
) -> Request:
    """A checked request, with every case that it means; `RocmoeError` for what is wrong with it.

    sweep: of `parse_sweep`; it changes the op's first declared case, or the one of `cases`.
    """
    request = make_request(
        ops, backends, impls, command="bench", device=device, suite="smoke", cases=cases,
        seed=seed, strict=strict,
    )  # fmt: skip
    if device is not None and parse_device(device).kind == "sim":
        raise RocmoeError(
            f"--device {device} has no time, only counts: rocmoe validate --device {device}"
        )
    known_timers = [_check_timer(timer) for timer in timers]
    known_caches = [_check_cache(cache) for cache in caches]
    swept = parse_sweep(sweep)
    chosen = [
        case.id
        for spec in map(load_op, request.ops)
        for case in _choose_cases(spec, request.cases, swept, seed)
    ]
    return msgspec.structs.replace(
        request, cases=chosen, timers=list(dict.fromkeys(known_timers)),
        caches=list(dict.fromkeys(known_caches)),
    )  # fmt: skip


def _check_timer(name: str) -> Timer:
    for timer in TIMERS:
        if timer == name:
            return timer
    raise unknown("timer", name, TIMERS)


def _check_cache(name: str) -> Cache:
    for cache in CACHES:
        if cache == name:
            return cache
    raise unknown("cache state", name, CACHES)


def _choose_cases(
    spec: OpSpec, ids: Sequence[str], swept: dict[str, list[str]], seed: int
) -> list[Case]:
    if not swept:
        return find_cases(spec, ids, seed) if ids else list_default_cases(spec, seed)
    bases = find_cases(spec, ids, seed) if ids else [spec.make_case(spec.cases[0], seed)]
    cases = [case for base in bases for case in expand_sweep(spec, base, swept)]
    return list({case.id: case for case in cases}.values())


def choose_device(request: Request, backend: Backend, has_gpu: bool) -> str:
    """The GPU if there is one; else the CPU for what runs there."""
    if request.device is not None:
        return request.device
    return "cpu" if not has_gpu and "cpu" in backend.DEVICES else "gpu"


def plan_bench(request: Request, has_gpu: bool) -> list[TimedRun]:
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
            TimedRun(spec, case, selector, device, timing)
            for spec, case in cases
            if request.backends or backend.serves(spec.name)
        ]
    return plan


def choose_timing(request: Request, device: str) -> Timing:
    """The timers and cache states of a request on a device."""
    on_gpu = parse_device(device).kind == "gpu"
    timers = [_check_timer(name) for name in request.timers]
    if strange := [name for name in timers if not on_gpu and name not in HOST_TIMERS]:
        raise RocmoeError(
            f"timer {strange[0]} needs a GPU; on {device} there is {', '.join(HOST_TIMERS)}"
        )
    default = GPU_TIMERS if on_gpu else HOST_TIMERS
    return Timing(timers or [*default], [_check_cache(name) for name in request.caches])


def run_bench(
    request: Request, settings: Settings, on_progress: OnProgress
) -> tuple[Artifact, Path]:
    """Judge and time everything of a request, one after another, and write its artifact.

    Raises as `run_validation`.
    """
    path = settings.out or make_path(request.command)
    environment = probe(request)
    plan = plan_bench(request, bool(environment.gpus))
    header = make_header(request, environment)
    pool = settings.make_pool(*{planned.device for planned in plan})
    with Recorder(path, header) as recorder, pool:
        artifact = run_jobs(pool, plan, request.strict, recorder, on_progress)
    return artifact, path


def judge_bench(artifact: Artifact) -> Exit:
    """As a validation; and 4 where something that passed was not measured, or no work can be as
    fast as what was measured."""
    outcome = judge_run(artifact)
    taken = [each for result in artifact.results for each in result.measurements or ()]
    if outcome is Exit.PASSED and any(each.status in ("invalid", "refused") for each in taken):
        return Exit.INCONCLUSIVE
    return outcome
