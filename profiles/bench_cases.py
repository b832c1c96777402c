"""The cases that a benchmark runs: those named, those of models over tokens, swept or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.spec import OpSpec
from rocmoe.profiles.suites import LADDER, find_axis, find_cases, list_models_cases
from rocmoe.profiles.sweep import expand_sweep, list_default_cases, parse_sweep

#: Tokens, or rows, of a model where none are asked for: a processor takes seconds for the larger
#: ones, and a simulator minutes.
TOKENS = {"gpu": LADDER, "cpu": (1, 64, 1024), "sim": (1, 64)}
#: The same of a quick run: the largest counts take the most time by far, most of it judging.
QUICK_TOKENS = {"gpu": (1, 8, 64, 1024, 16384), "cpu": (1, 64), "sim": (1,)}


@dataclass(frozen=True)
class Shapes:
    """What was asked for of shapes: cases by their ids, models by name or path over tokens, and
    sweeps of either, of `parse_sweep`; or of the op's first declared case.  quick: fewer tokens,
    where none are named."""

    cases: Sequence[str] = ()
    models: Sequence[str] = ()
    tokens: Sequence[int] = ()
    sweep: Sequence[str] = ()
    seed: int = 0
    quick: bool = False


def list_bench_cases(spec: OpSpec, shapes: Shapes, kind: str) -> list[Case]:
    """The cases of an op on a kind of device, each once; none where no model uses the op.

    Raises `RocmoeError` for a model, a sweep or a case that is wrong.
    """
    swept = parse_sweep(_name_tokens(spec, shapes))
    bases = _list_bases(spec, shapes, kind)
    if swept and not (bases or shapes.models):
        bases = [spec.make_case(spec.cases[0], shapes.seed)]
    if swept:
        bases = [case for base in bases for case in expand_sweep(spec, base, swept)]
    elif not (bases or shapes.models):
        bases = list_default_cases(spec, shapes.seed)
    return list({case.id: case for case in bases}.values())


def _name_tokens(spec: OpSpec, shapes: Shapes) -> list[str]:
    """The sweeps, with one over the tokens that were asked for where no model is to have them."""
    named = [] if shapes.models or not shapes.tokens else [",".join(map(str, shapes.tokens))]
    return [*(f"{find_axis(spec)}={tokens}" for tokens in named), *shapes.sweep]


def _list_bases(spec: OpSpec, shapes: Shapes, kind: str) -> list[Case]:
    bases = find_cases(spec, shapes.cases, shapes.seed) if shapes.cases else []
    tokens = shapes.tokens or (QUICK_TOKENS if shapes.quick else TOKENS)[kind]
    return bases + list_models_cases(spec, shapes.models, tokens, shapes.seed)
