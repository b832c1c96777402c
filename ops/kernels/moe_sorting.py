"""moe_sorting in portable Triton: a stable sort of pairs by expert, and the zeros of moe_buf."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.launch import find_arch
from rocmoe.ops.core.sizes import divide_up
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.shared.sort_launches import Sort, run_variant
from rocmoe.ops.kernels.shared.sort_variants import SORT_VARIANTS

VARIANTS: tuple[Variant, ...] = SORT_VARIANTS


def moe_sorting(
    topk_ids: Any,
    topk_weights: Any,
    num_experts: int,
    unit_size: int,
    expert_mask: Any | None,
    num_local_tokens: Any | None,
    model_dim: int,
    *,
    late: bool = False,
) -> tuple[Any, Any, Any, Any, Any]:
    """sorted_ids i32, sorted_weights f32 [P], sorted_expert_ids, num_valid_ids i32 [2], moe_buf.

    topk_ids i32 and topk_weights f32 [T, k] in any layout; P = T*k + E*U - k, U = unit_size. An id
    is (slot << 24) | token, ascending inside an expert, padded with slot k to a multiple of U; ids
    outside [0, E) are left out. moe_buf bf16 [T, model_dim]: zeros in the local rows. What follows
    the last block is not written.  late: the launch ahead makes ids and weights, and this one may
    overlap with it.  Semantics: aiter `moe_sorting_fwd`
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
        late=late,
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
        "block_experts": torch.empty(divide_up(length, unit), dtype=torch.int32, device=device),
        "totals": torch.empty(2, dtype=torch.int32, device=device),
        "moe_buf": torch.empty((tokens, width), dtype=torch.bfloat16, device=device),
    }
