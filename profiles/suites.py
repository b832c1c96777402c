"""Which cases a suite holds: those an op declares, and the shapes of models over token counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from rocmoe.ops.core.case import Case, parse_case
from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.spec import OpSpec, Row
from rocmoe.profiles.artifact import CaseRecord
from rocmoe.profiles.model import Model, list_models, load_model

SUITES = ("smoke", "quick", "full")

#: Token counts at which peers switch kernels or tests: decode batches, then prefill.
LADDER = (1, 2, 4, 8, 16, 32, 64, 128, 1024, 4096, 16384, 65536)
#: One decode batch and one that is no multiple of anything, for the default suite.
QUICK_TOKENS = (3, 64)
TOKENS = {"smoke": (), "quick": QUICK_TOKENS, "full": LADDER}
#: Largest tensor of a model's case by suite.  In full that is 65536 tokens x 512 experts: in
#: float64, with what the judge derives from it, a case stays under 3 GB.  In quick it is what a
#: core judges in a second.
LARGEST_TENSOR = {"smoke": 0, "quick": 1 << 20, "full": 65536 * 512}
#: The same of a model that is asked for by name: 64 requests of 4 tokens each over the vocabulary
#: of Qwen3, which a core draws in five seconds.
LARGEST_OF_MODEL = 64 * 4 * 151936
#: The pattern of the ops that sort what a router chose, for a shared expert among its choices.
SHARED_EXPERT = "shared_expert"


def check_suite(suite: str) -> None:
    """Raise `RocmoeError` for a suite that there is none of."""
    if suite not in SUITES:
        raise unknown("suite", suite, SUITES)


def list_cases(spec: OpSpec, suite: str, seed: int = 0) -> list[Case]:
    """The cases of a suite for an op, each once, declared ones first."""
    check_suite(suite)
    rows = [row for row in spec.cases if SUITES.index(row.suite) <= SUITES.index(suite)]
    rows += [
        row
        for row in _expand_models(spec, TOKENS[suite])
        if _find_largest_tensor(spec, row) <= LARGEST_TENSOR[suite]
    ]
    cases = {case.id: case for case in (spec.make_case(row, seed) for row in rows)}
    return list(cases.values())


def find_cases(spec: OpSpec, ids: Sequence[str], seed: int) -> list[Case]:
    """The cases of this op among given ids, checked; they need not belong to any suite."""
    parsed = [parse_case(text) for text in ids]
    cases = [spec.check_case(_reseed(case, seed)) for case in parsed if case.op == spec.name]
    if not cases:
        raise RocmoeError(f"--case names no case of {spec.name}; `rocmoe list cases` has them")
    return cases


def _reseed(case: Case, seed: int) -> Case:
    if seed and case.seed and seed != case.seed:
        raise RocmoeError(f"case {case.id!r} has seed {case.seed}, but --seed is {seed}")
    return case.with_seed(seed) if seed else case


def _expand_models(spec: OpSpec, tokens: Sequence[int]) -> Iterator[Row]:
    models = map(load_model, list_models() if tokens else ())
    rows = (make_model_row(spec, model, count) for model in models for count in tokens)
    return (row for row in rows if row is not None)


def make_model_row(spec: OpSpec, model: Model, tokens: int) -> Row | None:
    """An op as a model uses it, for some tokens or rows; None where it does not use it."""
    shape = spec.from_model(model.values())
    if shape is None:
        return None
    dtype = "bf16" if "bf16" in spec.dtypes else spec.dtypes[0]
    sizes = {find_axis(spec): tokens, **shape[0]}
    pattern, layout = _choose_pattern(spec, model), spec.layouts[0]
    return Row("full", sizes, dtype, shape[1], pattern, layout, f"{model.name} at {tokens}")


def _choose_pattern(spec: OpSpec, model: Model) -> str:
    """The op's first; but a shared expert that is fused has every token, which decides the sort."""
    fused = model.num_fused_shared_experts and SHARED_EXPERT in spec.patterns
    return SHARED_EXPERT if fused else spec.patterns[0]


def list_model_cases(
    spec: OpSpec, model: Model, tokens: Sequence[int], seed: int = 0
) -> list[Case]:
    """An op's cases as a model uses it, one a token count; none where the model does not use it,
    and none at the token counts of `list_left_out`."""
    left_out = list_left_out(spec, model, tokens)
    rows = [make_model_row(spec, model, count) for count in tokens if count not in left_out]
    return [spec.make_case(row, seed) for row in rows if row is not None]


def list_models_cases(
    spec: OpSpec, models: Iterable[str], tokens: Sequence[int], seed: int
) -> list[Case]:
    """`list_model_cases` of several models by name or path, each case once."""
    cases = [
        case
        for model in map(load_model, models)
        for case in list_model_cases(spec, model, tokens, seed)
    ]
    return list({case.id: case for case in cases}.values())


def list_left_out(spec: OpSpec, model: Model, tokens: Sequence[int]) -> list[int]:
    """The token counts at which a model's case would hold a tensor beyond `LARGEST_OF_MODEL`."""
    rows = {count: make_model_row(spec, model, count) for count in tokens}
    return [
        count
        for count, row in rows.items()
        if row and _find_largest_tensor(spec, row) > LARGEST_OF_MODEL
    ]


def find_axis(sized: OpSpec | CaseRecord) -> str:
    """The size that counts tokens, or rows."""
    return next(name for name in ("T", "B") if name in sized.sizes)


def _find_largest_tensor(spec: OpSpec, row: Row) -> int:
    case = spec.make_case(row)
    tensors = [argument for argument in (*spec.inputs, *spec.outputs) if argument.axes]
    return max(math.prod(spec.shape(argument, case)) for argument in tensors)
