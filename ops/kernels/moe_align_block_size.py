"""moe_align_block_size in portable Triton: a stable sort of flat pair indices by expert."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.launch import find_arch
from rocmoe.ops.core.sizes import divide_up
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.shared.sort_launches import Sort, run_variant
from rocmoe.ops.kernels.shared.sort_variants import SORT_VARIANTS

VARIANTS: tuple[Variant, ...] = SORT_VARIANTS


def moe_align_block_size(topk_ids: Any, num_experts: int, block_size: int) -> tuple[Any, Any, Any]:
    """sorted_token_ids i32 [T*k + E*(B-1)], expert_ids i32 [blocks], num_tokens_post_pad i32 [1].

    topk_ids i32 [T, k] in any layout -> token * k + slot by expert, ascending in each, padded with
    T*k to a multiple of B = block_size. Ids outside [0, E) are left out. What follows the last
    block is not written.  Semantics: vLLM `moe_align_block_size`
    (csrc/moe/moe_align_sum_kernels.cu).
    """
    import torch

    pairs, device = topk_ids.numel(), topk_ids.device
    length = pairs + num_experts * (block_size - 1)
    sort = Sort(
        topk_ids=topk_ids,
        topk_weights=None,
        expert_mask=None,
        num_local_tokens=None,
        sorted_ids=torch.empty(length, dtype=torch.int32, device=device),
        sorted_weights=None,
        block_experts=torch.empty(divide_up(length, block_size), dtype=torch.int32, device=device),
        totals=torch.empty(1, dtype=torch.int32, device=device),
        moe_buf=None,
        num_experts=num_experts,
        unit=block_size,
    )
    run_variant(choose(VARIANTS, find_arch(topk_ids), pairs=pairs, E=num_experts), sort)
    return sort.sorted_ids, sort.block_experts, sort.totals
