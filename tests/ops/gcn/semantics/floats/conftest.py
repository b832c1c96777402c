from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from rocmoe.ops.gcn.semantics.operation import ARCHS, Operation

WORD = {"bool": "?", "bf16": "u2"}
Row = tuple[tuple[int, ...], tuple[int, ...]]


def _array(kind: str, bits: list[int]) -> np.ndarray:
    if kind in WORD:
        return np.array(bits, WORD[kind])
    size = int(kind[1:]) // 8
    return np.array(bits, f"u{size}").view(f"{kind[0]}{size}")


def _bits(kind: str, values: np.ndarray) -> list[int]:
    assert values.dtype == _array(kind, [0]).dtype, f"{values.dtype} declared as {kind}"
    return (
        values.astype(int).tolist()
        if kind == "bool"
        else values.view(f"u{values.dtype.itemsize}").tolist()
    )


@pytest.fixture(scope="session")
def evaluate() -> Callable[..., list[tuple[int, ...]]]:
    """An operation on rows of source bits, to rows of result bits; sources must be left alone."""

    def run(operation: Operation, rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        columns = zip(*rows, strict=True)
        sources = [_array(*pair) for pair in zip(operation.sources, columns, strict=True)]
        before = [source.copy() for source in sources]
        results = operation.compute(*sources)
        results = results if isinstance(results, tuple) else (results,)
        for source, copy in zip(sources, before, strict=True):
            assert source.tobytes() == copy.tobytes(), f"{operation.name} changed a source"
        made = [_bits(*pair) for pair in zip(operation.results, results, strict=True)]
        return list(zip(*made, strict=True))

    return run


@pytest.fixture(scope="session")
def check_rows(evaluate) -> Callable[[Mapping[str, Operation], Mapping[str, list[Row]]], None]:
    """Every operation has rows, every row has an operation, and the bits are those expected."""

    def check(operations: Mapping[str, Operation], table: Mapping[str, list[Row]]) -> None:
        assert set(table) == set(operations)
        wrong = []
        for name, rows in table.items():
            operation = operations[name]
            assert operation.name == name
            assert operation.cite
            assert set(operation.archs) <= set(ARCHS)
            made = evaluate(operation, [sources for sources, _ in rows])
            wrong += [
                f"{name} {[hex(s) for s in sources]}: {[hex(m) for m in got]}, not "
                f"{[hex(e) for e in expected]}"
                for (sources, expected), got in zip(rows, made, strict=True)
                if got != expected
            ]
        assert not wrong, "\n".join(wrong)

    return check
