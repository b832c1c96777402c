"""aiter's sorting: Opus, Composable Kernel, FlyDSL, and moe_align_block_size.

Signatures and limits of ROCm/aiter @e4048607: aiter/ops/moe_sorting*.py, aiter/ops/moe_op.py,
aiter/ops/flydsl/moe_sorting.py and the sources named.  What they put behind the last block and
into padding differs and is free; expert ids are ranks among the local ones, as the op has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.limits import at_most, dense_rows, only_arch, only_if
from rocmoe.ops.core.peer import Form, PeerVariant

OPUS = "csrc/py_itfs_cu/moe_sorting_opus_kernels.cu @e4048607"
CK = "csrc/py_itfs_ck/moe_sorting_kernels.cu @e4048607"
FLYDSL = "aiter/ops/flydsl/kernels/moe_sorting_kernel.py @e4048607"
ALIGN = "csrc/kernels/moe_align_block_size_kernels.cu @e4048607"


def bind_moe_sorting_opus_fwd(
    topk_ids: Any,
    topk_weights: Any,
    num_experts: int,
    unit_size: int,
    expert_mask: Any,
    num_local_tokens: Any,
    model_dim: int,
    sorted_ids: Any,
    sorted_weights: Any,
    sorted_expert_ids: Any,
    num_valid_ids: Any,
    moe_buf: Any,
) -> Callable[[], Any]:
    """Opus, aiter's default; its workspace is made ahead of the call."""
    import aiter
    import torch

    del model_dim
    tokens, topk = topk_ids.shape
    size = aiter.moe_sorting_opus_get_workspace_size(tokens, num_experts, topk, 0)
    workspace = torch.empty(size, dtype=torch.uint8, device=topk_ids.device) if size > 0 else None

    def call() -> None:
        aiter.moe_sorting_opus_fwd(
            topk_ids, topk_weights, sorted_ids, sorted_weights, sorted_expert_ids, num_valid_ids,
            moe_buf, num_experts, unit_size, expert_mask, num_local_tokens, workspace, 0,
        )  # fmt: skip

    return call


def bind_moe_sorting_fwd(
    topk_ids: Any,
    topk_weights: Any,
    num_experts: int,
    unit_size: int,
    expert_mask: Any,
    num_local_tokens: Any,
    model_dim: int,
    sorted_ids: Any,
    sorted_weights: Any,
    sorted_expert_ids: Any,
    num_valid_ids: Any,
    moe_buf: Any,
) -> Callable[[], Any]:
    """Composable Kernel, which allocates its own workspace in the call."""
    import aiter

    del model_dim

    def call() -> None:
        aiter.moe_sorting_fwd(
            topk_ids, topk_weights, sorted_ids, sorted_weights, sorted_expert_ids, num_valid_ids,
            moe_buf, num_experts, unit_size, expert_mask, num_local_tokens, 0,
        )  # fmt: skip

    return call


def bind_flydsl_moe_sorting_fwd(
    topk_ids: Any,
    topk_weights: Any,
    num_experts: int,
    unit_size: int,
    expert_mask: Any,
    num_local_tokens: Any,
    model_dim: int,
    sorted_ids: Any,
    sorted_weights: Any,
    sorted_expert_ids: Any,
    num_valid_ids: Any,
    moe_buf: Any,
) -> Callable[[], Any]:
    """FlyDSL as aiter ships it, with a workspace kept between calls."""
    from aiter.ops.flydsl.moe_sorting import flydsl_moe_sorting_fwd

    del model_dim

    def call() -> None:
        flydsl_moe_sorting_fwd(
            topk_ids, topk_weights, sorted_ids, sorted_weights, sorted_expert_ids, num_valid_ids,
            moe_buf, num_experts, unit_size, expert_mask, num_local_tokens,
        )  # fmt: skip

    return call


def bind_moe_align_block_size(
    topk_ids: Any,
    num_experts: int,
    block_size: int,
    sorted_token_ids: Any,
    expert_ids: Any,
    num_tokens_post_pad: Any,
) -> Callable[[], Any]:
    """The kernel writes no padding: a caller fills it in, on every call."""
    import aiter
    import torch

    token_nums = torch.empty_like(expert_ids)
    padding = topk_ids.numel()

    def call() -> None:
        sorted_token_ids.fill_(padding)
        aiter.moe_align_block_size(
            topk_ids, num_experts, block_size, sorted_token_ids, expert_ids, token_nums,
            num_tokens_post_pad,
        )  # fmt: skip

    return call


_INPUTS = ("topk_ids", "topk_weights")
_OUTPUTS = ("sorted_weights", "sorted_expert_ids", "num_valid_ids", "moe_buf")
_SIZES = ("num_experts", "unit_size")
_LOCAL = ("local_expert_mask", "num_local_tokens")

VARIANTS = (
    PeerVariant(
        "moe_sorting",
        "moe_sorting_opus_fwd",
        (
            Form(
                "aiter:moe_sorting_opus_fwd",
                (*_INPUTS, "sorted_token_ids", *_OUTPUTS, *_SIZES, *_LOCAL, "workspace",
                 "dispatch_policy"),
                bind_moe_sorting_opus_fwd,
            ),
        ),
        (dense_rows(OPUS),),
    ),
    PeerVariant(
        "moe_sorting",
        "moe_sorting_fwd",
        (
            Form(
                "aiter:moe_sorting_fwd",
                (*_INPUTS, "sorted_token_ids", *_OUTPUTS, *_SIZES, *_LOCAL, "dispatch_policy"),
                bind_moe_sorting_fwd,
            ),
        ),
        (dense_rows(CK),),
    ),
    PeerVariant(
        "moe_sorting",
        "flydsl_moe_sorting_fwd",
        (
            Form(
                "aiter.ops.flydsl.moe_sorting:flydsl_moe_sorting_fwd",
                (*_INPUTS, "sorted_ids", *_OUTPUTS, *_SIZES, "expert_mask", "num_local_tokens"),
                bind_flydsl_moe_sorting_fwd,
            ),
        ),
        (
            only_arch(FLYDSL, "gfx9"),
            only_if(lambda case: case.sizes["D"] % 2 == 0, "views moe_buf as int32: wants even D",
                    FLYDSL),
            dense_rows(FLYDSL),
        ),
    ),
    PeerVariant(
        "moe_align_block_size",
        "moe_align_block_size",
        (
            Form(
                "aiter:moe_align_block_size",
                ("topk_ids", "num_experts", "block_size", "sorted_token_ids", "experts_ids",
                 "token_nums", "num_tokens_post_pad"),
                bind_moe_align_block_size,
            ),
        ),
        (at_most("E", 1024, ALIGN, "unchecked"), dense_rows(ALIGN)),
    ),
)  # fmt: skip
