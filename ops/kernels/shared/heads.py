"""Attention heads in Triton: where the heads of consecutive rows lie, and their norm."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl


@triton.jit
def widen(numbers, WIDE: tl.constexpr):
    """Numbers that are about to be multiplied by a stride; WIDE: as i64."""
    if WIDE:
        numbers = numbers.to(tl.int64)
    return numbers


@triton.jit
def locate_heads(
    first, row_stride, column_stride, HEADS: tl.constexpr, D: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    """Where ROWS heads from number `first` on lie in a tensor [T, HEADS*D].

    Returns the token of the first, the offset of its row in elements (i64), and for each head
    [ROWS, 1] its token, counted from the first one's, and its offset from that row.
    """
    token = first // HEADS
    numbers = first - token * HEADS + tl.arange(0, ROWS)[:, None]
    tokens = numbers // HEADS
    columns = (numbers - tokens * HEADS) * D
    offsets = widen(tokens, WIDE) * row_stride + widen(columns, WIDE) * column_stride
    return token, token.to(tl.int64) * row_stride, tokens, offsets


@triton.jit
def find_scale(squares, eps, D: tl.constexpr):
    """1 / sqrt(mean + eps) of sums [ROWS] of D squares, as [ROWS, 1]."""
    return tl.math.rsqrt(squares * (1.0 / D) + eps)[:, None]


def span_rows(heads: Any, num_heads: int, rows: int) -> int:
    """Elements from the row of a program's first head to the end of its last, at most.

    heads [T, num_heads*D], any strides; rows: heads a program.
    """
    row_stride, column_stride = heads.stride()
    span: int = (rows // num_heads + 1) * row_stride + heads.shape[1] * column_stride
    return span
