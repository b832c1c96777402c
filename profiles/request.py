"""What a run is asked for: ops, backends and cases, checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from rocmoe.ops.backends.torch import NAME as TORCH
from rocmoe.ops.backends.user import split_variant
from rocmoe.ops.core.backend import (
    ON_REQUEST,
    find_library,
    list_backends,
    list_disabled,
    load_backend,
    split_selector,
)
from rocmoe.ops.core.case import Case, parse_case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import OpSpec, list_ops, load_op
from rocmoe.profiles.artifact import Request
from rocmoe.profiles.model import Model, load_model
from rocmoe.profiles.suites import (
    QUICK_TOKENS,
    TOKENS,
    check_suite,
    find_cases,
    list_cases,
    list_models_cases,
)


def make_request(
    ops: Sequence[str],
    backends: Sequence[str],
    impls: Sequence[str],
    *,
    command: str = "validate",
    device: str | None,
    suite: str,
    cases: Sequence[str],
    seed: int,
    strict: bool,
    models: Sequence[str] = (),
    tokens: Sequence[int] = (),
    guard: bool = True,
) -> Request:
    """A checked request; `RocmoeError` for an unknown name or an `--impl` without an op.

    models, tokens: whose shapes are run instead of a suite, over how many tokens; without ops,
    those that a model uses.  backends: selectors such as `torch` or `harm:NAME`; none means every
    one installed, unless impls (FILE.py:FUNC) are given; `!NAME` turns one off.  guard: of
    `Request`.
    """
    for text in (*ops, *backends, *impls, *cases):
        if not text.isprintable():
            raise RocmoeError(f"{text!a} holds characters that cannot be printed")
    for op in ops:
        load_op(op)
    check_suite(suite)
    disabled = list_disabled([each for each in backends if each.startswith("!")])
    backends = [each for each in backends if not each.startswith("!")]
    for selector in backends:
        if (name := split_selector(selector)[0]) in disabled:
            raise RocmoeError(
                f"backend {name} is named, and turned off by ROCMOE_DISABLE or --backend '!{name}'"
            )
    if device is not None:
        parse_device(device)
    loaded = [load_model(model) for model in models]
    if tokens and not models:
        raise RocmoeError("--tokens is of models: --model NAME, or --case with other sizes")
    chosen = list(dict.fromkeys(ops or [parse_case(text).op for text in cases]))
    if impls:
        chosen = _choose_op_of_impls(chosen, impls)
    selectors = [*backends, *(f"user:{impl}" for impl in impls)]
    served = chosen or _list_served(selectors)
    used = [op for op in served if any(uses_op(model, load_op(op)) for model in loaded)]
    return Request(
        command=command,
        ops=served if chosen or not models else used,
        backends=list(dict.fromkeys(selectors)),
        device=device,
        suite=suite,
        cases=list(dict.fromkeys(cases)),
        seed=seed,
        strict=strict,
        models=list(dict.fromkeys(models)),
        tokens=list(dict.fromkeys(tokens)),
        disabled=disabled,
        guard=guard,
    )


def uses_op(model: Model, spec: OpSpec) -> bool:
    """Whether a model has a use for an op."""
    return spec.from_model(model.values()) is not None


def _list_served(selectors: Sequence[str]) -> list[str]:
    """All ops, or those that at least one of the backends named has."""
    named = [split_selector(selector) for selector in selectors]
    return [op for op in list_ops() if not named or any(_serves(*each, op) for each in named)]


def _serves(backend: str, variant: str, op: str) -> bool:
    library = find_library(backend)
    return library.has(op, variant) if library else load_backend(backend).serves(op)


def _choose_op_of_impls(ops: list[str], impls: Sequence[str]) -> list[str]:
    names = {split_variant(impl)[1] for impl in impls}
    if not ops and len(names) == 1 and names <= set(list_ops()):
        return list(names)
    if len(ops) != 1:
        raise RocmoeError(
            f"--impl {impls[0]} needs the one op that it implements, found {len(ops)}: "
            "rocmoe validate OP --impl FILE.py:FUNC"
        )
    return ops


def _list_request_cases(spec: OpSpec, request: Request) -> list[Case]:
    if request.cases:
        return find_cases(spec, request.cases, request.seed)
    if not request.models:
        return list_cases(spec, request.suite, request.seed)
    tokens = request.tokens or TOKENS[request.suite] or QUICK_TOKENS
    return list_models_cases(spec, request.models, tokens, request.seed)


def plan_cases(request: Request) -> list[tuple[OpSpec, Case]]:
    """The cases of a request in the order of its ops; `RocmoeError` where its models use none."""
    planned = [
        (spec, case)
        for spec in map(load_op, request.ops)
        for case in _list_request_cases(spec, request)
    ]
    if not planned:
        names = ", ".join(request.models)
        raise RocmoeError(f"{names} does not use {', '.join(request.ops) or 'any op'}")
    return planned


def list_selectors(request: Request) -> list[str]:
    """The backends a request means: those named, else every one installed that is not turned off,
    with the further torch implementations that its ops declare."""
    if request.backends:
        return request.backends
    off = {*ON_REQUEST, *request.disabled}
    names = [name for name in list_backends() if name not in off and _is_installed(name)]
    ops = [] if TORCH in off else request.ops
    declared = [variant for op in ops for variant in load_op(op).torch_variants]
    return [*names, *dict.fromkeys(f"{TORCH}:{variant}" for variant in declared)]


def _is_installed(backend: str) -> bool:
    library = find_library(backend)
    return library is None or library.is_installed()


def means(request: Request, selector: str, spec: OpSpec) -> bool:
    """Whether a backend of `list_selectors` is to run an op: one that was named runs them all."""
    name, variant = split_selector(selector)
    has_it = load_backend(name).serves(spec.name)
    return bool(request.backends) or (has_it and (not variant or variant in spec.torch_variants))
