"""A profiling run: from a request to an artifact of what a profiler told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import NoGpuError, RocmoeError
from rocmoe.profiles.artifact import Artifact, Request, Result
from rocmoe.profiles.bench import BenchRun, plan_bench
from rocmoe.profiles.environment import Environment, Gpu
from rocmoe.profiles.hardware import Hardware, find_hardware, load_hardware
from rocmoe.profiles.job import Reply
from rocmoe.profiles.measuring.rounds import Book
from rocmoe.profiles.outcome import Exit, judge_run
from rocmoe.profiles.pool import Pool
from rocmoe.profiles.profiling.metrics import METRICS, list_counters
from rocmoe.profiles.profiling.passes import BLOCKS, plan_passes
from rocmoe.profiles.profiling.request import COMMAND, Asked, tell_lent
from rocmoe.profiles.profiling.roads import Notes, Road, Rocprofv3Road, TorchRoad
from rocmoe.profiles.profiling.rocprofv3_version import find_absence, find_rocprofv3
from rocmoe.profiles.stream import Recorder
from rocmoe.profiles.tools import Machine
from rocmoe.profiles.validation import OnProgress, Settings, make_header, make_path, probe

#: What diagnoses rest on, and occupancy and hits beside them: two passes on CDNA.
DIAGNOSED = (
    "fabric_bytes", "dram_reads", "l2_hit", "valu_busy", "lds_busy", "lds_bank_conflict",
    "waiting", "occupancy",
)  # fmt: skip
NO_GPU = (
    "torch sees no GPU here, so there is nothing to profile; see `rocmoe doctor`, or profile "
    "elsewhere and read it here with `rocmoe profile --from DIR`"
)


@dataclass(frozen=True)
class Place:
    """The GPU to profile on."""

    gpu: Gpu
    is_rocm: bool

    @property
    def hardware(self) -> Hardware | None:
        """The profile of that name, if one is bundled."""
        return find_hardware(self.gpu.name, self.gpu.arch)


def run_profile(
    request: Request, settings: Settings, asked: Asked, on_progress: OnProgress
) -> tuple[Artifact, Path]:
    """Judge everything of a request, profile what passed, and write its artifact.

    Raises `NoGpuError` where there is none, and else as `run_validation`.
    """
    path = settings.out or make_path(COMMAND)
    environment = probe(request)
    place = find_place(environment, request.device)
    road = choose_road(asked, place, path, settings.timeout, lent=tell_lent(request))
    plan = plan_bench(request, has_gpu=True)
    with (
        Recorder(path, make_header(request, environment)) as recorder,
        settings.make_judging_pool("gpu") as judging,
        settings.make_pool("gpu") as pool,
    ):
        book = Book(recorder, request.strict, on_progress)
        return profile_all(judging, pool, plan, road, book, on_progress), path


def find_place(environment: Environment, device: str | None) -> Place:
    """The GPU that a device names; raises `NoGpuError` where there is none, `RocmoeError` where
    there are others."""
    if not environment.gpus:
        raise NoGpuError(NO_GPU)
    index = parse_device(device or "gpu").index
    for gpu in environment.gpus:
        if gpu.index == index:
            return Place(gpu, environment.torch_hip is not None)
    raise RocmoeError(f"gpu:{index} is not here; torch sees {len(environment.gpus)} GPU(s)")


def choose_road(
    asked: Asked,
    place: Place,
    artifact: Path,
    seconds: float,
    machine: Machine | None = None,
    lent: Mapping[str, str] | None = None,
) -> Road:
    """rocprofv3 on ROCm where it works, else torch's profiler, with the reason as a note.

    seconds: for each process under rocprofv3, whose files go beside the artifact.  lent: notes by
    op.  Raises `RocmoeError` where what was asked for is not here.
    """
    hardware = load_hardware(asked.hardware) if asked.hardware else place.hardware
    absence = find_absence(machine) if place.is_rocm else "torch is not built for ROCm"
    if asked.profiler == "rocprofv3" and absence:
        raise RocmoeError(f"--profiler rocprofv3: {absence}; or --profiler torch")
    if asked.profiler == "torch" or absence:
        if asked.counters:
            raise RocmoeError(f"--counters needs rocprofv3: {absence}")
        told = [f"rocprofv3 is not used: {absence}"] if place.is_rocm and absence else []
        notes = Notes(tuple(told), lent or {})
        return TorchRoad(asked.calls, hardware, asked.trace, notes)
    arch = place.gpu.arch.partition(":")[0]
    passes = plan_counters(arch, asked.counters)
    told = [] if passes or asked.counters is False else [f"{arch} has no counters that are known"]
    return Rocprofv3Road(
        find_rocprofv3(machine), find_new_folder(artifact), asked.calls, passes, arch, hardware,
        asked.trace, Notes(tuple(told), lent or {}), seconds, machine,
    )  # fmt: skip


def plan_counters(arch: str, wanted: bool | None) -> list[list[str]]:
    """The passes of a profile: of all metrics where counters are asked for, of `DIAGNOSED` by
    default on an architecture that has them.  Raises `RocmoeError` where there are none."""
    if wanted is False or (wanted is None and arch not in BLOCKS):
        return []
    return plan_passes(arch, list_counters(METRICS if wanted else DIAGNOSED, arch))


def find_new_folder(artifact: Path) -> Path:
    """Where rocprofv3's files go: a folder beside an artifact that is not there yet."""
    base = artifact.with_name(f"{artifact.name.removesuffix('.json')}-rocprofv3")
    number, folder = 1, base
    while folder.exists():
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


def profile_all(
    judging: Pool,
    pool: Pool,
    plan: Sequence[BenchRun],
    road: Road,
    book: Book,
    on_progress: OnProgress,
) -> Artifact:
    """Judge every run, then profile those that passed, and finish the recorder.

    What goes wrong under the profiler becomes the result's status; its checks stay.
    """
    order = [run.key for run in plan]
    try:
        book.judge(judging, plan)
        passed = [run for run in plan if _is_right(book.results[run.key])]

        def keep(index: int, reply: Reply) -> Result:
            key = passed[index].key
            return book.put(key, add_profile(book.results[key], reply))

        road.profile(pool, passed, keep, on_progress)
    except KeyboardInterrupt:
        book.recorder.finish(order, complete=False)
        raise
    return book.recorder.finish(order, complete=True)


def _is_right(result: Result) -> bool:
    """Whether a result is worth a profile: it passed, and a contract covers it."""
    return result.status == "pass" and result.case.out_of_contract is None


def add_profile(judged: Result, reply: Reply) -> Result:
    """A result that passed, with its profile, or with what went wrong under the profiler."""
    seconds = judged.seconds + reply.seconds
    if reply.status == "pass":
        return msgspec.structs.replace(judged, profile=reply.profile, seconds=seconds)
    reason = f"passed, but under the profiler: {reply.reason}"
    return msgspec.structs.replace(judged, status=reply.status, reason=reason, seconds=seconds)


def judge_profile(artifact: Artifact) -> Exit:
    """As a validation; and 4 where something that is right has no kernels in its profile."""
    outcome = judge_run(artifact)
    right = [result for result in artifact.results if _is_right(result)]
    if outcome is Exit.PASSED and any(not (r.profile and r.profile.kernels) for r in right):
        return Exit.INCONCLUSIVE
    return outcome
