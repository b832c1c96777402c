"""Launching the gating kernels that go by the order of the logits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from rocmoe.ops.core.launch import launch
from rocmoe.ops.core.sizes import divide_up, grow_to_power_of_2
from rocmoe.ops.core.variants import Variant
from rocmoe.ops.kernels.shared.logit_gating import select_by_lists, select_in_rounds
from rocmoe.ops.kernels.shared.logit_strips import select_by_strips
from rocmoe.ops.kernels.shared.strips import STRIP_EXPERTS

#: Logits that a program holds at once where it chooses in rounds.
LOGITS_A_ROUND = 256


def select_logits(
    gating_output: Any,
    topk: int,
    renormalize: bool,
    *,
    sigmoid: bool,
    variant: Variant,
    announce: bool = False,
) -> tuple[Any, Any]:
    """Launch the variant: topk_weights f32 [T, k] and topk_ids i32 [T, k] of logits [T, E].

    announce: let the next launch start, if it overlaps with this one.
    """
    import torch

    tokens, num_experts = gating_output.shape
    device = gating_output.device
    topk_weights = torch.empty((tokens, topk), dtype=torch.float32, device=device)
    topk_ids = torch.empty((tokens, topk), dtype=torch.int32, device=device)
    kernel, rows, constants = plan_logits(
        num_experts,
        8 * gating_output.element_size(),
        *gating_output.stride(),
        topk,
        bool(renormalize),
        sigmoid,
        variant,
    )
    launch(
        kernel,
        (divide_up(tokens, rows),),
        num_warps=variant["warps"],
        gating_output=gating_output,
        topk_weights=topk_weights,
        topk_ids=topk_ids,
        tokens=tokens,
        ANNOUNCE=announce,
        **constants,
    )
    return topk_weights, topk_ids


@cache
def plan_logits(
    num_experts: int,
    bits: int,
    token_stride: int,
    expert_stride: int,
    topk: int,
    renormalize: bool,
    sigmoid: bool,
    variant: Variant,
) -> tuple[Any, int, Mapping[str, Any]]:
    """The kernel, its rows a program, and its arguments that do not change from call to call."""
    width = grow_to_power_of_2(num_experts)
    round_rows = min(variant["rows"], max(1, LOGITS_A_ROUND // width))
    constants: dict[str, Any] = {
        "token_stride": token_stride,
        "E": num_experts,
        "K": topk,
        "SIGMOID": sigmoid,
        "RENORMALIZE": renormalize,
        "EXPERTS": width,
    }
    # Experts of strips lie side by side, and within the reach of 32 bits.
    places = {
        "expert_stride": expert_stride,
        "WIDE": variant["rows"] * token_stride + width * expert_stride >= 2**31,
    }
    if variant.name == "rounds":
        constants |= {"ROWS": round_rows, "SLOTS": grow_to_power_of_2(topk)}
        return select_in_rounds, round_rows, constants | places
    constants |= {
        "ROWS": variant["rows"],
        "SLOTS": max(2, grow_to_power_of_2(topk)),
        "KEYS": variant["keys"],
        "BITS": (num_experts - 1).bit_length(),
        "ROUND_ROWS": round_rows,
    }
    if variant.name == "strips":
        strip = STRIP_EXPERTS[bits]
        constants |= {
            "word_stride": token_stride * bits // 32,
            "LANES": variant["lanes"],
            "STRIP_BITS": (num_experts // strip - 1).bit_length(),
        }
        return select_by_strips, variant["rows"], constants
    constants["COLUMNS"] = variant["columns"]
    return select_by_lists, variant["rows"], constants | places
