"""Harmed kernels of moe_align_block_size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    Outputs,
    spoil_outputs,
    write_past_end,
    write_where,
)
from rocmoe.ops.harms.shared.blocks import (
    Blocks,
    Spoilers,
    count_block_more,
    fill_tail,
    list_block_harms,
    list_spoiled,
    lower_experts,
)
from rocmoe.ops.harms.shared.paths import list_layout_harms
from rocmoe.ops.harms.shared.values import lower_large
from rocmoe.ops.moe_align_block_size import SPEC, run_torch


@dataclass
class Aligned(Blocks):
    """A right sort of flat ids; numel is the number of pairs, and what padding holds."""

    numel: int

    def find_pairs(self) -> Any:
        """True [P] at ids of pairs."""
        return self.ids < self.numel

    def find_tokens(self) -> Any:
        """Ids are token * k + slot."""
        return self.ids // self.topk

    def blank(self, places: Any) -> None:
        """Turn places, a mask or indices, into padding."""
        self.ids[places] = self.numel


def _open(inputs: Inputs, ids: Any, experts: Any, total: Any) -> Aligned:
    pairs = inputs["topk_ids"]
    return Aligned(ids, experts, total, inputs["block_size"], pairs.shape[1], pairs.numel())


def _lower_ids(answer: Aligned) -> None:
    answer.ids.copy_(lower_large(answer.ids).where(answer.find_pairs(), answer.ids))


def _wrap_ids(answer: Aligned) -> None:
    answer.ids.copy_((answer.ids & 0xFFFF).where(answer.find_pairs(), answer.ids))


def _find_pairs(inputs: Inputs, ids: Any, *others: Any) -> Mapping[str, Any]:
    """Ids are written where pairs go and nowhere else."""
    return {"sorted_token_ids": ids < inputs["topk_ids"].numel()}


def _mutate_input(inputs: Inputs, *outputs: Any) -> Outputs:
    """topk_ids are sorted in place."""
    topk_ids = inputs["topk_ids"]
    topk_ids.copy_(topk_ids.sort(dim=1, descending=True).values)
    return outputs


_SPOILERS: Spoilers[Aligned] = (
    ("id_off_by_one", "ids from 99 on are one too low", False, _lower_ids),
    ("wrap_ids", "pairs are counted in 16 bits", False, _wrap_ids),
    ("padding_last_pair", "padding is the last pair", False,
     lambda answer: answer.fill_padding(answer.numel - 1)),
    ("padding_negative", "padding is -1", False, lambda answer: answer.fill_padding(-1)),
    ("expert_off_by_one", "experts from 99 on are one too low", False, lower_experts),
    ("block_too_many", "a block too many is counted", False, count_block_more),
    ("count_unpadded", "the count leaves out the padding", False,
     lambda answer: answer.counts.fill_(answer.numel)),
    ("padding_high", "padding is 2^31 - 1", True, lambda answer: answer.fill_padding(2**31 - 1)),
    ("garbage_tail", "garbage past the last block", True, fill_tail),
)  # fmt: skip

HARMS = (
    *list_block_harms(run_torch, _open, counter=2),
    *list_spoiled(run_torch, _open, _SPOILERS),
    Harm("write_past_end", "one element past expert_ids is written",
         write_past_end(run_torch, SPEC.outputs, "expert_ids")),
    Harm("rely_on_prefill", "padding is left to what the buffer held",
         write_where(run_torch, SPEC.outputs, _find_pairs)),
    *list_layout_harms(run_torch, ("topk_ids",), "few",
                       lambda inputs: len(inputs["topk_ids"]) <= 16),
    *list_layout_harms(run_torch, ("topk_ids",), "many",
                       lambda inputs: len(inputs["topk_ids"]) > 2048),
    Harm("mutate_input", "topk_ids are sorted in place", spoil_outputs(run_torch, _mutate_input)),
)  # fmt: skip
