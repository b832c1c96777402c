"""Matrix instructions: registers to matrices and back, against a plain product.

Layouts as AMD's matrix instruction calculator prints them: lane l holds row l % S of A (column of
B), and consecutive k; of D, rows in fours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError

Execute = Callable[..., Any]
VALUES = (-2, -1, 0, 1, 2)
FNUZ = {-2: 0xC8, -1: 0xC0, 0: 0, 1: 0x40, 2: 0x48}
#: Codes of VALUES as fp8 and bf8, and how many bytes each type has.
CODES: dict[tuple[str, str], dict[int, int]] = {
    ("gfx942", "fp8"): FNUZ,
    ("gfx942", "bf8"): {-2: 0xC4, -1: 0xC0, 0: 0, 1: 0x40, 2: 0x44},
    ("gfx950", "fp8"): {-2: 0xC0, -1: 0xB8, 0: 0, 1: 0x38, 2: 0x40},
    ("gfx950", "bf8"): {-2: 0xC0, -1: 0xBC, 0: 0, 1: 0x3C, 2: 0x40},
}
BYTES = {"f64": 8, "f32": 4, "xf32": 4, "f16": 2, "bf16": 2, "i8": 1, "fp8": 1, "bf8": 1}


def _encode(values: np.ndarray, kind: str, arch: str) -> np.ndarray:
    """Small whole numbers as bytes, in their order."""
    if kind in ("fp8", "bf8"):
        table = CODES[arch, kind]
        return np.array([table[int(value)] for value in values.ravel()], np.uint8)
    if kind == "bf16":
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").view(np.uint8)
    dtype = {"f64": "<f8", "f32": "<f4", "xf32": "<f4", "f16": "<f2", "i8": "<i1"}[kind]
    return np.ascontiguousarray(values.astype(dtype)).view(np.uint8)


def _source(matrix: np.ndarray, kind: str, arch: str) -> np.ndarray:
    """Registers u32 [n, 64] of A as [block, row, k], or of B as [block, column, k]."""
    blocks, size, depth = matrix.shape
    places = size * depth * blocks // 64
    lanes = []
    for lane in range(64):
        group = lane // size
        first = group // blocks * places
        row = matrix[group % blocks, lane % size, first : first + places]
        data = _encode(row, kind, arch)
        lanes.append(np.concatenate([data, np.zeros(-len(data) % 4, np.uint8)]).view("<u4"))
    return np.array(lanes).T


def _places(size: int, blocks: int, kind: str) -> Iterator[tuple[int, int, int, int, int]]:
    """Of every element of D: place in the lane, lane, block, row, column."""
    for lane in range(64):
        for place in range(size * size * blocks // 64):
            if kind == "f64" and size == 4:
                yield place, lane, lane // 4 % 4, lane // 16, lane % 4
            elif kind == "f64":
                yield place, lane, 0, 4 * place + lane // 16, lane % 16
            elif size == 4:
                yield place, lane, lane // 4, place, lane % 4
            elif size == 16:
                yield place, lane, place // 4, 4 * (lane // 16) + place % 4, lane % 16
            else:
                row = 8 * (place % 16 // 4) + 4 * (lane // 32) + place % 4
                yield place, lane, place // 16, row, lane % 32


def _result(matrix: np.ndarray, kind: str) -> np.ndarray:
    """Registers u32 [n, 64] of C or D as [block, row, column]."""
    blocks, size, _ = matrix.shape
    dtype = {"f64": "<f8", "i8": "<i4"}.get(kind, "<f4")
    elements = np.zeros((64, size * size * blocks // 64), dtype)
    for place, lane, block, row, column in _places(size, blocks, kind):
        elements[lane, place] = matrix[block, row, column]
    return elements.view("<u4").T


def _registers(file: str, first: int, words: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{file}{first + at}": row for at, row in enumerate(words)}


def _span(file: str, first: int, words: np.ndarray) -> str:
    count = len(words)
    return f"{file}[{first}:{first + count - 1}]" if count > 1 else f"{file}{first}"


SHAPES = [
    ("gfx90a", "v_mfma_f32_32x32x2f32", 32, 2, 1, "f32", "f32"),
    ("gfx90a", "v_mfma_f32_32x32x1f32", 32, 1, 2, "f32", "f32"),
    ("gfx90a", "v_mfma_f32_16x16x16f16", 16, 16, 1, "f16", "f16"),
    ("gfx90a", "v_mfma_f32_32x32x4bf16", 32, 4, 1, "bf16", "bf16"),
    ("gfx90a", "v_mfma_f32_32x32x8bf16_1k", 32, 8, 1, "bf16", "bf16"),
    ("gfx90a", "v_mfma_f32_32x32x4bf16_1k", 32, 4, 2, "bf16", "bf16"),
    ("gfx90a", "v_mfma_i32_16x16x16i8", 16, 16, 1, "i8", "i8"),
    ("gfx90a", "v_mfma_f64_16x16x4f64", 16, 4, 1, "f64", "f64"),
    ("gfx90a", "v_mfma_f64_4x4x4f64", 4, 4, 4, "f64", "f64"),
    ("gfx942", "v_mfma_f32_4x4x1_16b_f32", 4, 1, 16, "f32", "f32"),
    ("gfx942", "v_mfma_f32_16x16x4_4b_f16", 16, 4, 4, "f16", "f16"),
    ("gfx942", "v_mfma_f32_32x32x8_bf16", 32, 8, 1, "bf16", "bf16"),
    ("gfx942", "v_mfma_f32_32x32x8bf16_1k", 32, 8, 1, "bf16", "bf16"),
    ("gfx942", "v_mfma_f32_32x32x4bf16_1k", 32, 4, 2, "bf16", "bf16"),
    ("gfx942", "v_mfma_f32_32x32x8f16", 32, 8, 1, "f16", "f16"),
    ("gfx942", "v_mfma_i32_32x32x16_i8", 32, 16, 1, "i8", "i8"),
    ("gfx942", "v_mfma_f32_16x16x8_xf32", 16, 8, 1, "xf32", "xf32"),
    ("gfx942", "v_mfma_f32_16x16x32_fp8_bf8", 16, 32, 1, "fp8", "bf8"),
    ("gfx942", "v_mfma_f64_16x16x4_f64", 16, 4, 1, "f64", "f64"),
    ("gfx950", "v_mfma_f32_16x16x32_f16", 16, 32, 1, "f16", "f16"),
    ("gfx950", "v_mfma_f32_32x32x16_bf16", 32, 16, 1, "bf16", "bf16"),
    ("gfx950", "v_mfma_i32_16x16x64_i8", 16, 64, 1, "i8", "i8"),
    ("gfx950", "v_mfma_f32_32x32x16_bf8_fp8", 32, 16, 1, "bf8", "fp8"),
]


@pytest.mark.parametrize(("arch", "name", "size", "depth", "blocks", "left", "right"), SHAPES)
def test_product(
    arch: str, name: str, size: int, depth: int, blocks: int, left: str, right: str,
    execute: Execute,
) -> None:  # fmt: skip
    """Of v and a registers, with C in accumulators and with one that is D; EXEC does not matter."""
    random = np.random.default_rng(size + depth)
    a, b = random.choice(VALUES, (2, blocks, size, depth))
    c = random.integers(-50, 50, (blocks, size, size))
    product = np.einsum("bik,bjk->bij", a, b)
    a_words, b_words = _source(a, left, arch), _source(b, right, arch)
    c_words, wanted = _result(c, left), _result(product + c, left)
    before = {
        **_registers("v", 64, a_words),
        **_registers("a", 96, b_words),
        **_registers("a", 0, c_words),
        "exec": 0x123,
    }
    sources = f"{_span('v', 64, a_words)}, {_span('a', 96, b_words)}, {_span('a', 0, c_words)}"
    for file in "va":
        state = execute(f"{name} {_span(file, 0, c_words)}, {sources}", before, arch)
        for at, row in enumerate(wanted):
            np.testing.assert_array_equal(state[f"{file}{at}"][0], row, f"{file}{at}")


@pytest.mark.parametrize(
    ("name", "kind", "constant", "value"),
    [
        ("v_mfma_f32_32x32x2_f32", "f32", "0", 0),
        ("v_mfma_f32_32x32x2_f32", "f32", "1.0", 1),
        ("v_mfma_i32_32x32x16_i8", "i8", "-3", -3),
        ("v_mfma_f64_16x16x4_f64", "f64", "2.0", 2),
        ("v_mfma_f64_16x16x4_f64", "f64", "0", 0),
    ],
)
def test_constant_addend(name: str, kind: str, constant: str, value: int, execute: Execute) -> None:
    size, depth = {"f32": (32, 2), "i8": (32, 16), "f64": (16, 4)}[kind]
    ones = np.ones((1, size, depth), np.int64)
    words = _source(ones, kind, "gfx942")
    wanted = _result(np.full((1, size, size), depth + value), kind)
    line = f"{name} {_span('v', 0, wanted)}, {_span('v', 64, words)}, {_span('v', 64, words)}, "
    state = execute(line + constant, _registers("v", 64, words))
    for at, row in enumerate(wanted):
        np.testing.assert_array_equal(state[f"v{at}"][0], row)


def test_addend_that_overlaps_the_sources(execute: Execute) -> None:
    """All is read before any is written."""
    state = execute(
        "v_mfma_f32_4x4x1_16b_f32 v[0:3], v0, v1, v[0:3]",
        {"v0": 0x40000000, "v1": 0x40400000, "v2": 0x3F800000, "v3": 0},
    )
    # 2 * 3 added to 2, 3, 1, 0
    found = [int(state[f"v{at}"][0][0]) for at in range(4)]
    assert found == [0x41000000, 0x41100000, 0x40E00000, 0x40C00000]


def test_broadcast_and_negation(execute: Execute) -> None:
    """CBSZ and ABID: every block takes A of block 5; BLGP of f64, written neg, flips signs."""
    lane = np.arange(64)
    a = (lane // 4 + 1).astype("<f4").view("<u4")
    before = {"v4": a, "v5": 0x3F800000, **{f"v{at}": 0 for at in range(4)}}
    line = "v_mfma_f32_4x4x1_16b_f32 v[0:3], v4, v5, v[0:3] cbsz:4 abid:5"
    assert set(execute(line, before)["v0"][0]) == {0x40C00000}
    before = {"v4:5": 0x3FF0000000000000, "v6:7": 0x4000000000000000, "v0:1": 0x4008000000000000}
    lines = {
        "v_mfma_f64_4x4x4_4b_f64 v[0:1], v[4:5], v[6:7], v[0:1]": 0x4026000000000000,  # 11
        "v_mfma_f64_4x4x4_4b_f64 v[0:1], v[4:5], v[6:7], v[0:1] neg:[1,0,0]": 0xC014000000000000,
        "v_mfma_f64_4x4x4_4b_f64 v[0:1], v[4:5], v[6:7], v[0:1] neg:[0,0,1]": 0x4014000000000000,
    }
    for line, bits in lines.items():
        assert set(execute(line, before)["v0:1"][0]) == {bits}
    line = "v_mfma_f64_4x4x4f64 v[0:1], v[4:5], v[6:7], v[0:1] blgp:3"
    assert set(execute(line, before, "gfx90a")["v0:1"][0]) == {0x4026000000000000}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("v_mfma_f32_32x32x4bf16 v[0:31], v0, v1, v[0:31]", "this matrix instruction"),
        ("v_mfma_f32_32x32x2_f32 v[0:15], v[2:3], v1, v[0:15]", "operand v.2:3. of 1"),
        ("v_mfma_f32_32x32x2_f32 v[0:15], v2, v1, s[0:15]", "operand s.0:15. of 16"),
        ("v_mfma_f32_32x32x2_f32 v[0:15], v2, v1, 0 op_sel:[1,0]", "a modifier of a matrix"),
    ],
)
def test_refuses(line: str, why: str, execute: Execute) -> None:
    with pytest.raises(UnsupportedError, match=why):
        execute(line)
