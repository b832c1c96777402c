"""Integer operations against literal rows: `name: source bits = result bits | ...`, in hexadecimal.

The rows hold the examples that the ISA documents give (absolute difference, bit searches, counts)
and the edges: signs, carries, shift counts from the width on, empty and full fields.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.semantics import (
    absolute_differences,
    bits,
    integer,
    integer16,
    integer64,
    integer_compare,
    packed_integer,
    scalar,
    scalar_bits,
    scalar_compare,
)
from rocmoe.ops.gcn.semantics.operation import ARCHS, Operation, table
from rocmoe.ops.gcn.semantics.words import DTYPES

ROWS = Path(__file__).parent / "rows"
SCALAR = (scalar, scalar_bits)
VECTOR = (integer, integer16, integer64, bits, absolute_differences, packed_integer)
COMPARISONS = (scalar_compare, integer_compare)


def merge(modules: tuple[Any, ...], attribute: str) -> Mapping[str, Operation]:
    return table(*(each for module in modules for each in getattr(module, attribute, {}).values()))


TABLES = {
    "scalar": merge(SCALAR, "OPERATIONS"),
    "vector": merge(VECTOR, "OPERATIONS"),
    "vector_clamp": merge(VECTOR, "SATURATING"),
}


def hexadecimal(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


def read_rows(label: str) -> dict[str, list[tuple[tuple[int, ...], tuple[int, ...]]]]:
    rows = {}
    for line in (ROWS / f"{label}.txt").read_text().splitlines():
        name, _, cells = line.partition(":")
        pairs = [cell.split("=") for cell in cells.split("|")]
        rows[name] = [(hexadecimal(left), hexadecimal(right)) for left, right in pairs]
    return rows


READ = {label: read_rows(label) for label in TABLES}
CASES = [(label, name) for label, rows in READ.items() for name in rows]


@pytest.mark.parametrize("label", TABLES)
def test_every_operation_has_a_row(label: str) -> None:
    assert set(READ[label]) == set(TABLES[label])


@pytest.mark.parametrize(("label", "name"), CASES, ids="-".join)
def test_rows(label: str, name: str, evaluate_bits: Any) -> None:
    for sources, expected in READ[label][name]:
        found = evaluate_bits(TABLES[label][name], sources)
        assert found == expected, f"{name} {[hex(bits) for bits in sources]}: {found}"


EVERY = merge((*SCALAR, *VECTOR, *COMPARISONS), "OPERATIONS")
# gfx942 brought 64-bit moves and shift-adds, gfx950 three-source truth tables and its packing.
NEWER = {
    ("gfx942", "gfx950"): {"v_mov_b64", "v_lshl_add_u64"},
    ("gfx950",): {
        "v_prng_b32",
        "v_bitop3_b32",
        "v_bitop3_b16",
        "v_ashr_pk_i8_i32",
        "v_ashr_pk_u8_i32",
    },
}


def test_archs() -> None:
    for archs, names in NEWER.items():
        assert {name for name, each in EVERY.items() if each.archs == archs} == names
    newer = set().union(*NEWER.values())
    assert all(each.archs == ARCHS for name, each in EVERY.items() if name not in newer)


# Equal shapes let a result be a source itself, mixed ones need broadcasting.
@pytest.mark.parametrize("shapes", [((3, 4),) * 3, ((3, 1), (4,), ())], ids=["equal", "mixed"])
@pytest.mark.parametrize("name", sorted(EVERY))
def test_contract_of_shapes_and_arguments(name: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Results have the broadcast shape, share no memory, and leave the sources unchanged."""
    operation = EVERY[name]
    sources = [
        np.full(shapes[at % 3], 1, DTYPES[kind]) for at, kind in enumerate(operation.sources)
    ]
    kept = [source.copy() for source in sources]
    shape = np.broadcast_shapes(*(source.shape for source in sources))
    results = operation.compute(*sources)
    results = results if isinstance(results, tuple) else (results,)
    for first, second in itertools.combinations(results, 2):
        assert not np.shares_memory(first, second)
    for result in results:
        assert result.shape == shape
        assert not any(np.shares_memory(result, source) for source in sources)
    for source, before in zip(sources, kept, strict=True):
        np.testing.assert_array_equal(source, before)
    scalars = operation.compute(*(DTYPES[kind].type(1) for kind in operation.sources))
    for result in scalars if isinstance(scalars, tuple) else (scalars,):
        assert result.shape == ()


@pytest.mark.parametrize("name", sorted(EVERY))
def test_extremes_do_not_warn(name: str) -> None:
    """NumPy's scalars warn on overflow, and warnings are errors here."""
    operation = EVERY[name]
    for pick in ("min", "max"):
        values = [
            DTYPES[kind].type(pick == "max" if kind == "bool" else getattr(np.iinfo(kind_of), pick))
            for kind in operation.sources
            for kind_of in [np.dtype(np.uint8) if kind == "bool" else DTYPES[kind]]
        ]
        results = operation.compute(*values)
        results = results if isinstance(results, tuple) else (results,)
        assert [each.dtype for each in results] == [DTYPES[kind] for kind in operation.results]


def test_operands_of_the_clamped_operation_are_the_operations() -> None:
    for name, clamped in TABLES["vector_clamp"].items():
        operation = TABLES["vector"][name]
        assert (clamped.sources, clamped.results) == (operation.sources, operation.results)
        assert clamped.archs == operation.archs


def test_a_wave_of_sums_keeps_lane_and_carry_together() -> None:
    low = np.array([[0xFFFFFFFF, 5], [0x80000000, 0]], np.uint32)
    total, carry = integer.OPERATIONS["v_add_co_u32"].compute(low, np.uint32(1))
    np.testing.assert_array_equal(total, [[0, 6], [0x80000001, 1]])
    np.testing.assert_array_equal(carry, [[True, False], [False, False]])
