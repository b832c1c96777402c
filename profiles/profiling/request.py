"""What a profile is asked for: ops, cases and how to look at them, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import msgspec

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.spec import OpSpec, list_ops, load_op
from rocmoe.profiles.artifact import Request
from rocmoe.profiles.bench import make_bench_request
from rocmoe.profiles.bench_cases import Shapes, list_bench_cases
from rocmoe.profiles.hardware import load_hardware
from rocmoe.profiles.model import Model, load_model
from rocmoe.profiles.profiling.perfetto import check_trace_file
from rocmoe.profiles.request import uses_op
from rocmoe.profiles.suites import find_axis
from rocmoe.profiles.sweep import expand_sweep, parse_sweep

Name = Literal["auto", "rocprofv3", "torch"]
NAMES: tuple[Name, ...] = get_args(Name)
#: Tokens, or rows, where none are asked for: a profile takes several processes and shows why, which
#: a decode batch and a prefill tell.
MODEL_TOKENS = (64, 4096)
TOKENS = (1024,)
COMMAND = "profile"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How to look.

    profiler: auto is rocprofv3 on ROCm where it is installed, else torch's.  counters: None for
    those that a diagnosis rests on, where there are any.  hardware: a name of `list_hardware`,
    None for what torch calls the GPU.  trace: the file that traces for Perfetto go to.
    """

    calls: int = 20
    profiler: str = "auto"
    counters: bool | None = None
    hardware: str | None = None
    trace: Path | None = None

    def __post_init__(self) -> None:
        """Raises `RocmoeError` for what there is none of."""
        if self.profiler not in NAMES:
            raise unknown("profiler", self.profiler, NAMES)
        if self.hardware is not None:
            load_hardware(self.hardware)
        if self.profiler == "torch" and self.counters:
            raise RocmoeError("--counters: torch's profiler counts nothing; --profiler rocprofv3")
        check_trace_file(self.trace)


def make_profile_request(
    ops: Sequence[str],
    backends: Sequence[str],
    impls: Sequence[str],
    shapes: Shapes,
    *,
    device: str | None,
    strict: bool,
) -> Request:
    """A checked request, with every case that it means; `RocmoeError` for what is wrong with it.

    As of `bench`, but for the tokens where none are asked for, and for an op that is named beside a
    model which does not use it: it is run in the sizes of an op that the model uses.
    """
    check_device(device)
    shapes = choose_tokens(shapes)
    lent = _list_lent(ops, shapes)
    if not lent:
        return _ask(ops, backends, impls, shapes, device=device, strict=strict)
    found = {op: lent.get(op) or list_bench_cases(load_op(op), shapes, "gpu") for op in ops}
    ids = [case.id for cases in found.values() for case in cases]
    plain = replace(shapes, cases=ids, models=(), tokens=(), sweep=())
    named = [op for op, cases in found.items() if cases]
    request = _ask(named, backends, impls, plain, device=device, strict=strict)
    return msgspec.structs.replace(request, models=[*shapes.models], tokens=[*shapes.tokens])


def check_device(device: str | None) -> None:
    """Raise `RocmoeError` for a device that no profiler looks at."""
    if device is None or (kind := parse_device(device).kind) == "gpu":
        return
    other = "counts" if kind == "sim" else "times"
    raise RocmoeError(
        f"--device {device}: profilers look at a GPU; `rocmoe bench --device {device}` {other}"
    )


def choose_tokens(shapes: Shapes) -> Shapes:
    """The shapes with few tokens where nothing says how many."""
    if shapes.tokens or shapes.cases or (shapes.sweep and not shapes.models):
        return shapes
    return replace(shapes, tokens=MODEL_TOKENS if shapes.models else TOKENS)


def tell_lent(request: Request) -> dict[str, str]:
    """By op, a note on each that is run in sizes which a model has for another one."""
    told: dict[str, str] = {}
    for model in map(load_model, request.models):
        for spec in map(load_op, request.ops):
            if not uses_op(model, spec) and (lender := _find_lender(spec, model)):
                line = f"{model.name} does not use {spec.name}: the sizes are of its {lender}"
                told.setdefault(spec.name, line)
    return told


def _ask(
    ops: Sequence[str],
    backends: Sequence[str],
    impls: Sequence[str],
    shapes: Shapes,
    *,
    device: str | None,
    strict: bool,
) -> Request:
    return make_bench_request(
        ops, backends, impls, shapes, device=device, timers=(), caches=(), effort="default",
        strict=strict, command=COMMAND,
    )  # fmt: skip


def _list_lent(ops: Sequence[str], shapes: Shapes) -> Mapping[str, list[Case]]:
    """The cases of each op named that no model uses but one has the sizes for."""
    models = [load_model(name) for name in shapes.models]
    lent: dict[str, list[Case]] = {}
    for spec in map(load_op, ops):
        if not any(uses_op(model, spec) for model in models):
            cases = [case for model in models for case in _lend(spec, model, shapes)]
            if cases:
                lent[spec.name] = list({case.id: case for case in cases}.values())
    return lent


def _find_lender(spec: OpSpec, model: Model) -> str | None:
    """The first op that the model uses and whose sizes have the same names."""
    others = (load_op(op) for op in list_ops())
    return next((o.name for o in others if [*o.sizes] == [*spec.sizes] and uses_op(model, o)), None)


def _lend(spec: OpSpec, model: Model, shapes: Shapes) -> list[Case]:
    """The op's first declared case in the sizes of another op of the model, in its dtype."""
    lender = _find_lender(spec, model)
    if lender is None:
        return []
    shape = load_op(lender).from_model(model.values())
    assert shape is not None
    base = spec.make_case(spec.cases[0], shapes.seed)
    sizes = {name: [str(size)] for name, size in shape[0].items()}
    tokens = {find_axis(spec): [str(count) for count in shapes.tokens]}
    return expand_sweep(spec, base, {**sizes, **tokens, **parse_sweep(shapes.sweep)})
