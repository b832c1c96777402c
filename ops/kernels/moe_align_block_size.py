"""moe_align_block_size in portable Triton: a stable sort of flat pair indices by expert."""

from __future__ import annotations

from typing import Any

import triton

from rocmoe.ops.core.launch import find_arch
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.shared.sort_launches import Sort, run_variant

#: Timed as `moe_sorting`, which moves the weights besides.
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
        block_experts=torch.empty(
            triton.cdiv(length, block_size), dtype=torch.int32, device=device
        ),
        totals=torch.empty(1, dtype=torch.int32, device=device),
        moe_buf=None,
        num_experts=num_experts,
        unit=block_size,
    )
    run_variant(choose(VARIANTS, find_arch(topk_ids), pairs=pairs, E=num_experts), sort)
    return sort.sorted_ids, sort.block_experts, sort.totals
