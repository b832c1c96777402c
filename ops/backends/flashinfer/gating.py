"""FlashInfer's fused_topk_deepseek: sigmoid with a bias, groups, always renormalised and scaled.

Signature and limits: flashinfer/fused_moe/fused_routing_dsv3.py of flashinfer-python 0.7.2.post1.
Weights come in the logits' dtype, so that only fp32 gives the op's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.backends.flashinfer.limits import some_rows
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import (
    YES,
    at_most,
    dense_rows,
    only_arch,
    only_dtypes,
    only_if,
    only_param,
)
from rocmoe.ops.core.peer import Form, PeerVariant

SOURCE = "flashinfer/fused_moe/fused_routing_dsv3.py of flashinfer-python 0.7.2.post1"
KERNEL = "flashinfer/data/csrc/fused_moe/noAuxTcKernels.cu of flashinfer-python 0.7.2.post1"


def bind_fused_topk_deepseek(
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
    """Writes both outputs."""
    from flashinfer.fused_moe import fused_topk_deepseek

    del renormalize, scoring_func, num_fused_shared_experts

    def call() -> None:
        fused_topk_deepseek(
            gating_output, correction_bias, num_expert_group, topk_group, topk,
            routed_scaling_factor, topk_weights, topk_ids,
        )  # fmt: skip

    return call


def _count_groups(case: Case) -> int:
    return int(case.params["num_expert_group"] or 1)


def _fits(case: Case) -> bool:
    """E <= 256, E / G <= 32 and E / G * topk_group <= 128 with groups, E <= 384 without."""
    experts, groups = case.sizes["E"], _count_groups(case)
    if groups == 1:
        return experts <= 384
    kept = experts // groups * int(case.params["topk_group"] or 1)
    return experts <= 256 and experts // groups <= 32 and kept <= 128


def _is_counted(case: Case) -> bool:
    """A warp a group, of 8; room for 4 groups that are kept; a group's score takes two experts."""
    groups = _count_groups(case)
    kept = int(case.params["topk_group"] or 1)
    return groups == 1 or (groups <= 8 and kept <= 4 and case.sizes["E"] // groups >= 2)


VARIANTS = (
    PeerVariant(
        "grouped_topk",
        "fused_topk_deepseek",
        (
            Form(
                "flashinfer.fused_moe:fused_topk_deepseek",
                ("scores", "bias", "n_group", "topk_group", "topk", "routed_scaling_factor",
                 "topk_values", "topk_indices"),
                bind_fused_topk_deepseek,
            ),
        ),
        (
            only_arch(SOURCE, "sm89", "sm90", "sm10", "sm12"),
            only_if(lambda case: case.params["correction_bias"] is not None, "wants a bias",
                    SOURCE, "contract"),
            only_param("scoring_func", ("sigmoid",), "scores by sigmoid", SOURCE, "contract"),
            only_param("renormalize", YES, "always renormalises", SOURCE, "contract"),
            only_param("num_fused_shared_experts", (0,), "adds no shared experts", SOURCE,
                       "contract"),
            only_dtypes(SOURCE, "fp32", kind="contract"),
            at_most("k", 8, SOURCE),
            only_if(lambda case: _count_groups(case) <= 32, "wants at most 32 groups", SOURCE),
            only_if(_fits, "wants E <= 384, or E <= 256 in groups of 32 with 128 experts kept",
                    KERNEL),
            only_if(lambda case: case.sizes["k"] <= _count_groups(case)
                    * int(case.params["topk_group"] or 1),
                    "wants topk_group * num_expert_group >= k", SOURCE),
            dense_rows(SOURCE, "checked"),
            only_if(_is_counted, "has room for 8 groups of 2 or more, of which 4 are kept", KERNEL,
                    "unchecked"),
            some_rows(KERNEL, "unchecked"),
        ),
    ),
)  # fmt: skip
