"""Harmed kernels of moe_align_block_size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.harms.shared.sorting import CacheByPointer, Stale, Uncleared, write_past
from rocmoe.ops.moe_align_block_size import run_torch


@dataclass
class Aligned:
    """A right answer, to be spoiled in place, and what a spoiler needs to know of the call."""

    ids: Any
    experts: Any
    total: Any
    topk: int
    numel: int
    block_size: int

    @property
    def end(self) -> int:
        """The padded total."""
        return int(self.total[0])

    @property
    def blocks(self) -> Any:
        """The experts of the blocks, a view."""
        return self.experts[: self.end // self.block_size]

    def find_pairs(self) -> Any:
        """True [P] at pairs."""
        return self.ids < self.numel

    def find_padding(self) -> Any:
        """True [P] at the padding of blocks."""
        padding = ~self.find_pairs()
        padding[self.end :] = False
        return padding


def _spoil(change: Callable[[Aligned], Any]) -> Callable[..., Any]:
    def harmed(topk_ids: Any, num_experts: int, block_size: int) -> Any:
        outputs = run_torch(topk_ids, num_experts, block_size)
        change(Aligned(*outputs, topk_ids.shape[1], topk_ids.numel(), block_size))
        return outputs

    return harmed


def _lower_ids(answer: Aligned) -> None:
    answer.ids.sub_((answer.find_pairs() & (answer.ids >= 99)).int())


def _lose_slots(answer: Aligned) -> None:
    answer.ids.copy_((answer.ids // answer.topk).where(answer.find_pairs(), answer.ids))


def _drop_pair(answer: Aligned) -> None:
    answer.ids[answer.find_pairs().nonzero()[-1:]] = answer.numel


def _drop_token_lane(answer: Aligned) -> None:
    lost = answer.find_pairs() & (answer.ids // answer.topk % 64 == 63)
    answer.ids.masked_fill_(lost, answer.numel)


def _repeat_pair(answer: Aligned) -> None:
    place = answer.find_padding().nonzero()[:1]
    answer.ids[place] = answer.ids[place - 1]


def _swap_pairs(answer: Aligned) -> None:
    pairs = answer.find_pairs().nonzero().flatten()
    ends = pairs[:: max(len(pairs) - 1, 1)]
    answer.ids[ends] = answer.ids[ends].flip(0)


def _rotate_blocks(answer: Aligned) -> None:
    answer.blocks.copy_(answer.blocks.roll(1))


def _lower_experts(answer: Aligned) -> None:
    answer.blocks.sub_((answer.blocks >= 99).int())


def _insert_empty_block(answer: Aligned) -> None:
    """A block of padding for an expert without tokens comes first."""
    end, size = answer.end, answer.block_size
    if end + size > len(answer.ids):
        return
    answer.ids[size : end + size] = answer.ids[:end].clone()
    answer.ids[:size] = answer.numel
    answer.experts[1 : end // size + 1] = answer.blocks.clone()
    answer.experts[0] = 0
    answer.total += size


def _count_unpadded(answer: Aligned) -> None:
    answer.total.fill_(answer.numel)


def _leave_padding(answer: Aligned) -> None:
    """Padding is never written, as aiter leaves it to the caller, who has to fill it before."""
    import torch

    answer.ids.copy_(torch.empty_like(answer.ids).where(answer.find_padding(), answer.ids))


def _reverse_runs(answer: Aligned) -> None:
    """Pairs descend inside an expert; padding still follows them."""
    import torch

    pairs = answer.find_pairs().nonzero().flatten()
    owners = answer.blocks[pairs // answer.block_size].flip(0)
    order = torch.sort(owners, stable=True).indices
    answer.ids[pairs] = answer.ids[pairs].flip(0)[order]


def _fill_tail(answer: Aligned) -> None:
    answer.ids[answer.end :] = 0
    answer.experts[answer.end // answer.block_size :] = -7


def _write_past_end(
    topk_ids: Any,
    num_experts: int,
    block_size: int,
    sorted_token_ids: Any,
    expert_ids: Any,
    num_tokens_post_pad: Any,
) -> None:
    """The expert of one block more than there is room for is written."""
    given = (sorted_token_ids, expert_ids, num_tokens_post_pad)
    for tensor, right in zip(given, run_torch(topk_ids, num_experts, block_size), strict=True):
        tensor.copy_(right)
    write_past(expert_ids)


def _rely_on_prefill(
    topk_ids: Any,
    num_experts: int,
    block_size: int,
    sorted_token_ids: Any,
    expert_ids: Any,
    num_tokens_post_pad: Any,
) -> None:
    """Ids are written where pairs go and nowhere else."""
    ids, experts, total = run_torch(topk_ids, num_experts, block_size)
    pairs = ids < topk_ids.numel()
    sorted_token_ids[pairs] = ids[pairs]
    expert_ids.copy_(experts)
    num_tokens_post_pad.copy_(total)


def _mutate_input(topk_ids: Any, num_experts: int, block_size: int) -> Any:
    """topk_ids are sorted in place."""
    outputs = run_torch(topk_ids, num_experts, block_size)
    topk_ids.copy_(topk_ids.sort(dim=1, descending=True).values)
    return outputs


def _pad_with(padding: Callable[[Aligned], int]) -> Callable[..., Any]:
    return _spoil(lambda answer: answer.ids.masked_fill_(answer.find_padding(), padding(answer)))


HARMS = (
    Harm("id_off_by_one", "ids from 99 on are one too low", _spoil(_lower_ids)),
    Harm("slot_lost", "ids are tokens, not token * k + slot", _spoil(_lose_slots)),
    Harm("drop_pair", "one pair is missing", _spoil(_drop_pair)),
    Harm("drop_token_lane", "tokens of lane 63 of every 64 are missing", _spoil(_drop_token_lane)),
    Harm("repeat_pair", "one pair stands twice, in place of padding", _spoil(_repeat_pair)),
    Harm("swap_pairs", "two pairs stand in each other's expert", _spoil(_swap_pairs)),
    Harm("padding_zero", "padding is 0, which is token 0 slot 0", _pad_with(lambda answer: 0)),
    Harm("padding_last_pair", "padding is the last pair", _pad_with(lambda a: a.numel - 1)),
    Harm("padding_negative", "padding is -1", _pad_with(lambda answer: -1)),
    Harm("leave_padding", "the padding of blocks is never written", _spoil(_leave_padding)),
    Harm("rotate_blocks", "every block names the expert before", _spoil(_rotate_blocks)),
    Harm("expert_off_by_one", "experts from 99 on are one too low", _spoil(_lower_experts)),
    Harm("empty_expert_block", "an expert without tokens has a block", _spoil(_insert_empty_block)),
    Harm(
        "block_too_many",
        "a block too many is counted",
        _spoil(lambda answer: answer.total.add_(answer.block_size)),
    ),
    Harm("count_unpadded", "the count leaves out the padding", _spoil(_count_unpadded)),
    Harm("write_past_end", "one element past expert_ids is written", _write_past_end),
    Harm("rely_on_prefill", "padding is left to what the buffer held", _rely_on_prefill),
    Harm("mutate_input", "topk_ids are sorted in place", _mutate_input),
    Harm("cache_by_pointer", "answers are remembered by address", CacheByPointer(run_torch)),
    Harm("stale_output", "every call hands out the answer of the one before", Stale(run_torch)),
    Harm("disturb_next_call", "a counter is not cleared between calls", Uncleared(run_torch, 2)),
    Harm(
        "padding_high",
        "padding is 2^31 - 1",
        _pad_with(lambda answer: 2**31 - 1),
        right=True,
    ),
    Harm("descending_order", "pairs descend inside an expert", _spoil(_reverse_runs), right=True),
    Harm("garbage_tail", "garbage past the last block", _spoil(_fill_tail), right=True),
)
