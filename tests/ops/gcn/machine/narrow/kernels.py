"""Triton kernels whose code has gfx950's narrow dots and conversions."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def dot(a, b, c, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    m, n, k = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K)
    left = tl.load(a + m[:, None] * K + k[None, :])
    right = tl.load(b + k[:, None] * N + n[None, :])
    tl.store(c + m[:, None] * N + n[None, :], tl.dot(left, right))


@triton.jit
def dot_scaled(
    a,
    a_scale,
    b,
    b_scale,
    c,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    A_FORMAT: tl.constexpr,
    B_FORMAT: tl.constexpr,
    A_PACK: tl.constexpr,
    B_PACK: tl.constexpr,
):
    m, n, block = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K // 32)
    of_a, of_b = tl.arange(0, K // A_PACK), tl.arange(0, K // B_PACK)
    left = tl.load(a + m[:, None] * (K // A_PACK) + of_a[None, :])
    right = tl.load(b + of_b[:, None] * N + n[None, :])
    left_scale = tl.load(a_scale + m[:, None] * (K // 32) + block[None, :])
    right_scale = tl.load(b_scale + n[:, None] * (K // 32) + block[None, :])
    product = tl.dot_scaled(left, left_scale, A_FORMAT, right, right_scale, B_FORMAT)
    tl.store(c + m[:, None] * N + n[None, :], product)


@triton.jit
def dot_upcast(
    a,
    a_scale,
    b,
    c,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    A_FORMAT: tl.constexpr,
    A_PACK: tl.constexpr,
    B_FORMAT: tl.constexpr,
):
    m, n, block = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K // 32)
    of_a, of_b = tl.arange(0, K // A_PACK), tl.arange(0, K)
    left = tl.load(a + m[:, None] * (K // A_PACK) + of_a[None, :])
    right = tl.load(b + of_b[:, None] * N + n[None, :])
    left_scale = tl.load(a_scale + m[:, None] * (K // 32) + block[None, :])
    product = tl.dot_scaled(left, left_scale, A_FORMAT, right, None, B_FORMAT)
    tl.store(c + m[:, None] * N + n[None, :], product)


@triton.jit
def cast(a, b, N: tl.constexpr):
    at = tl.program_id(0) * N + tl.arange(0, N)
    tl.store(b + at, tl.load(a + at).to(b.dtype.element_ty))
