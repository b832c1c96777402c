"""aiter's gating with groups, a bias or a factor.

Signatures and limits of ROCm/aiter @e4048607: aiter/ops/topk.py and the sources named.  Its
kernels read correction_bias in the dtype of the logits and do not look whether it has it, but for
topk_gating, whose bias is fp32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.bias_dtype import round_bias
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import YES, at_most, dense_rows, only_if, only_param
from rocmoe.ops.core.peer import Form, PeerVariant

GROUP = "csrc/kernels/topk_softmax_kernels_group.cu @e4048607"
FUSED_GATE = "csrc/kernels/moe_fused_gate.cu @e4048607"
GATING = "csrc/kernels/topk_gating_kernels.cu @e4048607"
TOPK = "aiter/ops/topk.py @e4048607"


def bind_biased_grouped_topk_hip(
    gating_output: Any,
    correction_bias: Any,
    topk: int,
    renormalize: bool,
    num_expert_group: int,
    topk_group: int,
    scoring_func: str,
    routed_scaling_factor: float,
    num_fused_shared_experts: int,
    topk_weights: Any,
    topk_ids: Any,
) -> Callable[[], Any]:
    """Sigmoid with a bias, groups by the sum of their two best."""
    import aiter

    del topk, scoring_func, num_fused_shared_experts
    bias = correction_bias.to(gating_output.dtype)

    def call() -> None:
        aiter.biased_grouped_topk_hip(
            gating_output, bias, topk_weights, topk_ids, num_expert_group, topk_group,
            renormalize, routed_scaling_factor,
        )  # fmt: skip

    return call


def bind_biased_grouped_topk(
    gating_output: Any,
    correction_bias: Any,
    topk: int,
    renormalize: bool,
    num_expert_group: int,
    topk_group: int,
    scoring_func: str,
    routed_scaling_factor: float,
    num_fused_shared_experts: int,
    topk_weights: Any,
    topk_ids: Any,
) -> Callable[[], Any]:
    """aiter's own choice between the kernel in HIP and moe_fused_gate, by the number of tokens."""
    import aiter

    del topk, scoring_func, num_fused_shared_experts
    bias = correction_bias.to(gating_output.dtype)

    def call() -> None:
        aiter.biased_grouped_topk(
            gating_output, bias, topk_weights, topk_ids, num_expert_group, topk_group,
            renormalize, routed_scaling_factor,
        )  # fmt: skip

    return call


def bind_moe_fused_gate(
    gating_output: Any,
    correction_bias: Any,
    topk: int,
    renormalize: bool,
    num_expert_group: int,
    topk_group: int,
    scoring_func: str,
    routed_scaling_factor: float,
    num_fused_shared_experts: int,
    topk_weights: Any,
    topk_ids: Any,
) -> Callable[[], Any]:
    """Sigmoid with a bias; always renormalises."""
    import aiter

    del renormalize, scoring_func
    bias = correction_bias.to(gating_output.dtype)

    def call() -> None:
        aiter.moe_fused_gate(
            gating_output, bias, topk_weights, topk_ids, num_expert_group, topk_group, topk,
            num_fused_shared_experts, routed_scaling_factor,
        )  # fmt: skip

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
    topk_weights: Any,
    topk_ids: Any,
) -> Callable[[], Any]:
    """Softmax or sigmoid without a bias, groups by their best."""
    import aiter

    del correction_bias, topk, num_fused_shared_experts
    is_softmax = scoring_func == "softmax"

    def call() -> None:
        aiter.grouped_topk(
            gating_output, topk_weights, topk_ids, num_expert_group, topk_group, renormalize,
            is_softmax, routed_scaling_factor,
        )  # fmt: skip

    return call


def bind_topk_gating(
    gating_output: Any,
    correction_bias: Any,
    topk: int,
    renormalize: bool,
    num_expert_group: int,
    topk_group: int,
    scoring_func: str,
    routed_scaling_factor: float,
    num_fused_shared_experts: int,
    topk_weights: Any,
    topk_ids: Any,
) -> Callable[[], Any]:
    """The unified kernel: any scores, one group."""
    import aiter

    del topk, num_expert_group, topk_group, num_fused_shared_experts

    def call() -> None:
        aiter.topk_gating(
            topk_weights, topk_ids, gating_output, correction_bias=correction_bias,
            need_renorm=renormalize, routed_scaling_factor=routed_scaling_factor,
            score_func=scoring_func,
        )  # fmt: skip

    return call


def _has_bias(case: Case) -> bool:
    return case.params["correction_bias"] is not None


def _fits_a_thread(case: Case) -> bool:
    return case.sizes["E"] // int(case.params["num_expert_group"] or 1) <= 32


_BIASED = only_if(_has_bias, "wants a bias", TOPK, "contract")
_UNBIASED = only_if(lambda case: not _has_bias(case), "has no bias", TOPK, "contract")
_SIGMOID = only_param("scoring_func", ("sigmoid",), "scores by sigmoid", TOPK, "contract")
_NOT_SHARED = only_param("num_fused_shared_experts", (0,), "adds no shared experts", TOPK,
                         "contract")  # fmt: skip
_GROUPS = only_param("num_expert_group", (1, 2, 4, 8), "wants 1, 2, 4 or 8 groups", GROUP,
                     "checked")  # fmt: skip
_K = at_most("k", 64, GROUP, "unchecked")
_IN_PLACE = ("gating_output", "correction_bias", "topk_weights", "topk_ids", "num_expert_group")

VARIANTS = (
    PeerVariant(
        "grouped_topk",
        "biased_grouped_topk_hip",
        (
            Form(
                "aiter:biased_grouped_topk_hip",
                (*_IN_PLACE, "topk_grp", "need_renorm", "routed_scaling_factor"),
                bind_biased_grouped_topk_hip,
            ),
        ),
        (_BIASED, _SIGMOID, _NOT_SHARED, _GROUPS, _K),
        round_bias,
    ),
    PeerVariant(
        "grouped_topk",
        "grouped_topk",
        (
            Form(
                "aiter:grouped_topk",
                ("gating_output", "topk_weights", "topk_ids", "num_expert_group", "topk_group",
                 "need_renorm", "is_softmax", "routed_scaling_factor"),
                bind_grouped_topk,
            ),
        ),
        (
            _UNBIASED,
            only_param("scoring_func", ("softmax", "sigmoid"), "scores by softmax or sigmoid",
                       TOPK, "contract"),
            _NOT_SHARED,
            _GROUPS,
            _K,
        ),
    ),
    PeerVariant(
        "grouped_topk",
        "topk_gating",
        (
            Form(
                "aiter:topk_gating",
                ("topk_weights", "topk_indices", "gating_output"),
                bind_topk_gating,
                ("correction_bias", "need_renorm", "routed_scaling_factor", "score_func"),
            ),
        ),
        (
            only_param("num_expert_group", (1,), "has one group", TOPK, "contract"),
            _NOT_SHARED,
            at_most("k", 64, GATING),
            dense_rows(GATING),
        ),
    ),
    PeerVariant(
        "grouped_topk",
        "moe_fused_gate",
        (
            Form(
                "aiter:moe_fused_gate",
                ("input", "bias", "topk_weights", "topk_ids", "num_expert_group", "topk_group",
                 "topk", "n_share_experts_fusion", "routed_scaling_factor"),
                bind_moe_fused_gate,
            ),
        ),
        (
            _BIASED,
            _SIGMOID,
            only_param("renormalize", YES, "always renormalises", FUSED_GATE, "contract"),
            only_if(_fits_a_thread, "wants E / num_expert_group <= 32", FUSED_GATE),
            dense_rows(FUSED_GATE),
        ),
        round_bias,
    ),
    PeerVariant(
        "grouped_topk",
        "biased_grouped_topk",
        (
            Form(
                "aiter:biased_grouped_topk",
                (*_IN_PLACE, "topk_group", "need_renorm", "routed_scaling_factor"),
                bind_biased_grouped_topk,
            ),
        ),
        (_BIASED, _SIGMOID, _NOT_SHARED, _GROUPS, _K),
        round_bias,
    ),
)  # fmt: skip
