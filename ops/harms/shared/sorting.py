"""Harmed kernels that moe_sorting and its fusions can have, made from a right one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.sorting import SORTING_OUTPUTS
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    Kernel,
    fix_inputs,
    spoil_outputs,
    write_past_end,
    write_where,
)
from rocmoe.ops.harms.shared.blocks import list_block_harms, list_spoiled
from rocmoe.ops.harms.shared.sorting_spoilers import SPOILERS, find_topk, open_sort, read_slots


def list_sorting_harms(run: Kernel) -> tuple[Harm, ...]:
    """The harms that need nothing of a sorting op but its inputs and outputs."""
    return (
        *list_block_harms(run, open_sort, counter=3),
        *list_spoiled(run, open_sort, SPOILERS),
        Harm("masked_expert_kept", "expert_mask is ignored", fix_inputs(run, expert_mask=None)),
        Harm("padded_rows_kept", "rows past the local ones are sorted too", _keep_padded_rows(run)),
        Harm("write_past_end", "one element past sorted_ids is written",
             write_past_end(run, SORTING_OUTPUTS, "sorted_ids")),
        Harm("rely_on_prefill", "padding is left to what the buffer held",
             write_where(run, SORTING_OUTPUTS, _find_pairs)),
    )  # fmt: skip


def _keep_padded_rows(run: Kernel) -> Kernel:
    def count_local(inputs: Inputs, *outputs: Any) -> Any:
        if inputs["num_local_tokens"] is not None:
            outputs[3][1:] = inputs["num_local_tokens"]
        return outputs

    return spoil_outputs(fix_inputs(run, num_local_tokens=None), count_local)


def _find_pairs(inputs: Inputs, ids: Any, *others: Any) -> Mapping[str, Any]:
    """Ids and weights are written where pairs go and nowhere else."""
    pairs = read_slots(ids) != find_topk(inputs)
    return {"sorted_ids": pairs, "sorted_weights": pairs}
