"""Ways to spoil a right sort, one at a time: what the harmed sorting kernels do wrong.

ROCm/aiter op_tests/test_moe_sorting.py @e4048607 compares packed ids, experts and counts with a
relative tolerance of 1 % and an absolute one of 0.01, and looks neither at moe_buf nor at the
weights of padding: the summaries say what passes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rocmoe.references.moe_sorting import SLOT_SHIFT, TOKEN_BITS


@dataclass
class Sorted:
    """A right answer, to be spoiled in place, and what a spoiler needs to know of the call."""

    sorted_ids: Any
    sorted_weights: Any
    sorted_expert_ids: Any
    num_valid_ids: Any
    moe_buf: Any
    topk: int
    unit: int
    tokens: int
    expert_mask: Any

    @property
    def total(self) -> int:
        """The padded total."""
        return int(self.num_valid_ids[0])

    @property
    def local(self) -> int:
        """The local token count."""
        return int(self.num_valid_ids[1])

    @property
    def blocks(self) -> Any:
        """The experts of the blocks, a view."""
        return self.sorted_expert_ids[: self.total // self.unit]

    def find_pairs(self) -> Any:
        """True [P] at pairs."""
        return self.slots() != self.topk

    def find_padding(self) -> Any:
        """True [P] at the padding of blocks."""
        import torch

        places = torch.arange(len(self.sorted_ids), device=self.sorted_ids.device)
        return (self.slots() == self.topk) & (places < self.total)

    def fill_padding(self, slot: int, token: int) -> None:
        """Write a packed (slot, token) into all padding."""
        self.sorted_ids.masked_fill_(self.find_padding(), pack_signed(slot, token))

    def blank(self, places: Any) -> None:
        """Turn places, a mask or indices, into padding."""
        self.sorted_ids[places] = pack_signed(self.topk, self.local)
        self.sorted_weights[places] = 0.0

    def slots(self) -> Any:
        """The slot of every packed id, [P]."""
        return read_slots(self.sorted_ids)


def read_slots(sorted_ids: Any) -> Any:
    """The slot of every packed id, whose highest byte holds the sign bit from 128 on."""
    return (sorted_ids.long() & 0xFFFFFFFF) >> SLOT_SHIFT


def pack_signed(slot: int, token: int) -> int:
    """(slot << 24) | token as an int32."""
    packed = (slot << SLOT_SHIFT) | token
    return packed - (packed >> 31 << 32)


Spoil = Callable[[Sorted], None]


def shift_tokens(answer: Sorted) -> None:
    """Pairs in slots from 1 on name the token after theirs."""
    ids = answer.sorted_ids
    tokens = ((ids & TOKEN_BITS) + 1) % max(answer.local, 1)
    moved = answer.find_pairs() & (answer.slots() >= 1)
    ids.copy_((ids & ~TOKEN_BITS | tokens).where(moved, ids))


def lose_slots(answer: Sorted) -> None:
    """Pairs hold their token alone."""
    answer.sorted_ids.copy_(
        (answer.sorted_ids & TOKEN_BITS).where(answer.find_pairs(), answer.sorted_ids)
    )


def drop_pair(answer: Sorted) -> None:
    """The last pair gives way to padding."""
    answer.blank(answer.find_pairs().nonzero().flatten()[-1:])


def drop_token_lane(answer: Sorted) -> None:
    """Pairs of every 64th token give way to padding."""
    answer.blank(answer.find_pairs() & ((answer.sorted_ids & TOKEN_BITS) % 64 == 63))


def repeat_pair(answer: Sorted) -> None:
    """The first padding is a copy of the pair before it."""
    place = answer.find_padding().nonzero().flatten()[:1]
    for values in (answer.sorted_ids, answer.sorted_weights):
        values[place] = values[place - 1]


def swap_pairs(answer: Sorted) -> None:
    """The first and the last pair stand in each other's place."""
    pairs = answer.find_pairs().nonzero().flatten()
    ends = pairs[:: max(len(pairs) - 1, 1)]
    for values in (answer.sorted_ids, answer.sorted_weights):
        values[ends] = values[ends].flip(0)


def rotate_weights(answer: Sorted) -> None:
    """Every weight of a pair is that of the pair before."""
    pairs = answer.find_pairs()
    answer.sorted_weights[pairs] = answer.sorted_weights[pairs].roll(1)


def rotate_blocks(answer: Sorted) -> None:
    """Every block names the expert of the block before."""
    answer.blocks.copy_(answer.blocks.roll(1))


def lower_experts(answer: Sorted) -> None:
    """Local experts from 99 on are one too low."""
    answer.blocks.sub_((answer.blocks >= 99).int())


def name_global_experts(answer: Sorted) -> None:
    """Blocks name experts by their global id."""
    if answer.expert_mask is not None:
        answer.blocks.copy_(answer.expert_mask.nonzero().flatten()[answer.blocks])


def insert_empty_block(answer: Sorted) -> None:
    """A block of padding for an expert without tokens comes first."""
    unit, total = answer.unit, answer.total
    if total + unit > len(answer.sorted_ids):
        return
    for values, width in (
        (answer.sorted_ids, unit),
        (answer.sorted_weights, unit),
        (answer.sorted_expert_ids, 1),
    ):
        end = total // unit * width
        values[width : end + width] = values[:end].clone()
    answer.blank(slice(unit))
    answer.sorted_expert_ids[0] = 0
    answer.num_valid_ids[0] += unit


def leave_padding(answer: Sorted) -> None:
    """The padding of ids is never written."""
    import torch

    answer.sorted_ids.copy_(
        torch.empty_like(answer.sorted_ids).where(answer.find_padding(), answer.sorted_ids)
    )


def leave_local_count(answer: Sorted) -> None:
    """num_valid_ids[1] is never written."""
    import torch

    answer.num_valid_ids[1:] = torch.empty_like(answer.num_valid_ids)[1:]


def leave_moe_buf(answer: Sorted) -> None:
    """moe_buf is allocated and never written."""
    import torch

    answer.moe_buf.copy_(torch.empty_like(answer.moe_buf))


def leave_last_store(answer: Sorted) -> None:
    """The last 16 bytes of the local rows are not zeroed."""
    answer.moe_buf[: answer.local].reshape(-1)[-8:].fill_(1.0)


def store_by_16_bytes(answer: Sorted) -> None:
    """Only whole stores of 16 bytes are made, as Opus does."""
    local = answer.moe_buf[: answer.local].reshape(-1)
    local[len(local) // 8 * 8 :].fill_(1.0)


def fill_tail(answer: Sorted) -> None:
    """Whatever lies past the last block, and rows past the local ones, holds garbage."""
    answer.sorted_ids[answer.total :] = 0
    answer.sorted_weights[answer.total :] = float("nan")
    answer.sorted_expert_ids[answer.total // answer.unit :] = -7
    answer.moe_buf[answer.local :] = float("nan")


def reverse_runs(answer: Sorted) -> None:
    """Pairs descend inside an expert; padding still follows them."""
    import torch

    blocks = torch.zeros(len(answer.sorted_ids), device=answer.sorted_ids.device)
    blocks[: answer.total] = answer.blocks.repeat_interleave(answer.unit).to(blocks)
    pairs = answer.find_pairs().nonzero().flatten()
    pairs = pairs[pairs < answer.total]
    backward = pairs.flip(0)
    order = backward[torch.sort(blocks[backward], stable=True).indices]
    for values in (answer.sorted_ids, answer.sorted_weights):
        values[pairs] = values[order]


def _count_static(answer: Sorted) -> None:
    answer.num_valid_ids[1] = answer.tokens


def _count_block_more(answer: Sorted) -> None:
    answer.num_valid_ids[0] += answer.unit


#: Name, summary, whether it is right, and what it does to a right answer.
SPOILERS: tuple[tuple[str, str, bool, Spoil], ...] = (
    ("token_off_by_one", "slots from 1 on name the next token; passes aiter's test", False,
     shift_tokens),
    ("slot_lost", "packed ids without their slot", False, lose_slots),
    ("drop_pair", "one pair is missing", False, drop_pair),
    ("drop_token_lane", "tokens of lane 63 of every 64 are missing", False, drop_token_lane),
    ("repeat_pair", "one pair stands twice, in place of padding", False, repeat_pair),
    ("swap_pairs", "two pairs stand in each other's expert", False, swap_pairs),
    ("padding_zero", "padding is 0, which is token 0 slot 0", False,
     lambda answer: answer.fill_padding(0, 0)),
    ("padding_last_slot", "padding is token 0 of the last slot", False,
     lambda answer: answer.fill_padding(answer.topk - 1, 0)),
    ("padding_past_slot", "padding is slot k + 1 of token 0", False,
     lambda answer: answer.fill_padding(answer.topk + 1, 0)),
    ("leave_padding", "the padding of the last blocks is never written", False, leave_padding),
    ("padding_weight", "padding weighs 1; aiter's test does not look", False,
     lambda answer: answer.sorted_weights.masked_fill_(answer.find_padding(), 1.0)),
    ("half_precision_weights", "weights are rounded to bfloat16; passes aiter's test", False,
     lambda answer: answer.sorted_weights.copy_(answer.sorted_weights.bfloat16())),
    ("rotate_weights", "every pair has the weight of the one before", False, rotate_weights),
    ("rotate_blocks", "every block names the expert before", False, rotate_blocks),
    ("expert_off_by_one", "experts from 99 on are one too low; from 101 on passes aiter's", False,
     lower_experts),
    ("global_expert_ids", "blocks name global experts under a mask", False, name_global_experts),
    ("empty_expert_block", "an expert without tokens has a block", False, insert_empty_block),
    ("block_too_many", "a block too many is counted; from 99 blocks on passes aiter's",
     False, _count_block_more),
    ("static_token_count", "num_valid_ids[1] is T, not the local count", False, _count_static),
    ("leave_local_count", "num_valid_ids[1] is never written", False, leave_local_count),
    ("leave_moe_buf", "moe_buf is never written; aiter's test does not look", False,
     leave_moe_buf),
    ("leave_last_store", "moe_buf's last 16 bytes are left; aiter's test does not look",
     False, leave_last_store),
    ("store_by_16_bytes", "moe_buf's bytes past a multiple of 16 are left, as Opus leaves them",
     False, store_by_16_bytes),
    ("padding_static_tokens", "padding is token T of slot k, as FlyDSL's port in aiter", True,
     lambda answer: answer.fill_padding(answer.topk, answer.tokens)),
    ("padding_slot_alone", "padding is token 0 of slot k", True,
     lambda answer: answer.fill_padding(answer.topk, 0)),
    ("padding_token_alone", "padding is token L of slot 0", True,
     lambda answer: answer.fill_padding(0, answer.local)),
    ("descending_order", "pairs descend inside an expert", True, reverse_runs),
    ("garbage_tail", "garbage past the last block and past the local rows", True, fill_tail),
)  # fmt: skip
