"""`rocmoe graph`: whether ops can be captured in a HIP or CUDA graph, and the proof of it."""

from __future__ import annotations

from typing import Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, show_progress, show_tables


def graph(
    ops: Annotated[
        list[str] | None, typer.Argument(metavar="[OP]...", help="Ops to capture; default: all.")
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option(help="A backend to capture; none means all installed.")
    ] = None,
    impl: options.Impls = None,
    case: options.Cases = None,
    pipeline: options.Pipelines = None,
    model: options.Models = None,
    tokens: options.Tokens = None,
    sweep: options.Sweeps = None,
    processes: options.Processes = 3,
    replays: options.Replays = 200,
    device: options.GpuName = None,
    seed: options.Seed = 0,
    strict: options.Strict = False,
    timeout: options.Timeout = 300.0,
    jobs: options.Jobs = None,
    dot: options.DotFile = None,
    out: options.Out = None,
    stored: options.Stored = None,
    form: options.Form = OutputFormat.table,
) -> None:
    """Capture implementations in graphs, and hold replays of every kind to eager runs.

    Exit codes: 0 all safe, 1 one is not safe or wrong, 2 bad request, 4 nothing ran or was told, 5
    machine failed, 130 interrupted.
    """
    from rocmoe.profiles.artifact import read_artifact
    from rocmoe.profiles.bench_cases import Shapes
    from rocmoe.profiles.graphs.report import judge_graphs, list_graph_tables
    from rocmoe.profiles.graphs.request import Options, make_graph_request
    from rocmoe.profiles.graphs.run import run_graphs
    from rocmoe.profiles.validation import Settings

    if stored is not None:
        options.check_alone("--from", ops, pipeline, case, model, backend, impl)
        show_tables(read_artifact(stored), stored, form, list_graph_tables)
        raise typer.Exit
    shapes = Shapes(case or (), model or (), options.parse_tokens(tokens), sweep or (), seed)
    named = options.name_ops(ops, pipeline)
    request = make_graph_request(
        named, backend or (), impl or (), shapes, device=device, strict=strict
    )
    wanted, settings = Options(processes, replays, dot), Settings(jobs, timeout, out)
    with show_progress() as on_progress:
        artifact, path = run_graphs(request, wanted, settings, on_progress)
    outcome = judge_graphs(artifact)
    show_tables(artifact, path, form, list_graph_tables, outcome)
    raise typer.Exit(outcome)
