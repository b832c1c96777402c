"""`rocmoe profile`: which kernels ran, what they took, and what holds them back."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, show_documents, show_progress, show_tables


def profile(
    ops: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OP]...", help="Ops to profile; default: those of the model."),
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option(help="A backend to profile; none means all installed.")
    ] = None,
    impl: options.Impls = None,
    case: options.Cases = None,
    model: options.Models = None,
    tokens: options.Tokens = None,
    sweep: options.Sweeps = None,
    device: Annotated[str | None, typer.Option(help="gpu or gpu:N.")] = None,
    calls: options.Calls = 20,
    profiler: options.ProfilerName = "auto",
    counters: options.Counters = None,
    kernel: options.KernelName = None,
    hardware: options.HardwareName = None,
    trace: options.TraceFile = None,
    plot: options.Plots = None,
    seed: options.Seed = 0,
    strict: options.Strict = False,
    timeout: options.Timeout = 300.0,
    out: options.Out = None,
    stored: options.Profiled = None,
    empty: options.EmptyUs = None,
    form: options.Form = OutputFormat.table,
) -> None:
    """Judge implementations, profile those that pass, and write a JSON artifact; or read what was
    profiled before: times, registers, LDS, counters, the roofline, what holds kernels back.

    Exit codes: 0 profiled or read, 1 failed, 2 bad request, 4 something was not profiled, 5
    machine failed, 130 interrupted.
    """
    from rocmoe.profiles.bench_cases import Shapes
    from rocmoe.profiles.plots.page import check_plots, try_plots
    from rocmoe.profiles.profiling.report import list_run_tables
    from rocmoe.profiles.profiling.request import Asked, make_profile_request
    from rocmoe.profiles.profiling.run import judge_profile, run_profile
    from rocmoe.profiles.profiling.stored import draw_stored, read_stored
    from rocmoe.profiles.validation import Settings

    if stored is not None:
        options.check_alone("--from", ops, case, model, backend, impl, trace)
        check_plots(plot or ())
        show_documents(read_stored(stored, kernel, hardware, empty), form)
        draw_stored(stored, plot or ())
        raise typer.Exit
    asked = Asked(
        calls=calls, profiler=profiler, counters=counters, hardware=hardware, trace=trace
    )  # fmt: skip
    shapes = Shapes(case or (), model or (), options.parse_tokens(tokens), sweep or (), seed)
    request = make_profile_request(
        ops or (), backend or (), impl or (), shapes, device=device, strict=strict
    )
    check_plots(plot or ())
    with show_progress() as on_progress:
        settings = Settings(1, timeout, out)
        artifact, path = run_profile(request, settings, asked, on_progress)
    outcome = judge_profile(artifact)
    show_tables(artifact, path, form, partial(list_run_tables, pattern=kernel), outcome)
    typer.echo(try_plots(artifact, plot or ()), err=True, nl=False)
    raise typer.Exit(outcome)
