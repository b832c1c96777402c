"""Integer comparisons: a literal truth value for each predicate, type and pair of operands."""

from __future__ import annotations

import operator
from typing import Any

import pytest

from rocmoe.ops.gcn.semantics import integer_compare, scalar_compare

# Pairs of bits: equal, -1 and 1, the two extremes of a sign, 0 and the top bit, neighbours.
PAIRS = ["0 0", "-1 1", "1 -1", "max min", "min max", "min min", "0 min", "6 7"]
SIGNED = {
    "f": "00000000",
    "lt": "01001001",
    "eq": "10000100",
    "le": "11001101",
    "gt": "00110010",
    "ne": "01111011",
    "ge": "10110110",
    "t": "11111111",
}
# -1 is the largest, and the top bit alone is above every number that lacks it.
UNSIGNED = {
    "f": "00000000",
    "lt": "00110011",
    "eq": "10000100",
    "le": "10110111",
    "gt": "01001000",
    "ne": "01111011",
    "ge": "11001100",
    "t": "11111111",
}


def operands(pair: str, size: int) -> tuple[int, int]:
    named = {"-1": (1 << size) - 1, "min": 1 << (size - 1), "max": (1 << (size - 1)) - 1}
    left, right = (named[word] if word in named else int(word) for word in pair.split())
    return left, right


def expected_bits(predicate: str, kind: str) -> list[int]:
    return [int(bit) for bit in (SIGNED if kind[0] == "i" else UNSIGNED)[predicate]]


VECTOR = [(predicate, kind) for kind in integer_compare.KINDS for predicate in SIGNED]


@pytest.mark.parametrize(("predicate", "kind"), VECTOR, ids="-".join)
def test_vector_comparison(predicate: str, kind: str, evaluate_bits: Any) -> None:
    plain = integer_compare.OPERATIONS[f"v_cmp_{predicate}_{kind}"]
    masking = integer_compare.OPERATIONS[f"v_cmpx_{predicate}_{kind}"]
    pairs = [operands(pair, int(kind[1:])) for pair in PAIRS]
    expected = expected_bits(predicate, kind)
    assert [evaluate_bits(plain, pair) for pair in pairs] == [(bit,) for bit in expected]
    assert [evaluate_bits(masking, pair) for pair in pairs] == [(bit, bit) for bit in expected]


def test_no_vector_comparison_lacks_a_row() -> None:
    named = {f"v_{stem}_{p}_{kind}" for stem in ("cmp", "cmpx") for p, kind in VECTOR}
    assert named == set(integer_compare.OPERATIONS)


SCALAR_PREDICATES = {"eq": "eq", "lg": "ne", "gt": "gt", "ge": "ge", "lt": "lt", "le": "le"}
SCALAR = [(name, kind) for name in SCALAR_PREDICATES for kind in ("i32", "u32")]
SCALAR += [("eq", "u64"), ("lg", "u64")]


@pytest.mark.parametrize(("name", "kind"), SCALAR, ids="-".join)
def test_scalar_comparison(name: str, kind: str, evaluate_bits: Any) -> None:
    operation = scalar_compare.OPERATIONS[f"s_cmp_{name}_{kind}"]
    found = [evaluate_bits(operation, operands(pair, int(kind[1:])))[0] for pair in PAIRS]
    assert found == expected_bits(SCALAR_PREDICATES[name], kind)


# Register, 16-bit constant, and the order of the two: the constant has the comparison's sign.
CONSTANTS = {
    "i32": [(0xFFFFFFFF, 0xFFFF, 0), (0xFFFF, 0xFFFF, 1), (0xFFFF8000, 0x8000, 0), (5, 6, -1)],
    "u32": [(0xFFFFFFFF, 0xFFFF, 1), (0xFFFF, 0xFFFF, 0), (0x7FFF, 0x8000, -1), (5, 6, -1)],
}
ORDERS = {
    "eq": operator.eq,
    "lg": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


@pytest.mark.parametrize("kind", CONSTANTS)
@pytest.mark.parametrize("name", ORDERS)
def test_scalar_comparison_with_a_constant(name: str, kind: str, evaluate_bits: Any) -> None:
    operation = scalar_compare.OPERATIONS[f"s_cmpk_{name}_{kind}"]
    for register, constant, order in CONSTANTS[kind]:
        assert evaluate_bits(operation, (register, constant)) == (ORDERS[name](order, 0),)


BIT_TESTS = [
    ("b32", 0x80000001, 0, 1),
    ("b32", 0x80000001, 31, 1),
    ("b32", 0x80000001, 32, 1),
    ("b32", 0x80000001, 33, 0),
    ("b64", 0x8000000000000001, 63, 1),
    ("b64", 0x8000000000000001, 64, 1),
    ("b64", 0x8000000000000001, 32, 0),
]


@pytest.mark.parametrize(("kind", "word", "index", "bit"), BIT_TESTS)
def test_bit_test(kind: str, word: int, index: int, bit: int, evaluate_bits: Any) -> None:
    assert evaluate_bits(scalar_compare.OPERATIONS[f"s_bitcmp1_{kind}"], (word, index)) == (bit,)
    assert evaluate_bits(scalar_compare.OPERATIONS[f"s_bitcmp0_{kind}"], (word, index)) == (
        1 - bit,
    )


def test_no_scalar_comparison_lacks_a_row() -> None:
    named = {f"s_cmp_{name}_{kind}" for name, kind in SCALAR}
    named |= {f"s_cmpk_{name}_{kind}" for name in ORDERS for kind in CONSTANTS}
    named |= {f"s_bitcmp{bit}_b{size}" for bit in (0, 1) for size in (32, 64)}
    assert named == set(scalar_compare.OPERATIONS)


COMPARE = {
    "f": lambda a, b: False,
    "lt": operator.lt,
    "eq": operator.eq,
    "le": operator.le,
    "gt": operator.gt,
    "ne": operator.ne,
    "ge": operator.ge,
    "t": lambda a, b: True,
}


@pytest.mark.parametrize(("predicate", "kind"), VECTOR, ids="-".join)
def test_vector_comparison_is_that_of_numbers(predicate: str, kind: str, check_oracle: Any) -> None:
    size, is_signed = int(kind[1:]), kind[0] == "i"

    def value(bits: int) -> int:
        return bits - (bits >> (size - 1) << size) if is_signed else bits

    check_oracle(
        integer_compare.OPERATIONS[f"v_cmp_{predicate}_{kind}"],
        lambda a, b: COMPARE[predicate](value(a), value(b)),
    )
