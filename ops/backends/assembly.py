"""Backend `assembly`: a kernel of a code object or an assembly file, named as FILE.toml.

The launch file says how it is launched; see `launch_file` and docs/sanitize.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from rocmoe.ops.core.arithmetic import Expression, Scope
from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import RocmoeError, nearest
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.kernel_launch import LoadedKernel, load_kernel, view_tensor
from rocmoe.ops.core.spec import OpSpec, load_op
from rocmoe.ops.gcn.machine.launch import Tensor

NAME = "assembly"
SUMMARY = "a kernel of a code object or an assembly file: assembly:FILE.toml"
DEVICES = ("sim",)

#: Of a case, beside its sizes and params.
WORDS = ("dtype", "layout", "pattern")


def find_absence() -> str | None:
    """Never absent: whether the files are there is found out by `find`."""
    return None


def serves(op: str) -> bool:
    """Which op a launch file serves is found out by `find`."""
    del op
    return True


def find(spec: OpSpec, variant: str) -> Implementation | None:
    """The kernel of the launch file that `variant` names, None where it serves another op.

    Raises `RocmoeError` for a file that cannot be read or does not fit the op.
    """
    loaded = load_variant(variant)
    op = loaded.file.op
    if op is None:
        path = loaded.file.path
        raise RocmoeError(
            f"{path}: op: missing, so that {spec.name} is not served; wanted an op, or "
            f"rocmoe sanitize {path}"
        )
    if op != spec.name:
        load_op(op)
        return None
    check_binding(spec, loaded)
    return AssembledKernel(
        op=spec.name,
        backend=NAME,
        function=_make_function(spec, loaded, None),
        variant=variant,
        devices=DEVICES,
        refuses=lambda case: _find_unmet(spec, loaded, case),
        spec=spec,
        loaded=loaded,
    )


@dataclass(frozen=True, kw_only=True)
class AssembledKernel(Implementation):
    """A kernel whose launch depends on the case, and that runs on its own architecture alone."""

    spec: OpSpec
    loaded: LoadedKernel

    def find_refusal(self, case: Case, device: Device) -> str | None:
        if device.arch not in (None, self.loaded.arch):
            return f"{self.loaded.program.file} is code for {self.loaded.arch}, found {device}"
        return super().find_refusal(case, device)

    def for_case(self, case: Case) -> Implementation:
        return replace(self, function=_make_function(self.spec, self.loaded, case))


@lru_cache(maxsize=32)
def load_variant(variant: str) -> LoadedKernel:
    """The kernel that FILE.toml launches, or FILE.toml:CODE with other code than it names."""
    if not variant:
        raise RocmoeError("backend assembly wants a launch file: assembly:FILE.toml")
    file, sign, code = variant.partition(".toml:")
    if not sign:
        return load_kernel(Path(variant))
    return load_kernel(Path(f"{file}.toml"), Path(code))


def check_binding(spec: OpSpec, loaded: LoadedKernel) -> None:
    """Raise `RocmoeError` for a name that the op does not have, and for an output left out."""
    file = loaded.file
    tensors = [argument.name for argument in (*spec.inputs, *spec.outputs) if argument.dtype]
    bound = [argument for argument in file.arguments if argument.tensor is not None]
    for argument in bound:
        _check_name(loaded, argument.key, argument.tensor or "", tensors, "tensor", spec)
    named = {argument.tensor for argument in bound}
    for output in spec.outputs:
        if output.name not in named:
            raise file.error("arguments", f"found none for output {output.name}; wanted one")
    sizes = [*spec.sizes, *spec.derived, *spec.params, *WORDS]
    inputs = [argument.name for argument in spec.inputs]
    for key, expression in file.expressions:
        _check_names(loaded, key, expression, [*sizes, *inputs], tensors, spec)
    for requirement in file.requires:
        _check_names(loaded, "requires", requirement, sizes, (), spec)


def _check_names(
    loaded: LoadedKernel,
    key: str,
    expression: Expression,
    names: Iterable[str],
    tensors: Iterable[str],
    spec: OpSpec,
) -> None:
    for name in sorted(expression.names):
        _check_name(loaded, key, name, names, "size, param or scalar input", spec)
    for name in sorted(expression.tensors):
        _check_name(loaded, key, name, tensors, "tensor", spec)


def _check_name(
    loaded: LoadedKernel, key: str, name: str, known: Iterable[str], kind: str, spec: OpSpec
) -> None:
    known = list(known)
    if name not in known:
        hint = nearest(name, known) or f"; known: {', '.join(known) or 'none'}"
        raise loaded.file.error(key, f"found {name!r}, wanted a {kind} of {spec.name}{hint}")


def _find_unmet(spec: OpSpec, loaded: LoadedKernel, case: Case) -> str | None:
    scope = Scope(_describe(spec, case))
    for requirement in loaded.file.requires:
        if not requirement.evaluate(scope):
            return f"{loaded.file.path} requires {requirement.text}"
    return None


def _describe(spec: OpSpec, case: Case) -> dict[str, Value]:
    """What names stand for, as far as the case says it."""
    derived = {name: count(case.sizes) for name, count in spec.derived.items()}
    words = {name: getattr(case, name) for name in WORDS}
    return {**words, **case.params, **derived, **case.sizes}


def _make_function(spec: OpSpec, loaded: LoadedKernel, case: Case | None) -> Callable[..., None]:
    """A destination-passing function of the op's own signature, for one case."""
    described = _describe(spec, case) if case else {}

    def launch(**given: Any) -> None:
        memories: dict[int, Any] = {}
        values = dict(described)
        tensors: dict[str, Tensor | None] = {}
        for argument in (*spec.inputs, *spec.outputs):
            value = given[argument.name]
            if argument.dtype and hasattr(value, "untyped_storage"):
                tensors[argument.name] = view_tensor(argument.name, value, memories)
            elif argument.dtype and value is None:
                tensors[argument.name] = None
            else:
                values[argument.name] = value
        loaded.run(values, tensors)

    kind = inspect.Parameter.KEYWORD_ONLY
    names = [argument.name for argument in (*spec.inputs, *spec.outputs)]
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    launch.__name__ = loaded.kernel.name
    launch.__signature__ = signature  # type: ignore[attr-defined]
    return launch
