"""What there is, as rows of text: ops, cases, backends, models, patterns."""

from __future__ import annotations

from collections.abc import Sequence

from rocmoe.ops.core.backend import list_backends, load_backend
from rocmoe.ops.core.case import format_value
from rocmoe.ops.core.patterns import list_patterns
from rocmoe.ops.core.spec import OpSpec, list_ops, list_pipelines, load_op
from rocmoe.profiles.model import list_models, load_model
from rocmoe.profiles.suites import check_suite, list_cases

Rows = list[list[str]]

OP_COLUMNS = ("op", "inputs", "outputs", "what it does")
CASE_COLUMNS = ("case", "note")
BACKEND_COLUMNS = ("backend", "state", "what it is")
MODEL_COLUMNS = ("model", "experts", "topk", "scores", "vocabulary", "ops")
PATTERN_COLUMNS = ("kind", "pattern", "what it provokes", "source")


def check_filters(ops: Sequence[str], suite: str) -> None:
    """Raise `RocmoeError` for an op or a suite that there is none of."""
    for op in ops:
        load_op(op)
    check_suite(suite)


def list_pipeline_rows() -> Rows:
    """A row a pipeline."""
    return list_op_rows(list_pipelines())


def list_op_rows(names: Sequence[str] = ()) -> Rows:
    """A row an op, of all where none is named."""
    return [
        [
            spec.name,
            ", ".join(argument.name for argument in spec.inputs),
            ", ".join(argument.name for argument in spec.outputs),
            spec.summary,
        ]
        for spec in map(load_op, names or list_ops())
    ]


def list_case_rows(ops: Sequence[str], suite: str) -> Rows:
    """A row a case of a suite, with why it proves little where it does."""
    rows = []
    for spec in map(load_op, ops or list_ops()):
        for case in list_cases(spec, suite):
            degenerate, outside = spec.degenerate(case), spec.out_of_contract(case)
            note = f"degenerate: {degenerate}" if degenerate else ""
            rows.append([case.id, f"out of contract: {outside}" if outside else note])
    return rows


def list_backend_rows() -> Rows:
    """A row a backend, with the reason where it cannot be used here."""
    backends = [(name, load_backend(name)) for name in list_backends()]
    return [
        [name, backend.find_absence() or "available", backend.SUMMARY] for name, backend in backends
    ]


def list_model_rows() -> Rows:
    """A row a model: its routing sizes, and the ops that it uses."""
    specs = [load_op(name) for name in list_ops()]
    return [_make_model_row(name, specs) for name in list_models()]


def _make_model_row(name: str, specs: Sequence[OpSpec]) -> list[str]:
    values = load_model(name).values()
    shown = ("num_experts", "topk", "scoring_func", "vocab_size")
    texts = [format_value(values[key]) if key in values else "-" for key in shown]  # type: ignore[arg-type]
    used = [spec.name for spec in specs if spec.from_model(values) is not None]
    return [name, *texts, ", ".join(used)]


def list_pattern_rows() -> Rows:
    """A row a pattern, by kind of input."""
    return [
        [kind, pattern.name, pattern.summary, pattern.source]
        for kind, patterns in list_patterns().items()
        for pattern in patterns.values()
    ]
