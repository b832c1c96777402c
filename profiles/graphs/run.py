"""A run of graphs: from a request to an artifact of verdicts, with times of what passed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rocmoe.ops.core.errors import NoGpuError
from rocmoe.profiles.artifact import Artifact, Request, check_writable
from rocmoe.profiles.bench import plan_bench
from rocmoe.profiles.environment import Environment
from rocmoe.profiles.graphs.request import Options
from rocmoe.profiles.graphs.work import GraphWork
from rocmoe.profiles.stream import Recorder
from rocmoe.profiles.validation import OnProgress, Settings, make_header, make_path, probe


def run_graphs(
    request: Request, options: Options, settings: Settings, on_progress: OnProgress
) -> tuple[Artifact, Path]:
    """Try everything of a request in graphs, time it, and write its artifact.

    Raises as `run_validation`, and `NoGpuError`.
    """
    path = settings.out or make_path(request.command)
    if options.dot is not None:
        check_writable(options.dot, "--dot")
    environment = probe(request)
    check_gpu(environment)
    plan = plan_bench(request, has_gpu=True)
    device = request.device or "gpu"
    with Recorder(path, make_header(request, environment)) as recorder:
        work = GraphWork(plan, request.strict, options, recorder, on_progress)
        try:
            with settings.make_judging_pool(device, jobs=settings.jobs) as pool:
                work.try_all(pool)
            with replace(settings, jobs=1).make_pool(device) as pool:
                work.time_all(pool)
        except KeyboardInterrupt:
            recorder.finish(work.order, complete=False)
            raise
        return recorder.finish(work.order, complete=True), path


def check_gpu(environment: Environment) -> None:
    """Raise `NoGpuError` where torch sees no GPU."""
    if not environment.gpus:
        raise NoGpuError("graphs need a GPU and torch sees none here; see `rocmoe doctor`")
