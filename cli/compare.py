"""`rocmoe compare`: which implementation is faster, timed in turns."""

from __future__ import annotations

from typing import Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, show_progress, show_tables


def compare(
    ops: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OP]...", help="Ops; default: all that the model uses."),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(help="A backend, the first the base; !NAME: all but it; none: all."),
    ] = None,
    impl: options.Impls = None,
    case: options.Cases = None,
    pipeline: options.Pipelines = None,
    model: options.Models = None,
    tokens: options.Tokens = None,
    sweep: options.Sweeps = None,
    timer: options.Timers = None,
    cache: options.Caches = None,
    quick: options.Quick = False,
    rigorous: options.Rigorous = False,
    device: options.DeviceName = None,
    seed: options.Seed = 0,
    strict: options.Strict = False,
    timeout: options.Timeout = 300.0,
    out: options.Out = None,
    form: options.Form = OutputFormat.table,
) -> None:
    """Judge implementations, time those that pass in turns in the same processes, and say which is
    FASTER, SLOWER, the SAME, or that the noise does not let it be told (AMBIGUOUS).

    Exit codes: 0 compared, 1 failed, 2 bad request, 4 nothing was compared or only ambiguously, 5
    machine failed, 130 interrupted.
    """
    from rocmoe.profiles.bench import make_bench_request
    from rocmoe.profiles.bench_cases import Shapes
    from rocmoe.profiles.comparing.compare import judge_comparison, run_comparison
    from rocmoe.profiles.tables.comparison import list_comparison_tables
    from rocmoe.profiles.validation import Settings

    named = options.name_ops(ops, pipeline)
    shapes = Shapes(case or (), model or (), options.parse_tokens(tokens), sweep or (), seed, quick)
    request = make_bench_request(
        named, backend or (), impl or (), shapes, device=device, timers=timer or (),
        caches=cache or ("warm",), effort=options.choose_effort(quick, rigorous), strict=strict,
        command="compare",
    )  # fmt: skip
    with show_progress() as on_progress:
        settings = Settings(1, timeout, out)
        artifact, path = run_comparison(request, shapes, settings, on_progress)
    outcome = judge_comparison(artifact)
    show_tables(artifact, path, form, list_comparison_tables, outcome)
    raise typer.Exit(outcome)
