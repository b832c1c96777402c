"""Small expressions over the sizes, params and tensors of a case, as launch files hold them.

Python's own grammar, of which only what `FORMS` lists is taken; nothing is evaluated by Python.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rocmoe.ops.core.case import Value
from rocmoe.ops.core.errors import RocmoeError, unknown

FORMS = "numbers, words in quotes, names, + - * / // % << >>, comparisons, A if C else B"

#: Python counts in integers of any length; no launch comes near this.
LARGEST_SHIFT = 64

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
#: Functions of numbers, and how many they take at least.
_FUNCTIONS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "cdiv": (2, lambda a, b: -(-a // b)),
    "min": (2, min),
    "max": (2, max),
}
#: Functions of a tensor, and how many numbers follow its name.
TENSOR_FUNCTIONS: Mapping[str, int] = {"stride": 1, "shape": 1, "itemsize": 0}


class Shaped(Protocol):
    """What is asked of a tensor; strides: in elements."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def strides(self) -> tuple[int, ...]: ...

    @property
    def itemsize(self) -> int: ...


@dataclass(frozen=True)
class Scope:
    """What names stand for."""

    values: Mapping[str, Value] = field(default_factory=dict)
    tensors: Mapping[str, Shaped] = field(default_factory=dict)


@dataclass(frozen=True)
class Expression:
    """An expression that was read.  names: of values; tensors: those it asks for a stride,
    shape or item size."""

    text: str
    tree: ast.expr
    names: frozenset[str]
    tensors: frozenset[str]

    def evaluate(self, scope: Scope) -> Value:
        """Its value.  Raises RocmoeError for a name without a value, and where it has none."""
        try:
            value: Value = _Evaluation(scope).of(self.tree)
        except ZeroDivisionError:
            raise RocmoeError(f"{self.text!r} divides by zero") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise RocmoeError(f"{self.text!r} has no value: {error}") from None
        return value

    def evaluate_count(self, scope: Scope) -> int:
        """Its value, which must be a whole number from 0 up."""
        value = self.evaluate(scope)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise RocmoeError(f"{self.text!r} is {value!r}; wanted a whole number from 0 up")
        return value


def read_expression(given: int | float | str) -> Expression:
    """The expression in a text, or a number as one.  Raises RocmoeError for any other form."""
    text = str(given)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise RocmoeError(f"{text!r} is no expression; wanted {FORMS}") from None
    reading = _Reading(text)
    reading.check(tree)
    return Expression(text, tree, frozenset(reading.names), frozenset(reading.tensors))


class _Reading:
    """Checks the form of an expression and collects its names."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()
        self.tensors: set[str] = set()

    def check(self, node: ast.expr) -> None:
        if isinstance(node, ast.Name):
            self.names.add(node.id)
        elif isinstance(node, ast.Call):
            self._check_call(node)
        elif not self._is_taken(node):
            raise RocmoeError(f"{self.text!r}: {ast.unparse(node)!r} is not taken; wanted {FORMS}")
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self.check(child)

    def _is_taken(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, (bool, int, float, str))
        if isinstance(node, ast.BinOp):
            return type(node.op) in _BINARY
        if isinstance(node, ast.UnaryOp):
            return type(node.op) in _UNARY
        if isinstance(node, ast.Compare):
            return all(type(each) in _COMPARISONS for each in node.ops)
        return isinstance(node, ast.IfExp)

    def _check_call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in {*_FUNCTIONS, *TENSOR_FUNCTIONS}:
            raise RocmoeError(
                f"{self.text!r}: {unknown('function', name, (*_FUNCTIONS, *TENSOR_FUNCTIONS))}"
            )
        arguments = node.args
        if name in TENSOR_FUNCTIONS:
            if not arguments or not isinstance(arguments[0], ast.Name):
                raise RocmoeError(f"{self.text!r}: {name} wants the name of a tensor first")
            self.tensors.add(arguments[0].id)
            arguments = arguments[1:]
            fits = len(arguments) == TENSOR_FUNCTIONS[name]
        else:
            fits = len(arguments) >= _FUNCTIONS[name][0]
            fits = fits and (name != "cdiv" or len(arguments) == 2)
        if not fits or node.keywords:
            raise RocmoeError(f"{self.text!r}: {ast.unparse(node)!r} has too few or many arguments")
        for argument in arguments:
            self.check(argument)


@dataclass(frozen=True)
class _Evaluation:
    """Computes checked trees."""

    scope: Scope

    def of(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self._value(node.id)
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.UnaryOp):
            return _UNARY[type(node.op)](self.of(node.operand))
        if isinstance(node, ast.Compare):
            return self._compare(node)
        if isinstance(node, ast.IfExp):
            return self.of(node.body if self.of(node.test) else node.orelse)
        assert isinstance(node, ast.Call)
        return self._call(node)

    def _value(self, name: str) -> Value:
        if name not in self.scope.values:
            raise unknown("name", name, self.scope.values)
        return self.scope.values[name]

    def _binary(self, node: ast.BinOp) -> Any:
        left, right = self.of(node.left), self.of(node.right)
        if isinstance(left, str) or isinstance(right, str):
            raise TypeError("a word is no number")
        if isinstance(node.op, (ast.LShift, ast.RShift)) and not 0 <= right <= LARGEST_SHIFT:
            raise ValueError(f"a shift by {right}")
        return _BINARY[type(node.op)](left, right)

    def _compare(self, node: ast.Compare) -> bool:
        values = [self.of(each) for each in (node.left, *node.comparators)]
        return all(
            _COMPARISONS[type(compare)](left, right)
            for compare, left, right in zip(node.ops, values, values[1:], strict=False)
        )

    def _call(self, node: ast.Call) -> Any:
        assert isinstance(node.func, ast.Name)
        if node.func.id in _FUNCTIONS:
            return _FUNCTIONS[node.func.id][1](*map(self.of, node.args))
        assert isinstance(node.args[0], ast.Name)
        return self._measure(node.func.id, node.args[0].id, [self.of(a) for a in node.args[1:]])

    def _measure(self, function: str, name: str, axes: Iterable[int]) -> int:
        if name not in self.scope.tensors:
            raise unknown("tensor", name, self.scope.tensors)
        tensor = self.scope.tensors[name]
        if function == "itemsize":
            return tensor.itemsize
        (axis,) = axes
        lengths = tensor.strides if function == "stride" else tensor.shape
        if not 0 <= axis < len(lengths):
            raise ValueError(f"{name} has no axis {axis}, it has {len(lengths)}")
        return lengths[axis]
