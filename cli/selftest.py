"""`rocmoe selftest`: prove that the judges catch wrong kernels and pass right ones."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, show_rows


def selftest(
    op: Annotated[
        list[str] | None, typer.Argument(metavar="[OP]...", help="Ops; none means all.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the harmed kernels run.")] = "cpu",
    jobs: Annotated[int | None, typer.Option(min=1, help="Cases at a time.")] = None,
    form: options.Form = OutputFormat.table,
) -> None:
    """Run deliberately wrong kernels through the whole road, and say which check caught each.

    Exits 1 if a wrong kernel escapes or a right one is refused, 4 if none could be run.
    """
    from rocmoe.ops.core.device import parse_device
    from rocmoe.ops.core.spec import load_op
    from rocmoe.profiles.selftest import COLUMNS, judge_trials, plan_trials, run_trials
    from rocmoe.profiles.validation import Settings

    parse_device(device)
    chosen = {load_op(name).name for name in op or ()}
    trials = [trial for trial in plan_trials() if not chosen or trial.op in chosen]

    def on_progress(number: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{number} of {total} kernels", end="", file=sys.stderr)

    with Settings(jobs).make_pool(device) as pool:
        run_trials(trials, pool, device, on_progress)
    show_rows([trial.describe() for trial in trials], COLUMNS, form)
    wrong = [trial for trial in trials if trial.must_be_caught]
    right = [trial for trial in trials if not trial.must_be_caught]
    print(
        f"\n{sum(t.ok for t in wrong)} of {len(wrong)} wrong kernels caught, "
        f"{sum(t.ok for t in right)} of {len(right)} right ones passed",
        file=sys.stderr,
    )
    raise typer.Exit(judge_trials(trials))
