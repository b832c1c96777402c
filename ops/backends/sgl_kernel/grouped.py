"""sglang's moe_fused_gate: compiled up to sgl-kernel 0.3, in Triton inside sglang since.

Signatures: python/sgl_kernel/moe.py of sgl-kernel 0.3.21 and of sgl-project/sglang @006fc202;
sglang/kernels/ops/moe/moe_fused_gate.py of sglang 0.5.23.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.bias_dtype import round_bias
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import (
    YES,
    aligned_rows,
    dense_rows,
    is_power_of_two,
    only_if,
    only_param,
)
from rocmoe.ops.core.peer import Form, PeerVariant

GATE = "sgl-kernel/csrc/moe/moe_fused_gate.cu @6e2b2c9d"
OLD = "sgl-kernel/python/sgl_kernel/moe.py @006fc202"
KIMI = "sgl-kernel/csrc/moe/kimi_k2_moe_fused_gate.cu @0983bc8a"
ROUTER = "sglang 0.5.23, sglang/kernels/ops/moe/moe_fused_gate.py"


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
) -> Callable[[], Any]:
    """Returns the outputs; the factor is applied to them, the bias has the logits' dtype."""
    import sgl_kernel

    del renormalize, scoring_func
    bias = correction_bias.to(gating_output.dtype)

    def call() -> Any:
        return sgl_kernel.moe_fused_gate(
            gating_output, bias, num_expert_group, topk_group, topk, num_fused_shared_experts,
            routed_scaling_factor, True,
        )  # fmt: skip

    return call


def bind_old_moe_fused_gate(
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
    """As it was before it could apply the factor."""
    import sgl_kernel

    del renormalize, scoring_func, routed_scaling_factor, num_fused_shared_experts
    bias = correction_bias.to(gating_output.dtype)

    def call() -> Any:
        return sgl_kernel.moe_fused_gate(gating_output, bias, num_expert_group, topk_group, topk)

    return call


def bind_kimi_k2_moe_fused_gate(
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
    """One group; the bias must have the logits' dtype."""
    import sgl_kernel

    del num_expert_group, topk_group, scoring_func, num_fused_shared_experts
    bias = correction_bias.to(gating_output.dtype)

    def call() -> Any:
        return sgl_kernel.kimi_k2_moe_fused_gate(
            gating_output, bias, topk, renormalize, routed_scaling_factor, True
        )

    return call


def bind_triton_moe_fused_gate(
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
    """sglang's router in Triton; the bias stays fp32."""
    from sglang.kernels.ops.moe.moe_fused_gate import moe_fused_gate

    def call() -> Any:
        return moe_fused_gate(
            gating_output, correction_bias, topk, scoring_func, num_fused_shared_experts,
            renormalize, routed_scaling_factor, True, 0.0, num_expert_group, topk_group,
        )  # fmt: skip

    return call


def _count_groups(case: Case) -> int:
    return int(case.params["num_expert_group"] or 1)


def _has_bias(case: Case) -> bool:
    return case.params["correction_bias"] is not None


_BIASED = only_if(_has_bias, "wants a bias", GATE, "contract")
_SIGMOID = only_param("scoring_func", ("sigmoid",), "scores by sigmoid", GATE, "contract")
_GATE_TAKES = ("input_tensor", "bias", "num_expert_group", "topk_group", "topk")

VARIANTS = (
    PeerVariant(
        "grouped_topk",
        "moe_fused_gate",
        (
            Form(
                "sgl_kernel:moe_fused_gate",
                (*_GATE_TAKES, "num_fused_shared_experts", "routed_scaling_factor",
                 "apply_routed_scaling_factor_on_output"),
                bind_moe_fused_gate,
            ),
            Form(
                "sgl_kernel:moe_fused_gate",
                _GATE_TAKES,
                bind_old_moe_fused_gate,
                limits=(
                    only_param("routed_scaling_factor", (1.0,), "applies no factor", OLD,
                               "contract"),
                    only_param("num_fused_shared_experts", (0,), "adds no shared experts", OLD,
                               "contract"),
                ),
            ),
        ),
        (
            _BIASED,
            _SIGMOID,
            only_param("renormalize", YES, "always renormalises", GATE, "contract"),
            only_if(lambda case: is_power_of_two(case.sizes["E"]), "wants a power of two for E",
                    GATE),
            only_if(lambda case: case.sizes["E"] // _count_groups(case) <= 32,
                    "wants E / num_expert_group <= 32", GATE),
            dense_rows(GATE),
            aligned_rows(GATE),
        ),
        round_bias,
    ),
    PeerVariant(
        "grouped_topk",
        "kimi_k2_moe_fused_gate",
        (
            Form(
                "sgl_kernel:kimi_k2_moe_fused_gate",
                ("input_tensor", "bias", "topk", "renormalize", "routed_scaling_factor",
                 "apply_routed_scaling_factor_on_output"),
                bind_kimi_k2_moe_fused_gate,
            ),
        ),
        (
            only_if(_has_bias, "wants a bias", KIMI, "contract"),
            only_param("scoring_func", ("sigmoid",), "scores by sigmoid", KIMI, "contract"),
            only_param("num_expert_group", (1,), "has one group", KIMI, "contract"),
            only_param("num_fused_shared_experts", (0,), "adds no shared experts", KIMI,
                       "contract"),
            only_if(lambda case: case.sizes["E"] == 384, "wants E = 384", KIMI),
            dense_rows(KIMI),
            aligned_rows(KIMI),
        ),
        round_bias,
    ),
    PeerVariant(
        "grouped_topk",
        "triton_moe_fused_gate",
        (
            Form(
                "sglang.kernels.ops.moe.moe_fused_gate:moe_fused_gate",
                ("scores", "bias", "topk", "scoring_func", "num_fused_shared_experts",
                 "renormalize", "routed_scaling_factor", "apply_routed_scaling_factor_on_output",
                 "moe_softcapping", "num_expert_group", "topk_group"),
                bind_triton_moe_fused_gate,
            ),
        ),
        (
            only_if(lambda case: _has_bias(case) or case.params["scoring_func"] == "softmax",
                    "wants a bias, but for softmax", ROUTER),
            only_if(lambda case: _has_bias(case) or _count_groups(case) == 1,
                    "scores groups by the sum of their two best, which the op does with a bias",
                    ROUTER, "contract"),
        ),
    ),
)  # fmt: skip
