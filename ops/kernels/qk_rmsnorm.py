"""qk_rmsnorm in portable Triton: query and key heads in one launch, several heads a program."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from rocmoe.ops.core.launch import find_arch, launch
from rocmoe.ops.core.sizes import divide_up, grow_to_power_of_2
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.shared.heads import find_scale, locate_heads, span_rows, widen

#: heads: of queries and keys, of all tokens.  elements: of heads padded to a power of two that a
#: program has.  Microseconds: bf16, Hq = 32, Hkv = 8, D = 128, warm.
VARIANTS = (
    Variant(
        "rows",
        "8 elements a lane, a vector of 16 bytes, as is best on H100; not measured on AMD hardware",
        arch="gfx",
        parameters={"elements": 2048, "num_warps": 4},
    ),
    Variant(
        "rows",
        "H100, T = 1, 1024, 16384: 1.52, 4.79, 114.6 us; 4096 elements take 1.65, 4.75, 115.6 us, "
        "1024 take 1.32, 5.78, 121.0 us",
        parameters={"elements": 2048, "num_warps": 8},
    ),
)


@triton.jit
def normalize_heads(
    rows, out, weight, program, heads, row_stride, column_stride, eps,
    HEADS: tl.constexpr, D: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):  # fmt: skip
    """Heads [T, HEADS*D] of one kind; out is contiguous."""
    first = program * ROWS
    _, start, _, offsets = locate_heads(first, row_stride, column_stride, HEADS, D, WIDE, ROWS)
    columns = tl.arange(0, COLUMNS)[None, :]
    numbers = tl.arange(0, ROWS)[:, None]
    present = (numbers < heads - first) & (columns < D)
    offsets += widen(columns, WIDE) * column_stride
    x = tl.load(rows + start + offsets, mask=present, other=0.0).to(tl.float32)
    scale = find_scale(tl.sum(x * x, 1), eps, D)
    factors = tl.load(weight + columns, mask=columns < D, other=0.0).to(tl.float32)
    y = x * scale * factors
    out += first.to(tl.int64) * D
    tl.store(out + numbers * D + columns, y.to(out.dtype.element_ty), mask=present)


@triton.jit
def normalize_queries_and_keys(
    q,
    k,
    q_weight,
    k_weight,
    q_out,
    k_out,
    q_heads,
    k_heads,
    q_row_stride,
    q_column_stride,
    k_row_stride,
    k_column_stride,
    eps,
    HQ: tl.constexpr,
    HKV: tl.constexpr,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """q_heads, k_heads: of all tokens together.  Programs of queries come first."""
    program = tl.program_id(0)
    of_queries = (q_heads + (ROWS - 1)) // ROWS
    if program < of_queries:
        normalize_heads(
            q, q_out, q_weight, program, q_heads, q_row_stride, q_column_stride, eps,
            HQ, D, WIDE, ROWS, COLUMNS,
        )  # fmt: skip
    else:
        normalize_heads(
            k, k_out, k_weight, program - of_queries, k_heads, k_row_stride, k_column_stride, eps,
            HKV, D, WIDE, ROWS, COLUMNS,
        )  # fmt: skip


def qk_rmsnorm(q: Any, k: Any, q_weight: Any, k_weight: Any, eps: float) -> tuple[Any, Any]:
    """q_out [T, Hq*D] and k_out [T, Hkv*D] of q and k in any layout; weights [D] contiguous.

    Float32 inside, one rounding.  Semantics: ROCm/aiter `fused_qk_rmsnorm`
    (aiter/ops/fused_qk_rmsnorm_group_quant.py), a row a head.
    """
    import torch

    tokens, head_dim = q.shape[0], q_weight.shape[0]
    num_heads_q, num_heads_kv = q.shape[1] // head_dim, k.shape[1] // head_dim
    q_out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    k_out = torch.empty(k.shape, dtype=k.dtype, device=k.device)
    q_heads, k_heads = tokens * num_heads_q, tokens * num_heads_kv
    columns = grow_to_power_of_2(head_dim)
    variant = choose(VARIANTS, find_arch(q), heads=q_heads + k_heads, D=head_dim)
    rows = max(1, variant["elements"] // columns)
    launch(
        normalize_queries_and_keys,
        (divide_up(q_heads, rows) + divide_up(k_heads, rows),),
        q=q,
        k=k,
        q_weight=q_weight,
        k_weight=k_weight,
        q_out=q_out,
        k_out=k_out,
        q_heads=q_heads,
        k_heads=k_heads,
        q_row_stride=q.stride(0),
        q_column_stride=q.stride(1),
        k_row_stride=k.stride(0),
        k_column_stride=k.stride(1),
        eps=eps,
        HQ=num_heads_q,
        HKV=num_heads_kv,
        D=head_dim,
        WIDE=max(span_rows(q, num_heads_q, rows), span_rows(k, num_heads_kv, rows)) >= 2**31,
        ROWS=rows,
        COLUMNS=columns,
        num_warps=variant["num_warps"],
    )
    return q_out, k_out
