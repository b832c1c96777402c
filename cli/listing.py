"""`rocmoe list`: the ops, cases, backends, models and patterns there are."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from rocmoe.cli import options
from rocmoe.cli.show import OutputFormat, show_rows

#: Characters of a cell before it is wrapped; the words of cases are never broken.
WRAP = 48


class Kind(str, Enum):
    """What can be listed."""

    ops = "ops"
    pipelines = "pipelines"
    cases = "cases"
    backends = "backends"
    models = "models"
    patterns = "patterns"


def list_things(
    kind: Annotated[Kind, typer.Argument(help="What to list.")] = Kind.ops,
    op: Annotated[
        list[str] | None, typer.Option(help="Cases of this op, or backends that serve it.")
    ] = None,
    suite: Annotated[
        str, typer.Option(help="Cases of this suite: smoke, quick or full.")
    ] = "quick",
    arch: Annotated[
        str, typer.Option(help="With --op: who serves its cases there, as gfx942 or sm90.")
    ] = "",
    form: options.Form = OutputFormat.table,
) -> None:
    """List ops, pipelines, cases, backends, models or patterns."""
    from rocmoe.profiles import catalog

    catalog.check_filters(op or (), suite, arch)
    if kind is Kind.cases and arch:
        rows = catalog.list_runner_rows(op or (), suite, arch)
        show_rows(rows, catalog.RUNNER_COLUMNS, form)
        return
    if kind is Kind.cases:
        show_rows(catalog.list_case_rows(op or (), suite), catalog.CASE_COLUMNS, form)
        return
    if kind is Kind.backends and op:
        rows = catalog.list_service_rows(op, suite, arch)
        show_rows(rows, catalog.SERVICE_COLUMNS, form, wrap=WRAP)
        return
    list_rows, columns = {
        Kind.ops: (catalog.list_op_rows, catalog.OP_COLUMNS),
        Kind.pipelines: (catalog.list_pipeline_rows, catalog.OP_COLUMNS),
        Kind.backends: (catalog.list_backend_rows, catalog.BACKEND_COLUMNS),
        Kind.models: (catalog.list_model_rows, catalog.MODEL_COLUMNS),
        Kind.patterns: (catalog.list_pattern_rows, catalog.PATTERN_COLUMNS),
    }[kind]
    show_rows(list_rows(), columns, form, wrap=WRAP)
