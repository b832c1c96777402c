from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.gcn.semantics.operation import Operation
from rocmoe.ops.gcn.semantics.words import DTYPES

Evaluate = Callable[[Operation, tuple[int, ...]], tuple[int, ...]]


def _operand(kind: str) -> st.SearchStrategy[int]:
    if kind == "bool":
        return st.integers(0, 1)
    size = _size(kind)
    edges = {0, 1, 2, 31, 32, 33, 63, 64, 0x200010, 0x400000, (1 << size) - 1}
    edges |= {1 << (size - 1), (1 << (size - 1)) - 1}
    small = st.sampled_from(sorted(edge for edge in edges if edge < 1 << size))
    return st.one_of(small, st.integers(0, (1 << size) - 1))


def _size(kind: str) -> int:
    return 1 if kind == "bool" else DTYPES[kind].itemsize * 8


def _array(kind: str, bits: int) -> np.ndarray:
    if kind == "bool":
        return np.array([bool(bits)])
    unsigned = np.dtype(f"u{DTYPES[kind].itemsize}")
    return np.array([bits], unsigned).view(DTYPES[kind])


def _bits(kind: str, value: np.ndarray) -> int:
    assert value.dtype == DTYPES[kind], f"a result of {value.dtype}, declared as {kind}"
    return int(value.view(f"u{value.dtype.itemsize}")[0])


@pytest.fixture(scope="session")
def evaluate_bits() -> Evaluate:
    """One operation on the bits of its sources, to the bits of its results."""

    def evaluate(operation: Operation, sources: tuple[int, ...]) -> tuple[int, ...]:
        arrays = [_array(*pair) for pair in zip(operation.sources, sources, strict=True)]
        results = operation.compute(*arrays)
        results = results if isinstance(results, tuple) else (results,)
        return tuple(_bits(*pair) for pair in zip(operation.results, results, strict=True))

    return evaluate


@pytest.fixture(scope="session")
def check_oracle(evaluate_bits: Evaluate) -> Callable[[Operation, Callable[..., Any]], None]:
    """Compares an operation with a function of unbounded integers, reduced to its result types."""

    def check(operation: Operation, oracle: Callable[..., Any]) -> None:
        sizes = [_size(kind) for kind in operation.results]

        @settings(max_examples=40, deadline=None, database=None)
        @given(st.tuples(*(_operand(kind) for kind in operation.sources)))
        def compare(sources: tuple[int, ...]) -> None:
            expected = oracle(*sources)
            expected = expected if isinstance(expected, tuple) else (expected,)
            wrapped = tuple(int(x) % (1 << n) for x, n in zip(expected, sizes, strict=True))
            assert evaluate_bits(operation, sources) == wrapped, [hex(bits) for bits in sources]

        compare()

    return check
