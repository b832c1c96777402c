"""topk_sigmoid in portable Triton: by logits where there is no bias, else by biased scores."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.launch import find_arch
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.shared.logit_launch import select_logits
from rocmoe.ops.kernels.shared.logit_variants import LOGIT_VARIANTS, find_sizes
from rocmoe.ops.kernels.shared.score_gating import select_scores
from rocmoe.ops.kernels.shared.score_variants import SCORE_VARIANTS

#: The first rows are for a bias, the others for none.
VARIANTS: tuple[Variant, ...] = (*SCORE_VARIANTS, *LOGIT_VARIANTS)


def topk_sigmoid(
    gating_output: Any, topk: int, renormalize: bool, correction_bias: Any
) -> tuple[Any, Any]:
    """topk_weights f32 [T, k] and topk_ids i32 [T, k] of gating_output [T, E] in any layout.

    correction_bias: f32 [E] or None, added to the scores that are compared.  Descending, lowest
    index among equals; ids are always in range and unique.
    Semantics: sgl-kernel `topk_sigmoid`; without a bias Composable Kernel's topk_sigmoid.
    """
    sizes = find_sizes(gating_output, topk)
    biased = correction_bias is not None
    variant = choose(VARIANTS, find_arch(gating_output), **sizes, scores=int(biased), groups=1)
    if not biased:
        return select_logits(gating_output, topk, renormalize, sigmoid=True, variant=variant)
    return select_scores(
        gating_output, correction_bias, topk, renormalize, scoring="sigmoid", variant=variant
    )
