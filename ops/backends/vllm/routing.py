"""vLLM's topk_softmax, topk_sigmoid, grouped_topk and moe_align_block_size.

Signatures: vllm/_custom_ops.py of vLLM 0.33.0; topk_softmax also as before it could renormalise,
grouped_topk also as before it scored by itself.  Limits: vllm-project/vllm, the sources named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.bias_dtype import round_bias
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import (
    NO,
    aligned_rows,
    at_most,
    dense_rows,
    only_arch,
    only_dtypes,
    only_if,
    only_param,
)
from rocmoe.ops.core.peer import Form, PeerVariant

TOPK = "csrc/libtorch_stable/moe/topk_softmax_kernels.cu @7bdc15dd"
OLD_TOPK = "csrc/moe/topk_softmax_kernels.cu @ad47155"
GROUPED = "csrc/moe/grouped_topk_kernels.cu @e35e4874"
ALIGN = "csrc/libtorch_stable/moe/moe_align_sum_kernels.cu @76f957b3"
PYTHON = "vllm/_custom_ops.py of vLLM 0.33.0"


def bind_topk_softmax(
    gating_output: Any, topk: int, renormalize: bool, topk_weights: Any, topk_ids: Any
) -> Callable[[], Any]:
    """Writes both outputs; the extra token_expert_indices are scratch."""
    import torch
    from vllm._custom_ops import topk_softmax

    del topk
    indices = torch.empty_like(topk_ids)

    def call() -> None:
        topk_softmax(topk_weights, topk_ids, indices, gating_output, renormalize)

    return call


def bind_old_topk_softmax(
    gating_output: Any, topk: int, renormalize: bool, topk_weights: Any, topk_ids: Any
) -> Callable[[], Any]:
    """As it was before it could renormalise."""
    import torch
    from vllm._custom_ops import topk_softmax

    del topk, renormalize
    indices = torch.empty_like(topk_ids)

    def call() -> None:
        topk_softmax(topk_weights, topk_ids, indices, gating_output)

    return call


def bind_topk_sigmoid(
    gating_output: Any,
    topk: int,
    renormalize: bool,
    correction_bias: Any,
    topk_weights: Any,
    topk_ids: Any,
) -> Callable[[], Any]:
    """Writes both outputs; the bias is fp32."""
    import torch
    from vllm._custom_ops import topk_sigmoid

    del topk
    indices = torch.empty_like(topk_ids)

    def call() -> None:
        topk_sigmoid(topk_weights, topk_ids, indices, gating_output, renormalize, correction_bias)

    return call


def bind_grouped_topk(
    gating_output: Any,
    correction_bias: Any,
    topk: int,
    renormalize: bool,
    num_expert_group: int,
    topk_group: int,
    scoring_func: str,
    routed_scaling_factor: float,
    num_fused_shared_experts: int,
) -> Callable[[], Any]:
    """Returns the outputs; scoring_func 1 is sigmoid, the bias has the logits' dtype."""
    from vllm._custom_ops import grouped_topk

    del scoring_func, num_fused_shared_experts
    bias = correction_bias.to(gating_output.dtype)

    def call() -> Any:
        return grouped_topk(
            gating_output, num_expert_group, topk_group, topk, renormalize,
            routed_scaling_factor, bias, 1,
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
    """Fills in the padding itself, T*k."""
    from vllm._custom_ops import moe_align_block_size

    def call() -> None:
        moe_align_block_size(
            topk_ids, num_experts, block_size, sorted_token_ids, expert_ids, num_tokens_post_pad
        )

    return call


def _has_bias(case: Case) -> bool:
    return case.params["correction_bias"] is not None


_TAKES = ("topk_weights", "topk_ids", "token_expert_indices", "gating_output", "renormalize")

VARIANTS = (
    PeerVariant(
        "topk_softmax",
        "topk_softmax",
        (
            Form("vllm._custom_ops:topk_softmax", _TAKES, bind_topk_softmax,
                 torch_op="_moe_C.topk_softmax"),
            Form(
                "vllm._custom_ops:topk_softmax",
                _TAKES[:4],
                bind_old_topk_softmax,
                limits=(
                    only_param("renormalize", NO, "does not renormalise", OLD_TOPK, "contract"),
                    only_dtypes(OLD_TOPK, "fp32"),
                ),
                torch_op="_moe_C.topk_softmax",
            ),
        ),
        (dense_rows(TOPK), aligned_rows(TOPK)),
    ),
    PeerVariant(
        "topk_sigmoid",
        "topk_sigmoid",
        (
            Form(
                "vllm._custom_ops:topk_sigmoid",
                (*_TAKES, "e_score_correction_bias"),
                bind_topk_sigmoid,
                torch_op="_moe_C.topk_sigmoid",
            ),
        ),
        (dense_rows(TOPK), aligned_rows(TOPK)),
    ),
    PeerVariant(
        "grouped_topk",
        "grouped_topk",
        (
            Form(
                "vllm._custom_ops:grouped_topk",
                ("scores", "num_expert_group", "topk_group", "topk", "renormalize",
                 "routed_scaling_factor", "bias", "scoring_func"),
                bind_grouped_topk,
                torch_op="_moe_C.grouped_topk",
            ),
        ),
        (
            only_arch(PYTHON, "sm", reason="runs on CUDA, raises elsewhere"),
            only_if(_has_bias, "wants a bias", PYTHON, "contract"),
            only_param("scoring_func", ("sigmoid",), "scores by sigmoid", PYTHON, "contract"),
            only_param("num_fused_shared_experts", (0,), "adds no shared experts", PYTHON,
                       "contract"),
            only_if(lambda case: int(case.params["num_expert_group"] or 1) <= 32,
                    "wants at most 32 groups", GROUPED),
            at_most("k", 32, GROUPED),
            dense_rows(GROUPED),
        ),
        round_bias,
    ),
    PeerVariant(
        "moe_align_block_size",
        "moe_align_block_size",
        (
            Form(
                "vllm._custom_ops:moe_align_block_size",
                ("topk_ids", "num_experts", "block_size", "sorted_token_ids", "experts_ids",
                 "num_tokens_post_pad"),
                bind_moe_align_block_size,
                torch_op="_moe_C.moe_align_block_size",
            ),
        ),
        (at_most("E", 992, ALIGN), dense_rows(ALIGN)),
    ),
)  # fmt: skip
