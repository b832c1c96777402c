"""What there is, as rows of text: ops, cases, backends, models, patterns."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from rocmoe.ops.core.backend import find_library, list_backends, list_disabled, load_backend
from rocmoe.ops.core.case import format_value
from rocmoe.ops.core.patterns import list_patterns
from rocmoe.ops.core.spec import OpSpec, list_ops, list_pipelines, load_op
from rocmoe.profiles.dispatch import check_arch, check_one_op, list_services, name_runners
from rocmoe.profiles.model import list_models, load_model
from rocmoe.profiles.suites import check_suite, list_cases

Rows = list[list[str]]

OP_COLUMNS = ("op", "inputs", "outputs", "what it does")
CASE_COLUMNS = ("case", "note")
RUNNER_COLUMNS = ("case", "note", "runs")
SERVICE_COLUMNS = ("op", "backend", "variant", "state", "serves", "runs", "refuses")
BACKEND_COLUMNS = ("backend", "state", "what it is")
MODEL_COLUMNS = ("model", "experts", "topk", "scores", "vocabulary", "ops")
PATTERN_COLUMNS = ("kind", "pattern", "what it provokes", "source")


#: Seconds that the import of a library may take: some compile, or look for devices.
IMPORT_SECONDS = 120


def check_filters(ops: Sequence[str], suite: str, arch: str = "") -> None:
    """Raise `RocmoeError` for an op, a suite or an architecture that there is none of."""
    for op in ops:
        load_op(op)
    check_suite(suite)
    check_one_op(ops, check_arch(arch))


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
    disabled = list_disabled()
    backends = [(name, load_backend(name)) for name in list_backends()]
    return [
        [name, "turned off" if name in disabled else find_state(name), backend.SUMMARY]
        for name, backend in backends
    ]


def find_state(backend: str) -> str:
    """`available`, or why a backend cannot be used here.

    A library that is installed is imported in a process of its own: it may print, take long, start
    a GPU's runtime, and end the process.
    """
    library = find_library(backend)
    if library is None or not library.is_installed():
        return load_backend(backend).find_absence() or "available"
    code = (
        "import sys; from rocmoe.ops.core.backend import load_backend; "
        "print('\\n' + (load_backend(sys.argv[1]).find_absence() or 'available'))"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, backend],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=IMPORT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"importing {library.module}: no end within {IMPORT_SECONDS} s"
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    if done.returncode == 0 and said:
        return said[-1]
    how = f"ended with code {done.returncode}" + (f": {said[-1]}" if said else "")
    return f"importing {library.module}: the process {how}"


def list_service_rows(ops: Sequence[str], suite: str, arch: str) -> Rows:
    """A row a function of each backend, for each op: how many of its cases it serves, for how many
    its backend takes it unless another is named, and what it refuses."""
    rows = []
    states: dict[str, str] = {}
    for spec in map(load_op, ops):
        cases = list_cases(spec, suite)
        for each in list_services(spec, cases, arch):
            if each.backend not in states:
                states[each.backend] = find_state(each.backend)
            refuses = [f"{count}: {reason}" for reason, count in each.refuses.most_common()]
            rows.append(
                [spec.name, each.backend, each.variant, states[each.backend],
                 f"{len(each.serves)} of {len(cases)}", str(len(each.runs)), "; ".join(refuses)]
            )  # fmt: skip
    return rows


def list_runner_rows(ops: Sequence[str], suite: str, arch: str) -> Rows:
    """As `list_case_rows`, with what would run each case."""
    rows = []
    for spec in map(load_op, ops):
        cases = list_cases(spec, suite)
        services = list_services(spec, cases, arch)
        notes = list_case_rows([spec.name], suite)
        rows += [
            [*row, ", ".join(name_runners(services, case))]
            for row, case in zip(notes, cases, strict=True)
        ]
    return rows


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
