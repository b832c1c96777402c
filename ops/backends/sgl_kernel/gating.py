"""sglang's topk_softmax and topk_sigmoid.

Signatures: python/sgl_kernel/moe.py of sglang-kernel 0.4.10 and sgl-kernel 0.3.21, and of
sgl-project/sglang sgl-kernel/python/sgl_kernel/moe.py @0c1e18c1 and @006fc202.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.limits import NO, aligned_rows, dense_rows, only_param
from rocmoe.ops.core.peer import Form, PeerVariant

SOFTMAX = "sgl-kernel/csrc/moe/moe_topk_softmax_kernels.cu @a535425d"
SIGMOID = "sgl-kernel/csrc/moe/moe_topk_sigmoid_kernels.cu @07a95796"
OLD = "sgl-kernel/python/sgl_kernel/moe.py @006fc202"


def bind_topk_softmax(
    gating_output: Any, topk: int, renormalize: bool, topk_weights: Any, topk_ids: Any
) -> Callable[[], Any]:
    """Writes both outputs; softcapping and bias, which newer versions have, stay off."""
    import sgl_kernel

    del topk

    def call() -> None:
        sgl_kernel.topk_softmax(topk_weights, topk_ids, gating_output, renormalize)

    return call


def bind_old_topk_softmax(
    gating_output: Any, topk: int, renormalize: bool, topk_weights: Any, topk_ids: Any
) -> Callable[[], Any]:
    """As it was before it could renormalise; the extra token_expert_indices are scratch."""
    import sgl_kernel
    import torch

    del topk, renormalize
    indices = torch.empty_like(topk_ids)

    def call() -> None:
        sgl_kernel.topk_softmax(topk_weights, topk_ids, indices, gating_output)

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
    import sgl_kernel

    del topk

    def call() -> None:
        sgl_kernel.topk_sigmoid(topk_weights, topk_ids, gating_output, renormalize, correction_bias)

    return call


VARIANTS = (
    PeerVariant(
        "topk_softmax",
        "topk_softmax",
        (
            Form(
                "sgl_kernel:topk_softmax",
                ("topk_weights", "topk_ids", "gating_output", "renormalize"),
                bind_topk_softmax,
            ),
            Form(
                "sgl_kernel:topk_softmax",
                ("topk_weights", "topk_ids", "token_expert_indices", "gating_output"),
                bind_old_topk_softmax,
                limits=(only_param("renormalize", NO, "does not renormalise", OLD, "contract"),),
            ),
        ),
        (dense_rows(SOFTMAX), aligned_rows(SOFTMAX)),
    ),
    PeerVariant(
        "topk_sigmoid",
        "topk_sigmoid",
        (
            Form(
                "sgl_kernel:topk_sigmoid",
                ("topk_weights", "topk_ids", "gating_output", "renormalize", "correction_bias"),
                bind_topk_sigmoid,
            ),
        ),
        (dense_rows(SIGMOID), aligned_rows(SIGMOID)),
    ),
)
