"""What a run of graphs is asked for: the road of a benchmark's request, with cases of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import OpSpec, load_op
from rocmoe.profiles.artifact import Request, Timer
from rocmoe.profiles.bench import set_cases
from rocmoe.profiles.bench_cases import Shapes
from rocmoe.profiles.graphs.draws import list_settings
from rocmoe.profiles.request import make_request
from rocmoe.profiles.suites import list_cases

#: Eager, graph and kernel, as ROCm/FlyDSL#582 posts them beside each other.
TIMERS: tuple[Timer, ...] = ("wall", "graph", "kernel")


@dataclass(frozen=True)
class Options:
    """processes: that an implementation is captured in, one after another or at once.  replays: of
    the trial of many.  dot: a file to draw graphs into."""

    processes: int = 3
    replays: int = 200
    dot: Path | None = None


def make_graph_request(
    ops: Sequence[str],
    backends: Sequence[str],
    impls: Sequence[str],
    shapes: Shapes,
    *,
    device: str | None,
    strict: bool,
) -> Request:
    """A checked request, with every case that it means; `RocmoeError` for what is wrong with it.

    ops: none means those of the cases or models, else all.
    """
    device = device or "gpu"
    if parse_device(device).kind != "gpu":
        raise RocmoeError(f"--device {device} has no graphs; wanted gpu or gpu:N")
    request = make_request(
        ops, backends, impls, command="graph", device=device, suite="smoke", cases=shapes.cases,
        seed=shapes.seed, strict=strict, models=shapes.models, tokens=()
    )  # fmt: skip
    if not (shapes.cases or shapes.models or shapes.tokens or shapes.sweep):
        specs = map(load_op, request.ops)
        ids = [case.id for spec in specs for case in list_graph_cases(spec, shapes.seed)]
        shapes = replace(shapes, cases=ids)
    request = msgspec.structs.replace(
        request, timers=[*TIMERS], caches=["warm"], tokens=[*shapes.tokens], effort="quick"
    )
    return set_cases(request, replace(shapes, quick=True), has_gpu=True)


def list_graph_cases(spec: OpSpec, seed: int) -> list[Case]:
    """The op's first case, and further ones until each count that it may take as a tensor is one.

    A count that is a number is part of a graph; one in a tensor has to be read at every replay.
    """
    listed = [*list_cases(spec, "smoke", seed), *list_cases(spec, "quick", seed)]
    known = [each for each in listed if not (spec.degenerate(each) or spec.out_of_contract(each))]
    chosen = known[:1]
    while True:
        missing = [name for name in list_settings(spec) if not _have_tensor(chosen, name)]
        best = max(known, key=lambda case: sum(_have_tensor([case], name) for name in missing))
        if not any(_have_tensor([best], name) for name in missing):
            return chosen
        chosen.append(best)


def _have_tensor(cases: Sequence[Case], name: str) -> bool:
    """Whether one of the cases draws a parameter as a tensor: where a word stands for it."""
    return any(isinstance(case.params[name], str) for case in cases)
