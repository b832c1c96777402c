"""Arithmetic on named numbers, as metrics are defined: + - * / and parentheses."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import cache

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@cache
def parse_expression(text: str) -> ast.expr:
    """The tree of an expression; ValueError where it has more than arithmetic."""
    tree = ast.parse(text, mode="eval").body
    list_names(tree)
    return tree


def list_names(node: ast.expr) -> list[str]:
    """The names in an expression, in their order, each once."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return []
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return list(dict.fromkeys(list_names(node.left) + list_names(node.right)))
    raise ValueError(f"more than arithmetic: {ast.unparse(node)}")


def evaluate(node: ast.expr, values: Mapping[str, float]) -> float:
    """What it comes to; KeyError for a name without a value, ZeroDivisionError."""
    if isinstance(node, ast.BinOp):
        left, right = evaluate(node.left, values), evaluate(node.right, values)
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Name):
        return values[node.id]
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, (int, float))
    return float(node.value)
