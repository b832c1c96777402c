"""aiter's gating without groups: topk_softmax in HIP and assembly, topk_gating, CK's topk_sigmoid.

Signatures and limits of ROCm/aiter @e4048607: aiter/ops/moe_op.py, aiter/ops/topk.py,
aiter/fused_moe.py and the sources named at each limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import (
    NO,
    NO_BIAS,
    at_most,
    dense_rows,
    only_arch,
    only_dtypes,
    only_if,
    only_param,
)
from rocmoe.ops.core.peer import Form, PeerVariant

ASM = "csrc/py_itfs_cu/asm_topksoftmax.cu @e4048607"
CK = "csrc/py_itfs_ck/topk_sigmoid_kernels.cu @e4048607"
CK_SIZES = "composable_kernel example/ck_tile/09_topk_softmax/topk_softmax_api.cpp @078ec9d"
GATING = "csrc/kernels/topk_gating_kernels.cu @e4048607"
FUSED = "aiter/fused_moe.py @e4048607"

#: (E, k) that assembly was written for.
ASM_SHAPES = ((128, 4), (128, 6), (128, 8), (256, 6), (256, 8), (384, 8), (640, 8))


def bind_topk_softmax(
    gating_output: Any, topk: int, renormalize: bool, topk_weights: Any, topk_ids: Any
) -> Callable[[], Any]:
    """Writes both outputs; the extra token_expert_indices are scratch."""
    import aiter
    import torch

    del topk
    indices = torch.empty_like(topk_ids)

    def call() -> None:
        aiter.topk_softmax(topk_weights, topk_ids, indices, gating_output, renormalize)

    return call


def bind_topk_softmax_asm(
    gating_output: Any, topk: int, renormalize: bool, topk_weights: Any, topk_ids: Any
) -> Callable[[], Any]:
    """As `bind_topk_softmax`, in assembly of gfx942 and gfx950."""
    import aiter
    import torch

    del topk
    indices = torch.empty_like(topk_ids)

    def call() -> None:
        aiter.topk_softmax_asm(topk_weights, topk_ids, indices, gating_output, renormalize)

    return call


def bind_fused_topk(
    gating_output: Any, topk: int, renormalize: bool, topk_weights: Any, topk_ids: Any
) -> Callable[[], Any]:
    """aiter's own choice of the two; its first argument is only asked for its shape and device."""
    from aiter.fused_moe import fused_topk

    def call() -> None:
        fused_topk(gating_output, gating_output, topk, renormalize, topk_ids, topk_weights)

    return call


def bind_topk_gating_softmax(
    gating_output: Any, topk: int, renormalize: bool, topk_weights: Any, topk_ids: Any
) -> Callable[[], Any]:
    """The unified kernel with softmax scores and no bias."""
    import aiter

    del topk

    def call() -> None:
        aiter.topk_gating(
            topk_weights, topk_ids, gating_output,
            need_renorm=renormalize, routed_scaling_factor=1.0, score_func="softmax",
        )  # fmt: skip

    return call


def bind_topk_gating_sigmoid(
    gating_output: Any,
    topk: int,
    renormalize: bool,
    correction_bias: Any,
    topk_weights: Any,
    topk_ids: Any,
) -> Callable[[], Any]:
    """The unified kernel with sigmoid scores and, if there is one, an fp32 bias."""
    import aiter

    del topk

    def call() -> None:
        aiter.topk_gating(
            topk_weights, topk_ids, gating_output, correction_bias=correction_bias,
            need_renorm=renormalize, routed_scaling_factor=1.0, score_func="sigmoid",
        )  # fmt: skip

    return call


def bind_topk_sigmoid(
    gating_output: Any,
    topk: int,
    renormalize: bool,
    correction_bias: Any,
    topk_weights: Any,
    topk_ids: Any,
) -> Callable[[], Any]:
    """CK's kernel, which has no bias and does not renormalise."""
    import aiter

    del topk, renormalize, correction_bias

    def call() -> None:
        aiter.topk_sigmoid(topk_weights, topk_ids, gating_output)

    return call


def _is_asm_shape(case: Case) -> bool:
    return (case.sizes["E"], case.sizes["k"]) in ASM_SHAPES


_OLD = ("topk_weights", "topk_indices", "token_expert_indices", "gating_output", "need_renorm")
_OPTIONS = ("need_renorm", "routed_scaling_factor", "score_func")
_GATING_LIMITS = (at_most("k", 64, GATING), dense_rows(GATING))

VARIANTS = (
    PeerVariant(
        "topk_softmax",
        "topk_softmax_asm",
        (Form("aiter:topk_softmax_asm", _OLD, bind_topk_softmax_asm),),
        (
            only_arch(ASM, "gfx942", "gfx950"),
            only_if(_is_asm_shape, "wants (E, k): 128 with 4, 6, 8; 256 with 6, 8; 384, 640 with 8",
                    FUSED),
            only_dtypes(ASM, "fp32", "bf16"),
            dense_rows(ASM),
        ),
    ),
    PeerVariant(
        "topk_softmax",
        "topk_softmax",
        (Form("aiter:topk_softmax", _OLD, bind_topk_softmax),),
    ),
    PeerVariant(
        "topk_softmax",
        "topk_gating",
        (
            Form(
                "aiter:topk_gating",
                ("topk_weights", "topk_indices", "gating_output"),
                bind_topk_gating_softmax,
                _OPTIONS,
            ),
        ),
        _GATING_LIMITS,
    ),
    PeerVariant(
        "topk_softmax",
        "fused_topk",
        (
            Form(
                "aiter.fused_moe:fused_topk",
                ("hidden_states", "gating_output", "topk", "renormalize", "topk_ids",
                 "topk_weights"),
                bind_fused_topk,
            ),
        ),
    ),
    PeerVariant(
        "topk_sigmoid",
        "topk_gating",
        (
            Form(
                "aiter:topk_gating",
                ("topk_weights", "topk_indices", "gating_output"),
                bind_topk_gating_sigmoid,
                ("correction_bias", *_OPTIONS),
            ),
        ),
        _GATING_LIMITS,
    ),
    PeerVariant(
        "topk_sigmoid",
        "topk_sigmoid",
        (
            Form(
                "aiter:topk_sigmoid",
                ("topk_weights", "topk_indices", "gating_output"),
                bind_topk_sigmoid,
            ),
        ),
        (
            only_param("correction_bias", NO_BIAS, "has no bias", CK, "contract"),
            only_param("renormalize", NO, "does not renormalise", CK, "contract"),
            at_most("E", 192, CK_SIZES, "unchecked"),
            only_dtypes(CK_SIZES, "fp16", "bf16", kind="unchecked"),
            dense_rows(CK),
        ),
    ),
)  # fmt: skip
