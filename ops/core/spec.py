"""An op, declared once: its contract, cases, inputs, judge and torch implementation."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.core.given import read_values
from rocmoe.references.judging.verdict import Verdict

#: Every argument of a call by its canonical name: NumPy arrays (float64 or int64) for tensors,
#: Python scalars for the rest, None for an optional one that is left out.
Inputs = dict[str, Any]
Outputs = dict[str, NDArray[Any]]
Sizes = Mapping[str, int]

DTYPES = ("fp32", "fp16", "bf16")
LAYOUTS: Mapping[str, str] = {
    "contiguous": "rows one after another, 256-byte aligned",
    "strided": "rows of a wider buffer, as randn(T, E + 10)[:, :E]",
    "offset": "base pointer one element past an aligned address",
    "qkv_views": "rows as far apart as those of a buffer of [q | k | v], as qkv.split gives",
}


#: Kernels count in int32, and no published model comes near.
LARGEST_SIZE = 2**31 - 1


@dataclass(frozen=True)
class Argument:
    """One input or output: a tensor when it has a dtype, else a Python scalar.

    axes: names of sizes, or of `OpSpec.derived` ones.  dtype: `case` for the case's own, or one of
    fp32, bf16, i32, i64.  contiguous: its rows follow each other in every layout, as a table's do.
    """

    name: str
    axes: tuple[str, ...] = ()
    dtype: str | None = None
    optional: bool = False
    doc: str = ""
    contiguous: bool = False


KINDS: Mapping[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "word": (),
}


@dataclass(frozen=True)
class Param:
    """A parameter of a case: the values it can take, and what it means."""

    kind: str  # bool | int | float | word, optionally "or none"
    doc: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A declared case: its smallest suite (smoke < quick < full), and `why`, the edge it hits."""

    suite: str
    sizes: Sizes
    dtype: str
    params: Mapping[str, Value]
    pattern: str
    layout: str = "contiguous"
    why: str = ""


@dataclass(frozen=True)
class Cost:
    """What a call must at least move and do: bytes read and written, and operations."""

    bytes_read: int
    bytes_written: int
    operations: int


def no_reason(case: Case) -> str | None:
    """The default of every `OpSpec` function that gives a reason or none."""
    del case
    return None


def write_everything(case: Case, inputs: Inputs) -> Mapping[str, NDArray[np.bool_]]:
    """The default of `must_write`: no output has an element that may be left."""
    del case, inputs
    return {}


def keep_outputs(inputs: Inputs, outputs: Outputs) -> Outputs:
    """The default canonical form: the outputs as they are."""
    del inputs
    return outputs


def compare_nothing(inputs: Inputs, outputs: Outputs) -> Outputs:
    """The canonical form of an op whose outputs all depend on how sums are rounded."""
    del inputs, outputs
    return {}


@dataclass(frozen=True)
class OpSpec:
    """Everything rocmoe knows of an op; validate, list, selftest and the tests read only this."""

    name: str
    summary: str
    source: str
    sizes: Mapping[str, str]
    dtypes: tuple[str, ...]
    params: Mapping[str, Param]
    patterns: tuple[str, ...]
    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    draw: Callable[[Case, np.random.Generator], Inputs]
    oracle: Callable[..., Mapping[str, Any]]
    judge: Callable[..., Verdict]
    run_torch: Callable[..., Any]
    cases: Sequence[Row]
    cost: Callable[[Case], Cost]
    layouts: tuple[str, ...] = ("contiguous", "strided", "offset")
    derived: Mapping[str, Callable[[Sizes], int]] = field(default_factory=dict)
    mutates: frozenset[str] = frozenset()
    #: Masks of the elements that a call must write, by output; an output not named must be
    #: written in full.
    must_write: Callable[[Case, Inputs], Mapping[str, NDArray[np.bool_]]] = write_everything
    #: Masks of the elements that a call may write, by output; an output not named: all.
    may_write: Callable[[Case, Inputs], Mapping[str, NDArray[np.bool_]]] = write_everything
    canonical: Callable[[Inputs, Outputs], Outputs] = keep_outputs
    #: Elements from one row of a matrix to the next in layout qkv_views.
    row_pitch: Callable[[Sizes], int] | None = None
    #: Why a trivial answer passes this case, if one does.
    degenerate: Callable[[Case], str | None] = no_reason
    #: Why this case is judged for crash, hang and out-of-bounds access only, if it is.
    out_of_contract: Callable[[Case], str | None] = no_reason
    #: What is wrong with the combination of sizes and params, if anything.
    refuse_case: Callable[[Case], str | None] = no_reason
    #: The sizes (all but the token count) and params that a model gives, None if it has no use
    #: for the op.
    from_model: Callable[[Mapping[str, Any]], tuple[dict[str, int], dict[str, Value]] | None] = (
        lambda model: None
    )
    #: Where the statistical test applies: the case with fresh, larger draws that decides it.
    second_look: Callable[[Case], Case] | None = None
    #: Further torch implementations by name, as `torch:NAME`.
    torch_variants: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def check_case(self, case: Case) -> Case:
        """The case itself if it is one of this op's, else `RocmoeError`."""
        self._check_names(case, "size", case.sizes, self.sizes)
        self._check_names(case, "parameter", case.params, self.params)
        for kind, word, known in (
            ("dtype", case.dtype, self.dtypes),
            ("pattern", case.pattern, self.patterns),
            ("layout", case.layout, self.layouts),
        ):
            if word not in known:
                raise _in_case(case, unknown(kind, word, known))
        for name, param in self.params.items():
            check_value(case, name, case.params[name], param)
        for name, size in case.sizes.items():
            if not 0 <= size <= LARGEST_SIZE:
                raise _in_case(case, RocmoeError(f"{name}={size} is not in [0, {LARGEST_SIZE}]"))
        if reason := self.refuse_case(case):
            raise _in_case(case, RocmoeError(reason))
        self.read_given(case)
        return case

    def read_given(self, case: Case) -> dict[str, NDArray[Any]]:
        """The tensors whose values a case gives, float64 or int64; `RocmoeError` for what is not
        the values of an input."""
        tensors = {each.name: each for each in self.inputs if each.dtype is not None}
        read = {}
        for name, text in case.given.items():
            if name not in tensors:
                raise _in_case(case, unknown("input", name, tensors))
            floats = tensors[name].dtype not in ("i32", "i64")
            shape = self.shape(tensors[name], case)
            try:
                read[name] = read_values(name, text, shape, floats=floats)
            except RocmoeError as error:
                raise _in_case(case, error) from None
        return read

    def _check_names(
        self, case: Case, kind: str, found: Mapping[str, object], wanted: Mapping[str, object]
    ) -> None:
        if strange := [name for name in found if name not in wanted]:
            raise _in_case(case, unknown(kind, strange[0], wanted))
        if missing := [name for name in wanted if name not in found]:
            raise _in_case(case, RocmoeError(f"{kind} {missing[0]!r} is missing"))
        if list(found) != list(wanted):
            order = ", ".join(wanted)
            raise _in_case(case, RocmoeError(f"{kind}s out of order; wanted {order}"))

    def shape(self, argument: Argument, case: Case) -> tuple[int, ...]:
        """The shape of one of this op's tensors for a case."""
        return tuple(
            self.derived[axis](case.sizes) if axis in self.derived else case.sizes[axis]
            for axis in argument.axes
        )

    def make_case(self, row: Row, seed: int = 0) -> Case:
        """The case that a declared row stands for."""
        params = {name: row.params[name] for name in self.params}
        sizes = {name: row.sizes[name] for name in self.sizes}
        case = Case(self.name, sizes, row.dtype, params, row.pattern, row.layout, seed)
        return self.check_case(case)


def check_value(case: Case, name: str, value: Value, param: Param) -> None:
    """Raise `RocmoeError` where a parameter's value is not of its declared kind."""
    kind = param.kind.removesuffix(" or none")
    if value is None and kind != param.kind:
        return
    if isinstance(value, str) and value in param.words:
        return
    kinds: tuple[type, ...] = KINDS[kind]
    if isinstance(value, bool) and kind != "bool":
        kinds = ()
    if not isinstance(value, kinds):
        words = f" or one of {', '.join(param.words)}" if param.words else ""
        raise _in_case(
            case, RocmoeError(f"{name}={value!r} is not what it takes: {param.kind}{words}")
        )


def _in_case(case: Case, error: RocmoeError) -> RocmoeError:
    return RocmoeError(f"case {case.id!r}: {error}")


@cache
def list_ops() -> tuple[str, ...]:
    """The names of all ops: the modules of rocmoe.ops, sorted."""
    return _list_modules("rocmoe.ops")


@cache
def list_pipelines() -> tuple[str, ...]:
    """The names of all pipelines: the modules of rocmoe.ops.pipelines, sorted."""
    return _list_modules("rocmoe.ops.pipelines")


def list_declared() -> tuple[str, ...]:
    """The names of all ops and pipelines: what `load_op` knows."""
    return (*list_ops(), *list_pipelines())


def _list_modules(package: str) -> tuple[str, ...]:
    path = importlib.import_module(package).__path__
    return tuple(sorted(module.name for module in pkgutil.iter_modules(path) if not module.ispkg))


@cache
def load_op(name: str) -> OpSpec:
    """The declaration of an op or a pipeline; an unknown name is a `RocmoeError` with the nearest.

    A pipeline is declared as an op is: it has cases, an oracle and a judge, end to end.
    """
    if name not in list_declared():
        raise unknown("op", name, list_declared())
    package = "rocmoe.ops" if name in list_ops() else "rocmoe.ops.pipelines"
    spec: OpSpec = importlib.import_module(f"{package}.{name}").SPEC
    return spec


def load_pipeline(word: str) -> OpSpec:
    """The pipeline that a word such as `dflash-verify` means; `RocmoeError` for an unknown one."""
    words = {name.replace("_", "-"): name for name in list_pipelines()}
    name = words.get(word.replace("_", "-"))
    if name is None:
        raise unknown("pipeline", word, words)
    return load_op(name)
