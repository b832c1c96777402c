"""Ways to spoil a right sort of packed ids: what the harmed sorting kernels do wrong.

ROCm/aiter op_tests/test_moe_sorting.py @e4048607 compares packed ids, experts and counts with a
relative tolerance of 1 % and an absolute one of 0.01, and looks neither at moe_buf nor at the
weights of padding: the summaries say what passes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rocmoe.ops.harms.shared.any_op import Inputs, Outputs
from rocmoe.ops.harms.shared.blocks import (
    Blocks,
    Spoilers,
    count_block_more,
    fill_tail,
    lower_experts,
)
from rocmoe.ops.harms.shared.values import round_to_bfloat16
from rocmoe.references.moe_sorting import SLOT_SHIFT, TOKEN_BITS


@dataclass
class Sorted(Blocks):
    """A right sort of packed ids.

    weights: [P].  counts: the padded total, the local token count.  tokens: T.
    """

    weights: Any
    moe_buf: Any
    tokens: int
    expert_mask: Any

    @property
    def local(self) -> int:
        """The local token count."""
        return int(self.counts[1])

    @property
    def entries(self) -> Outputs:
        """Ids and weights."""
        return self.ids, self.weights

    def find_pairs(self) -> Any:
        """True [P] at ids that are not of slot k."""
        return read_slots(self.ids) != self.topk

    def find_tokens(self) -> Any:
        """The lower 24 bits."""
        return self.ids & TOKEN_BITS

    def blank(self, places: Any) -> None:
        """Padding is token L of slot k and weighs nothing."""
        self.ids[places] = pack_signed(self.topk, self.local)
        self.weights[places] = 0.0

    def fill_packed(self, slot: int, token: int) -> None:
        """Write a packed (slot, token) into all padding."""
        self.fill_padding(pack_signed(slot, token))


def open_sort(
    inputs: Inputs, ids: Any, weights: Any, experts: Any, counts: Any, moe_buf: Any
) -> Sorted:
    """The answer of moe_sorting or of a fusion of it."""
    tokens = len(inputs["topk_ids"] if "topk_ids" in inputs else inputs["gating_output"])
    unit, mask = inputs["unit_size"], inputs["expert_mask"]
    return Sorted(ids, experts, counts, unit, find_topk(inputs), weights, moe_buf, tokens, mask)


def find_topk(inputs: Inputs) -> int:
    """k, which the fusions are told and the sort reads off its ids."""
    return int(inputs["topk"] if "topk" in inputs else inputs["topk_ids"].shape[1])


def read_slots(sorted_ids: Any) -> Any:
    """The slot of every packed id, whose highest byte holds the sign bit from 128 on."""
    return (sorted_ids.long() & 0xFFFFFFFF) >> SLOT_SHIFT


def pack_signed(slot: int, token: int) -> int:
    """(slot << 24) | token as an int32."""
    packed = (slot << SLOT_SHIFT) | token
    return packed - (packed >> 31 << 32)


def _shift_tokens(answer: Sorted) -> None:
    """Pairs in slots from 1 on name the token after theirs."""
    ids = answer.ids
    tokens = (answer.find_tokens() + 1) % max(answer.local, 1)
    moved = answer.find_pairs() & (read_slots(ids) >= 1)
    ids.copy_((ids & ~TOKEN_BITS | tokens).where(moved, ids))


def _rotate_weights(answer: Sorted) -> None:
    """Every weight of a pair is that of the pair before."""
    pairs = answer.find_pairs()
    answer.weights[pairs] = answer.weights[pairs].roll(1)


def _name_global_experts(answer: Sorted) -> None:
    """Blocks name experts by their global id."""
    if answer.expert_mask is not None:
        answer.blocks.copy_(answer.expert_mask.nonzero().flatten()[answer.blocks])


def _leave_local_count(answer: Sorted) -> None:
    """num_valid_ids[1] is never written."""
    import torch

    answer.counts[1:] = torch.empty_like(answer.counts)[1:]


def _leave_moe_buf(answer: Sorted) -> None:
    """moe_buf is allocated and never written."""
    import torch

    answer.moe_buf.copy_(torch.empty_like(answer.moe_buf))


def _leave_last_store(answer: Sorted) -> None:
    """The last 16 bytes of the local rows are not zeroed."""
    answer.moe_buf[: answer.local].reshape(-1)[-8:].fill_(1.0)


def _store_by_16_bytes(answer: Sorted) -> None:
    """Only whole stores of 16 bytes are made, as Opus does."""
    local = answer.moe_buf[: answer.local].reshape(-1)
    local[len(local) // 8 * 8 :].fill_(1.0)


def _fill_tail(answer: Sorted) -> None:
    """Whatever lies past the last block, and rows past the local ones, holds garbage."""
    fill_tail(answer)
    answer.weights[answer.total :] = float("nan")
    answer.moe_buf[answer.local :] = float("nan")


def _count_static(answer: Sorted) -> None:
    answer.counts[1] = answer.tokens


SPOILERS: Spoilers[Sorted] = (
    ("token_off_by_one", "slots from 1 on name the next token; passes aiter's test", False,
     _shift_tokens),
    ("padding_last_slot", "padding is token 0 of the last slot", False,
     lambda answer: answer.fill_packed(answer.topk - 1, 0)),
    ("padding_past_slot", "padding is slot k + 1 of token 0", False,
     lambda answer: answer.fill_packed(answer.topk + 1, 0)),
    ("padding_weight", "padding weighs 1; aiter's test does not look", False,
     lambda answer: answer.weights.masked_fill_(answer.find_padding(), 1.0)),
    ("half_precision_weights", "weights are rounded to bfloat16; passes aiter's test", False,
     lambda answer: answer.weights.copy_(round_to_bfloat16(answer.weights))),
    ("rotate_weights", "every pair has the weight of the one before", False, _rotate_weights),
    ("expert_off_by_one", "experts from 99 on are one too low; from 101 on passes aiter's", False,
     lower_experts),
    ("global_expert_ids", "blocks name global experts under a mask", False, _name_global_experts),
    ("block_too_many", "a block too many is counted; from 99 blocks on passes aiter's",
     False, count_block_more),
    ("static_token_count", "num_valid_ids[1] is T, not the local count", False, _count_static),
    ("leave_local_count", "num_valid_ids[1] is never written", False, _leave_local_count),
    ("leave_moe_buf", "moe_buf is never written; aiter's test does not look", False,
     _leave_moe_buf),
    ("leave_last_store", "moe_buf's last 16 bytes are left; aiter's test does not look",
     False, _leave_last_store),
    ("store_by_16_bytes", "moe_buf's bytes past a multiple of 16 are left, as Opus leaves them",
     False, _store_by_16_bytes),
    ("padding_static_tokens", "padding is token T of slot k, as FlyDSL's port in aiter", True,
     lambda answer: answer.fill_packed(answer.topk, answer.tokens)),
    ("padding_slot_alone", "padding is token 0 of slot k", True,
     lambda answer: answer.fill_packed(answer.topk, 0)),
    ("padding_token_alone", "padding is token L of slot 0", True,
     lambda answer: answer.fill_packed(0, answer.local)),
    ("garbage_tail", "garbage past the last block and past the local rows", True, _fill_tail),
)  # fmt: skip
