"""Launch files: how the kernel of a code object or an assembly file is launched, as TOML.

A file says where the code is, grid and block, and each argument with its offset in the kernarg
segment.  Numbers may be expressions (see `arithmetic`) over what the launch is for: an op's case,
or the tensors that the file itself declares.  The format is documented in docs/sanitize.md.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rocmoe.ops.core.arithmetic import Expression, read_expression
from rocmoe.ops.core.element_types import ELEMENTS, SCALARS
from rocmoe.ops.core.errors import RocmoeError, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILLS = ("zeros", "ones", "arange", "random", "poison")
POINTER_BYTES = 8

_TOP = (
    *("op", "code", "symbol", "grid", "block", "lds_bytes", "kernarg_bytes"),
    *("requires", "cases", "arguments", "tensors"),
)
_ARGUMENT = ("offset", "tensor", "workspace", "value", "type")
_TENSOR = ("name", "shape", "dtype", "fill", "seed")


@dataclass(frozen=True)
class BoundArgument:
    """One argument: a tensor's address, scratch memory of so many bytes, or a scalar of a type.

    key: where it stands in the file, for errors.
    """

    key: str
    offset: int
    tensor: str | None = None
    workspace: Expression | None = None
    value: Expression | None = None
    type: str = ""

    @property
    def size(self) -> int:
        """Bytes that it takes of the kernarg segment."""
        return SCALARS[self.type] if self.value else POINTER_BYTES

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(each for each in (self.workspace, self.value) if each)


@dataclass(frozen=True)
class DeclaredTensor:
    """A tensor of a kernel that serves no op, rows one after another; seed: of fill random."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    fill: str
    seed: int = 0

    @property
    def itemsize(self) -> int:
        return ELEMENTS[self.dtype]

    @property
    def strides(self) -> tuple[int, ...]:
        """In elements."""
        strides = [1]
        for length in reversed(self.shape[1:]):
            strides.insert(0, strides[0] * length)
        return tuple(strides[: len(self.shape)])


@dataclass(frozen=True)
class LaunchFile:
    """op: whose cases the kernel serves, None where it serves no op and `tensors` are its own.

    code: path of the code.  requires: what must hold of a case.  cases: those to run by default.
    """

    path: Path
    code: Path
    op: str | None
    symbol: str | None
    grid: tuple[Expression, ...]
    block: tuple[Expression, ...]
    lds_bytes: Expression
    kernarg_bytes: int | None
    arguments: tuple[BoundArgument, ...]
    requires: tuple[Expression, ...] = ()
    cases: tuple[str, ...] = ()
    tensors: tuple[DeclaredTensor, ...] = ()

    @property
    def expressions(self) -> Iterable[tuple[str, Expression]]:
        """All that are evaluated at a launch, with their keys."""
        for key, expressions in (("grid", self.grid), ("block", self.block)):
            yield from ((key, each) for each in expressions)
        yield "lds_bytes", self.lds_bytes
        for argument in self.arguments:
            yield from ((argument.key, each) for each in argument.expressions)

    def error(self, key: str, problem: str) -> RocmoeError:
        return _error(self.path, key, problem)


def read_launch_file(path: Path, code: Path | None = None) -> LaunchFile:
    """The launch file at a path; code: other code than it names.

    Raises RocmoeError, one line of file, key, what was found and what was wanted.
    """
    table = _Table(path, "", _read_toml(path), _TOP)
    tensors = tuple(map(_read_tensor, table.tables("tensors", _TENSOR)))
    op = table.text("op", optional=True)
    read = LaunchFile(
        path=path,
        code=code or path.parent / (table.text("code") or ""),
        op=op,
        symbol=table.text("symbol", optional=True),
        grid=table.sizes("grid"),
        block=table.sizes("block"),
        lds_bytes=table.expression("lds_bytes", default=0),
        kernarg_bytes=table.count("kernarg_bytes", optional=True),
        arguments=tuple(map(_read_argument, table.tables("arguments", _ARGUMENT))),
        requires=tuple(table.expressions("requires")),
        cases=tuple(table.texts("cases")),
        tensors=tensors,
    )
    _check_arguments(read)
    _check_tensors(read)
    return read


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        beside = [entry.name for entry in path.parent.glob("*.toml")]
        raise RocmoeError(f"no launch file {path}{nearest(path.name, beside)}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise RocmoeError(f"launch file {path} cannot be read: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise RocmoeError(f"{path} is not TOML: {error}") from None
    return document


def _error(path: Path, key: str, problem: str) -> RocmoeError:
    return RocmoeError(f"{path}: {key}: {problem}")


@dataclass(frozen=True)
class _Table:
    """A table of the file; prefix: the keys above it, with a dot behind."""

    path: Path
    prefix: str
    values: Mapping[str, Any]
    known: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for key in self.values:
            if key not in self.known:
                hint = nearest(key, self.known) or f"; known: {', '.join(self.known)}"
                raise self.error(key, f"no such key{hint}")

    def error(self, key: str, problem: str) -> RocmoeError:
        return _error(self.path, self.prefix + key, problem)

    def take(self, key: str, kind: type | tuple[type, ...], words: str, optional: bool) -> Any:
        value = self.values.get(key)
        if value is None and optional:
            return None
        if value is None:
            raise self.error(key, f"missing; wanted {words}")
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise self.error(key, f"found {value!r}, wanted {words}")
        return value

    def text(self, key: str, optional: bool = False) -> str | None:
        value: str | None = self.take(key, str, "a text", optional)
        if value is not None and not (value and value.isprintable()):
            raise self.error(key, f"found {value!r}, wanted a text")
        return value

    def word(self, key: str, words: Iterable[str]) -> str:
        value: str = self.take(key, str, f"one of {', '.join(words)}", False)
        if value not in words:
            hint = nearest(value, words)
            raise self.error(key, f"found {value!r}, wanted one of {', '.join(words)}{hint}")
        return value

    def count(self, key: str, optional: bool = False) -> int | None:
        words = "a whole number from 0 up"
        value: int | None = self.take(key, int, words, optional)
        if value is not None and value < 0:
            raise self.error(key, f"found {value}, wanted {words}")
        return value

    def expression(self, key: str, default: int | None = None) -> Expression:
        value = self.take(key, (int, float, str), "a number or an expression", default is not None)
        return self._read(key, default if value is None and default is not None else value)

    def expressions(self, key: str) -> list[Expression]:
        return [self._read(key, text) for text in self.texts(key)]

    def sizes(self, key: str) -> tuple[Expression, ...]:
        words = "one to three whole numbers or expressions"
        values = self.take(key, list, words, False)
        kinds = all(isinstance(v, (int, str)) and not isinstance(v, bool) for v in values)
        if not 1 <= len(values) <= 3 or not kinds:
            raise self.error(key, f"found {values!r}, wanted {words}")
        return tuple(self._read(key, value) for value in values)

    def texts(self, key: str) -> list[str]:
        values = self.take(key, list, "a list of texts", True) or []
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, f"found {values!r}, wanted a list of texts")
        return list(values)

    def tables(self, key: str, known: tuple[str, ...]) -> list[_Table]:
        values = self.take(key, list, f"[[{key}]] tables", True) or []
        if not all(isinstance(value, dict) for value in values):
            raise self.error(key, f"found {values!r}, wanted [[{key}]] tables")
        return [
            _Table(self.path, f"{key}[{number}].", value, known)
            for number, value in enumerate(values)
        ]

    def _read(self, key: str, value: int | float | str) -> Expression:
        try:
            return read_expression(value)
        except RocmoeError as error:
            raise self.error(key, str(error)) from None


def _read_argument(table: _Table) -> BoundArgument:
    given = [key for key in ("tensor", "workspace", "value") if key in table.values]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise table.error(
            "offset" if not given else given[0],
            f"found {found}, wanted exactly one of tensor, workspace, value",
        )
    if (given[0] == "value") != ("type" in table.values):
        problem = "missing beside value" if given[0] == "value" else f"found beside {given[0]}"
        raise table.error("type", f"{problem}; wanted value with one of {', '.join(SCALARS)}")
    offset = table.count("offset")
    assert offset is not None
    return BoundArgument(
        key=f"{table.prefix}{given[0]}",
        offset=offset,
        tensor=table.text("tensor", optional=True),
        workspace=table.expression("workspace") if given[0] == "workspace" else None,
        value=table.expression("value") if given[0] == "value" else None,
        type=table.word("type", SCALARS) if given[0] == "value" else "",
    )


def _read_tensor(table: _Table) -> DeclaredTensor:
    shape = table.take("shape", list, "a list of whole numbers", False)
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape):
        raise table.error("shape", f"found {shape!r}, wanted a list of whole numbers from 0 up")
    name = table.text("name") or ""
    if not name.isidentifier():
        raise table.error("name", f"found {name!r}, wanted a name")
    return DeclaredTensor(
        name=name,
        shape=tuple(shape),
        dtype=table.word("dtype", ELEMENTS),
        fill=table.word("fill", FILLS),
        seed=table.count("seed", optional=True) or 0,
    )


def _check_arguments(read: LaunchFile) -> None:
    ordered = sorted(read.arguments, key=lambda argument: argument.offset)
    for before, argument in itertools.pairwise(ordered):
        if argument.offset < before.offset + before.size:
            raise read.error(
                argument.key,
                f"found offset {argument.offset}, inside {before.key} at offset {before.offset} "
                f"of {before.size} bytes; wanted {before.offset + before.size} or more",
            )


def _check_tensors(read: LaunchFile) -> None:
    if read.op is not None:
        if read.tensors:
            raise read.error("tensors", f"found beside op; wanted the tensors of {read.op} alone")
        return
    for key, given in (("cases", read.cases), ("requires", read.requires)):
        if given:
            raise read.error(key, "found without op; wanted the op whose cases are meant")
    if not read.tensors:
        raise read.error("op", "missing; wanted an op, or [[tensors]] where the kernel serves none")
    names = [tensor.name for tensor in read.tensors]
    bound = {argument.tensor for argument in read.arguments}
    for number, name in enumerate(names):
        if name in names[:number]:
            raise read.error(f"tensors[{number}].name", f"found {name!r} twice")
        if name not in bound:
            raise read.error(
                f"tensors[{number}].name", f"{name!r} is bound by no argument; wanted one or more"
            )
