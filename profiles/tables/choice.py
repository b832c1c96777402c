"""Which tables a benchmark prints: its own two, and the forms that people post."""

from __future__ import annotations

from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.spec import list_pipelines
from rocmoe.profiles.artifact import Artifact, Request
from rocmoe.profiles.bench_report import list_columns, list_rows
from rocmoe.profiles.tables.model import list_model_tables
from rocmoe.profiles.tables.registry import FORMS, render_form
from rocmoe.profiles.tables.table import Table

OWN = ("list", "model")


def check_table(name: str | None, request: Request) -> str:
    """The name itself, or that of the table which suits a request; `RocmoeError` where there is no
    such table, or none of its ops is run."""
    ops = request.ops
    if name is None:
        # Stages have rows of their own in a list alone.
        return "model" if request.models and not set(ops) & set(list_pipelines()) else "list"
    if name not in (*OWN, *FORMS):
        raise unknown("table", name, (*OWN, *FORMS))
    if name in FORMS and not set(FORMS[name].ops) & set(ops):
        raise RocmoeError(
            f"--table {name} is of {', '.join(FORMS[name].ops)}, found {', '.join(ops)}"
        )
    return name


def list_tables(name: str, artifact: Artifact, *, published: bool) -> list[Table]:
    """The tables of an artifact; published: with published figures beside the run."""
    if name == "list":
        return [Table("", list_columns(artifact), list_rows(artifact))]
    if name == "model":
        return list_model_tables(artifact)
    return render_form(name, artifact, published=published)
