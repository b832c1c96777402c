"""`rocmoe bench`: judge implementations, then time what passed."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, show_progress, show_tables


def bench(
    ops: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OP]...", help="Ops to time; default: all that the model uses."),
    ] = None,
    backend: options.Backends = None,
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
    no_guard: options.NoGuard = False,
    timeout: options.Timeout = 300.0,
    out: options.Out = None,
    table: options.TableName = None,
    published: options.Published = False,
    stored: options.Stored = None,
    plot: options.Plots = None,
    form: options.Form = OutputFormat.table,
) -> None:
    """Judge implementations on each case, time those that pass, and write a JSON artifact.

    Exit codes: 0 measured, 1 failed, 2 bad request, 4 not all measured or faster than possible, 5
    machine failed, 130 interrupted.
    """
    from rocmoe.profiles.artifact import read_artifact
    from rocmoe.profiles.bench import judge_bench, make_bench_request, run_bench
    from rocmoe.profiles.bench_cases import Shapes
    from rocmoe.profiles.plots.page import check_plots, try_plots, write_plots
    from rocmoe.profiles.tables.choice import check_table, list_tables
    from rocmoe.profiles.validation import Settings

    check_plots(plot or (), device)
    if stored is not None:
        options.check_alone("--from", ops, pipeline, case, model, backend, impl)
        artifact = read_artifact(stored)
        name = check_table(table, artifact.request)
        write_plots(artifact, plot or ())
        show_tables(artifact, stored, form, partial(list_tables, name, published=published))
        raise typer.Exit
    named = options.name_ops(ops, pipeline)
    shapes = Shapes(case or (), model or (), options.parse_tokens(tokens), sweep or (), seed, quick)
    request = make_bench_request(
        named, backend or (), impl or (), shapes, device=device, timers=timer or (),
        caches=cache or ("warm",), effort=options.choose_effort(quick, rigorous), strict=strict,
        guard=not no_guard,
    )  # fmt: skip
    name = check_table(table, request)
    with show_progress() as on_progress:
        # One at a time: cases that run beside each other slow each other down.
        artifact, path = run_bench(request, shapes, Settings(1, timeout, out), on_progress)
    tables = partial(list_tables, name, published=published)
    outcome = judge_bench(artifact)
    show_tables(artifact, path, form, tables, outcome)
    typer.echo(try_plots(artifact, plot or ()), err=True, nl=False)
    raise typer.Exit(outcome)
