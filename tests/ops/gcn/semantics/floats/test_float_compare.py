from __future__ import annotations

import itertools

import numpy as np
import pytest

from rocmoe.ops.gcn.semantics.float_compare import OPERATIONS

# Whether each condition holds when the first is less, equal, greater, unordered.
TRUTH = {
    "f": "0000",
    "lt": "1000",
    "eq": "0100",
    "le": "1100",
    "gt": "0010",
    "lg": "1010",
    "ge": "0110",
    "o": "1110",
    "u": "0001",
    "nge": "1001",
    "nlg": "0101",
    "ngt": "1101",
    "nle": "0011",
    "neq": "1011",
    "nlt": "0111",
    "tru": "1111",
}
# -1, -0, +0, 1, quiet NaN, signalling NaN.
VALUES = {
    "f16": (0xBC00, 0x8000, 0x0000, 0x3C00, 0x7E00, 0x7C01),
    "f32": (0xBF800000, 0x80000000, 0, 0x3F800000, 0x7FC00000, 0x7F800001),
    "f64": (0xBFF << 52, 1 << 63, 0, 0x3FF << 52, 0x7FF8 << 48, 0x7FF << 52 | 1),
}
RANK = (0, 1, 1, 2, None, None)
# One value of each class, in the order of the mask's bits.
CLASSES = {
    "f16": (0x7C01, 0xFE00, 0xFC00, 0xBC00, 0x8001, 0x8000, 0, 0x03FF, 0x0400, 0x7C00),
    "f32": (
        *(0xFF800001, 0x7FC00000, 0xFF800000, 0x80800000, 0x807FFFFF),
        *(0x80000000, 0, 0x00000001, 0x7F7FFFFF, 0x7F800000),
    ),
    "f64": (
        *(0x7FF << 52 | 1, 0x7FF8 << 48, 0xFFF << 52, 0xBFF << 52, 1 << 63 | 1),
        *(1 << 63, 0, 1, 0x3FF << 52, 0x7FF << 52),
    ),
}


def relation(left: int | None, right: int | None) -> int:
    if left is None or right is None:
        return 3
    return 0 if left < right else 1 if left == right else 2


def compare_rows(kind: str, truth: str) -> list:
    pairs = list(itertools.product(zip(VALUES[kind], RANK, strict=True), repeat=2))
    return [((a, b), (int(truth[relation(i, j)]),)) for (a, i), (b, j) in pairs]


def class_rows(kind: str) -> list:
    return [
        ((value, mask), (int(wanted),))
        for bit, value in enumerate(CLASSES[kind])
        for mask, wanted in [(1 << bit, True), (0x3FF & ~(1 << bit), False), (0xFFFFFC00, False)]
    ]


def test_rows(check_rows):
    table = {}
    for prefix, kind in itertools.product(("v_cmp", "v_cmpx"), VALUES):
        table |= {f"{prefix}_{n}_{kind}": compare_rows(kind, truth) for n, truth in TRUTH.items()}
        table[f"{prefix}_class_{kind}"] = class_rows(kind)
    check_rows(OPERATIONS, table)


@pytest.mark.parametrize("name", ["f", "tru", "o", "lg"])
def test_broadcasting(name):
    lanes = np.zeros((3, 64), np.float32)
    assert OPERATIONS[f"v_cmp_{name}_f32"].compute(lanes, np.float32(1)).shape == (3, 64)
