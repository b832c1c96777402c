"""moe_sorting in portable Triton: a stable sort of pairs by expert, and the zeros of moe_buf."""

from __future__ import annotations

from typing import Any

import triton

from rocmoe.ops.core.launch import find_arch
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.shared.sort_launches import Sort, run_variant

#: Timed on an H100 with 256 experts, 8 a token, blocks of 64, no moe_buf.
VARIANTS: tuple[Variant, ...] = (
    Variant("at_once", "4 tokens of 256 experts on an H100: 2.1 us, with 2 warps 2.6",
            most={"pairs": 32},
            parameters={"tiles": 1, "experts": 1, "warps": 1}),
    Variant("at_once", "16 tokens: 2.6 us, with one warp 2.7",
            most={"pairs": 128},
            parameters={"tiles": 4, "experts": 1, "warps": 2}),
    Variant("at_once", "64 tokens: 3.1 us, with 2 warps 3.3",
            most={"pairs": 512},
            parameters={"tiles": 16, "experts": 1, "warps": 4}),
    Variant("at_once", "128 tokens: 4.0 us, with 8 warps 4.2",
            most={"pairs": 1024, "E": 256},
            parameters={"tiles": 32, "experts": 1, "warps": 4}),
    Variant("counted", "256 tokens: 4.6 us, chunks of 8 tiles 5.3, at once 6.1",
            most={"pairs": 2**11, "E": 512},
            parameters={"tiles": 4, "experts": 8, "count_warps": 4, "place_warps": 4, "early": 0}),
    Variant("counted", "1024 tokens: 5.9 us, chunks of 16 tiles 6.9",
            most={"pairs": 2**13, "E": 512},
            parameters={"tiles": 8, "experts": 8, "count_warps": 4, "place_warps": 4, "early": 0}),
    Variant("counted", "4096 tokens: 7.2 us, with a scan 9.2",
            most={"pairs": 2**15, "E": 256},
            parameters={"tiles": 16, "experts": 8, "count_warps": 4, "place_warps": 4, "early": 0}),
    Variant("scanned", "65536 tokens: 33 us, 16 experts a scanning program 37; 22 of them placing",
            parameters={"tiles": 16, "experts": 8, "count_warps": 4, "place_warps": 4, "early": 0,
                        "scan_experts": 8, "scan_chunks": 512, "scan_warps": 8}),
)  # fmt: skip


def moe_sorting(
    topk_ids: Any,
    topk_weights: Any,
    num_experts: int,
    unit_size: int,
    expert_mask: Any | None,
    num_local_tokens: Any | None,
    model_dim: int,
) -> tuple[Any, Any, Any, Any, Any]:
    """sorted_ids i32, sorted_weights f32 [P], sorted_expert_ids, num_valid_ids i32 [2], moe_buf.

    topk_ids i32 and topk_weights f32 [T, k] in any layout; P = T*k + E*U - k, U = unit_size. An id
    is (slot << 24) | token, ascending inside an expert, padded with slot k to a multiple of U; ids
    outside [0, E) are left out. moe_buf bf16 [T, model_dim]: zeros in the local rows. What follows
    the last block is not written.  Semantics: aiter `moe_sorting_fwd`
    (csrc/py_itfs_ck/moe_sorting_kernels.cu @e4048607).
    """
    tokens, topk = topk_ids.shape
    sort = Sort(
        topk_ids=topk_ids,
        topk_weights=topk_weights,
        expert_mask=expert_mask,
        num_local_tokens=num_local_tokens,
        num_experts=num_experts,
        unit=unit_size,
        **allocate_sorted(tokens, topk, num_experts, unit_size, model_dim, topk_ids.device),
    )
    pairs = tokens * topk
    run_variant(choose(VARIANTS, find_arch(topk_ids), pairs=pairs, E=num_experts), sort)
    return sort.sorted_ids, sort.sorted_weights, sort.block_experts, sort.totals, sort.moe_buf


def allocate_sorted(
    tokens: int, topk: int, num_experts: int, unit: int, width: int, device: Any
) -> dict[str, Any]:
    """The five outputs of a sort by the names that `Sort` gives them, unwritten."""
    import torch

    length = tokens * topk + num_experts * unit - topk
    return {
        "sorted_ids": torch.empty(length, dtype=torch.int32, device=device),
        "sorted_weights": torch.empty(length, dtype=torch.float32, device=device),
        "block_experts": torch.empty(triton.cdiv(length, unit), dtype=torch.int32, device=device),
        "totals": torch.empty(2, dtype=torch.int32, device=device),
        "moe_buf": torch.empty((tokens, width), dtype=torch.bfloat16, device=device),
    }
