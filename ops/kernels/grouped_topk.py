"""grouped_topk in portable Triton: a sorted list a group, then one of the groups kept."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.launch import find_arch
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.shared.logit_variants import find_sizes
from rocmoe.ops.kernels.shared.score_gating import select_scores
from rocmoe.ops.kernels.shared.score_variants import SCORE_VARIANTS, fits_groups

VARIANTS: tuple[Variant, ...] = SCORE_VARIANTS


def grouped_topk(
    gating_output: Any,
    correction_bias: Any,
    topk: int,
    renormalize: bool,
    num_expert_group: int,
    topk_group: int,
    scoring_func: str,
    routed_scaling_factor: float,
    num_fused_shared_experts: int,
) -> tuple[Any, Any]:
    """topk_weights f32 [T, k] and topk_ids i32 [T, k] of gating_output [T, E] in any layout.

    Descending, lowest index among equals, for groups and experts; ids are always in range and
    unique, those of shared experts E, E + 1, ... in the last columns.
    Semantics: aiter `biased_grouped_topk_hip` and `grouped_topk` (@e4048607), sgl-kernel
    `moe_fused_gate`, vLLM `grouped_topk`.
    """
    sizes = find_sizes(gating_output, topk)
    if num_expert_group > 1:
        sizes["strips"] &= fits_groups(sizes["E"] // num_expert_group, topk_group, topk)
    arch = find_arch(gating_output)
    variant = choose(VARIANTS, arch, **sizes, scores=1, groups=num_expert_group)
    return select_scores(
        gating_output,
        correction_bias,
        topk,
        renormalize,
        scoring=scoring_func,
        variant=variant,
        groups=num_expert_group,
        topk_group=topk_group,
        factor=routed_scaling_factor,
        shared=num_fused_shared_experts,
    )
