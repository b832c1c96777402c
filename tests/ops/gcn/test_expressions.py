"""Expressions of the assembler: values as LLVM 19 assembles them, and names defined late."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.gcn.expressions import (
    Constants,
    ExpressionError,
    UnknownNameError,
    evaluate,
    find_names,
)

VALUES = [
    ("4|1+1", 6),
    ("7-2*3&1", 7),
    ("1<<2+1", 5),
    ("-7/2", -3),
    ("-7%3", -1),
    ("2-1-1", 0),
    ("!5+~0", -1),
    ("017", 15),
    ("0b101", 5),
    ("0xfF", 255),
    ("(1+2)*3", 9),
    ("max(1, 7, 3)", 7),
    ("0+max(5)", 5),
    ("or(1, 4, 8)", 13),
    ("alignto(13, 8)", 16),
    ("totalnumvgprs(0, 13)", 13),
    ("totalnumvgprs(8, 13)", 24),
    ("extrasgprs(1, 0, 0)", 2),
    ("extrasgprs(1, 1, 0)", 6),
]


def _unknown(name: str) -> int:
    raise UnknownNameError(name)


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_evaluates(text: str, value: int) -> None:
    assert evaluate(text, _unknown) == value


@pytest.mark.parametrize("text", ["", "1 +", "(1", "1)", "1 2", "* 3", "1/0", "max(1", "4 # 3"])
def test_refuses_what_is_no_expression(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text, _unknown)


def test_refuses_functions_it_does_not_know() -> None:
    with pytest.raises(UnknownNameError, match="occupancy"):
        evaluate("occupancy(1, 2)", _unknown)
    with pytest.raises(ExpressionError, match="does not take 1"):
        evaluate("alignto(1)", _unknown)


def test_constants_may_be_defined_again_and_later() -> None:
    constants = Constants()
    constants.define("i", "1")
    constants.define("i", "i*2+1")
    constants.define("caller", "max(own, callee)")
    assert constants.value_of("i") == 3
    with pytest.raises(UnknownNameError, match="own"):
        constants.value_of("caller")
    constants.define("own", "2")
    constants.define("callee", "5")
    assert constants.resolve() == {"i": 3, "own": 2, "callee": 5, "caller": 5}


def test_a_constant_defined_by_itself_has_no_value() -> None:
    constants = Constants()
    constants.define("a", "b + 1")
    constants.define("b", "a + 1")
    with pytest.raises(UnknownNameError):
        constants.value_of("a")
    assert constants.resolve() == {}


def test_finds_names() -> None:
    assert find_names("(.LBB0_4-.Lpost_getpc0)>>32") == (".LBB0_4", ".Lpost_getpc0")


_SUMS = st.recursive(
    st.integers(0, 1000).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({''.join(t)})"),
)


@settings(max_examples=100, deadline=None)
@given(_SUMS)
def test_agrees_with_python_where_brackets_say_the_order(text: str) -> None:
    assert evaluate(text, _unknown) == eval(text)
