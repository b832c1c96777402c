"""topk_softmax in portable Triton: sorted lists of keys that order as the logits do."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.launch import find_arch
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.shared.logit_launch import select_logits
from rocmoe.ops.kernels.shared.logit_variants import LOGIT_VARIANTS, find_sizes

VARIANTS: tuple[Variant, ...] = LOGIT_VARIANTS


def topk_softmax(gating_output: Any, topk: int, renormalize: bool) -> tuple[Any, Any]:
    """topk_weights f32 [T, k] and topk_ids i32 [T, k] of gating_output [T, E] in any layout.

    Descending, lowest index among equals; ids are always in range and unique.
    Semantics: vLLM `topk_softmax` (csrc/moe/topk_softmax_kernels.cu).
    """
    return select_softmax(gating_output, topk, renormalize)


def select_softmax(
    gating_output: Any, topk: int, renormalize: bool, *, announce: bool = False
) -> tuple[Any, Any]:
    """As `topk_softmax`; announce: let the next launch start, if it overlaps with this one."""
    variant = choose(VARIANTS, find_arch(gating_output), **find_sizes(gating_output, topk))
    return select_logits(
        gating_output, topk, renormalize, sigmoid=False, variant=variant, announce=announce
    )
