"""sglang's moe_align_block_size, in its three generations.

Signatures: python/sgl_kernel/moe.py of sglang-kernel 0.4.10 and sgl-kernel 0.3.21, called as
sglang/srt/layers/moe/moe_runner/triton_utils/moe_align_block_size.py of sglang 0.5.23 does; of
sgl-project/sglang sgl-kernel/csrc/moe/moe_align_kernel.cu @ce378154 and @006fc202.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.limits import at_most, dense_rows
from rocmoe.ops.core.peer import Form, PeerVariant

KERNEL = "sgl-kernel/csrc/moe/moe_align_kernel.cu @ce378154"


def bind_moe_align_block_size(
    topk_ids: Any, num_experts: int, block_size: int
) -> Callable[[], Any]:
    """Returns the outputs.  The kernel counts from expert -1, so that it is told of one more, and
    pads four ids at a time, so that a buffer has room for that: as sglang's own caller."""
    import torch
    from sgl_kernel import moe_align_block_size

    length = topk_ids.numel() + num_experts * (block_size - 1)
    blocks = -(-length // block_size)
    cumsum = torch.empty(num_experts + 2, dtype=torch.int32, device=topk_ids.device)

    def call() -> Any:
        ids = torch.empty(-(-length // 4) * 4, dtype=torch.int32, device=topk_ids.device)
        experts = torch.empty(blocks, dtype=torch.int32, device=topk_ids.device)
        total = torch.empty(1, dtype=torch.int32, device=topk_ids.device)
        moe_align_block_size(
            topk_ids, num_experts + 1, block_size, ids, experts, total, cumsum, True
        )
        return ids[:length], experts, total

    return call


def bind_counting_moe_align_block_size(
    topk_ids: Any,
    num_experts: int,
    block_size: int,
    sorted_token_ids: Any,
    expert_ids: Any,
    num_tokens_post_pad: Any,
) -> Callable[[], Any]:
    """With two scratch buffers; a caller fills in the padding, on every call."""
    import torch
    from sgl_kernel import moe_align_block_size

    counts = torch.empty((num_experts + 1) * num_experts, dtype=torch.int32, device=topk_ids.device)
    cumsum = torch.empty(num_experts + 1, dtype=torch.int32, device=topk_ids.device)
    padding = topk_ids.numel()

    def call() -> None:
        sorted_token_ids.fill_(padding)
        moe_align_block_size(
            topk_ids, num_experts, block_size, sorted_token_ids, expert_ids, num_tokens_post_pad,
            counts, cumsum,
        )  # fmt: skip

    return call


def bind_old_moe_align_block_size(
    topk_ids: Any,
    num_experts: int,
    block_size: int,
    sorted_token_ids: Any,
    expert_ids: Any,
    num_tokens_post_pad: Any,
) -> Callable[[], Any]:
    """Without scratch buffers; a caller fills in the padding, on every call."""
    from sgl_kernel import moe_align_block_size

    padding = topk_ids.numel()

    def call() -> None:
        sorted_token_ids.fill_(padding)
        moe_align_block_size(
            topk_ids, num_experts, block_size, sorted_token_ids, expert_ids, num_tokens_post_pad
        )

    return call


_TAKES = ("topk_ids", "num_experts", "block_size", "sorted_token_ids", "experts_ids",
          "num_tokens_post_pad")  # fmt: skip

VARIANTS = (
    PeerVariant(
        "moe_align_block_size",
        "moe_align_block_size",
        (
            Form(
                "sgl_kernel:moe_align_block_size",
                (*_TAKES, "cumsum_buffer", "pad_sorted_token_ids"),
                bind_moe_align_block_size,
                limits=(at_most("E", 1023, KERNEL, "unchecked"),),
            ),
            Form(
                "sgl_kernel:moe_align_block_size",
                (*_TAKES, "token_cnts_buffer", "cumsum_buffer"),
                bind_counting_moe_align_block_size,
                limits=(at_most("E", 1024, KERNEL, "unchecked"),),
            ),
            Form(
                "sgl_kernel:moe_align_block_size",
                _TAKES,
                bind_old_moe_align_block_size,
                limits=(at_most("E", 1024, KERNEL, "unchecked"),),
            ),
        ),
        (dense_rows(KERNEL),),
    ),
)
