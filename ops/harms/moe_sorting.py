"""Harmed kernels of moe_sorting."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.harms.shared.any_op import Inputs, Outputs, spoil_outputs
from rocmoe.ops.harms.shared.sorting import list_sorting_harms
from rocmoe.ops.moe_sorting import run_torch


def _mutate_input(inputs: Inputs, *outputs: Any) -> Outputs:
    """topk_ids are replaced by local ids in place, where a mask makes them differ."""
    topk_ids, expert_mask = inputs["topk_ids"], inputs["expert_mask"]
    if expert_mask is not None:
        ranks = expert_mask.cumsum(0) - 1
        topk_ids.copy_(ranks[topk_ids.long().clamp(0, len(ranks) - 1)])
    return outputs


HARMS = (
    *list_sorting_harms(run_torch),
    Harm("mutate_input", "topk_ids are overwritten with local ids",
         spoil_outputs(run_torch, _mutate_input)),
)  # fmt: skip
