"""`rocmoe validate`: judge implementations on cases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, show_annotations, show_progress, show_run


def validate(
    ops: Annotated[
        list[str] | None, typer.Argument(metavar="[OP]...", help="Ops to validate; none means all.")
    ] = None,
    backend: options.Backends = None,
    impl: options.Impls = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, gpu, gpu:N or sim:ARCH; default: gpu, else cpu or sim:gfx942."),
    ] = None,
    suite: Annotated[str, typer.Option(help="smoke, quick or full.")] = "quick",
    case: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A single case instead of a suite.")
    ] = None,
    pipeline: options.Pipelines = None,
    model: options.Models = None,
    tokens: options.Tokens = None,
    seed: options.Seed = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also want order, lowest index on ties, same bits.")
    ] = False,
    no_guard: options.NoGuard = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Cases at a time; default: the cores, 1 on a GPU.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a case may take.")] = 120.0,
    out: options.Out = None,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML.")] = None,
    annotations: options.Annotations = None,
    budget: Annotated[
        Path | None, typer.Option(help="Limits of what simulated cases may count, as TOML.")
    ] = None,
    form: options.Form = OutputFormat.table,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish the newest unfinished run of this request.")
    ] = False,
) -> None:
    """Judge every op's implementations against float64 oracles, and write a JSON artifact.

    Exit codes: 0 passed, 1 failed, 2 bad request, 3 budget exceeded, 4 nothing ran, 5 machine
    failed, 130 interrupted.
    """
    from rocmoe.profiles.budget import load_budget
    from rocmoe.profiles.outcome import judge_run
    from rocmoe.profiles.request import make_request
    from rocmoe.profiles.validation import Settings, find_excesses, run_validation

    request = make_request(
        options.name_ops(ops, pipeline),
        backend or (),
        impl or (),
        device=device,
        suite=suite,
        cases=case or (),
        seed=seed,
        strict=strict,
        models=model or (),
        tokens=options.parse_tokens(tokens),
        guard=not no_guard,
    )
    limits = load_budget(budget) if budget else None
    settings = Settings(jobs, timeout, out, junit, resume, limits)
    with show_progress() as on_progress:
        artifact, path = run_validation(request, settings, on_progress)
    excesses = find_excesses(artifact, limits) if limits else []
    show_run(artifact, path, form, excesses)
    show_annotations(options.choose_annotator(annotations), artifact, excesses)
    raise typer.Exit(judge_run(artifact, excesses))
