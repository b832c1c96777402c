"""Sorting (token, slot) pairs by expert into padded blocks, with their weights.

Semantics: aiter `moe_sorting_fwd` (csrc/py_itfs_ck/moe_sorting_kernels.cu and its Opus and FlyDSL
successors, ROCm/aiter @e4048607; kernels/moe/moe_sorting_kernel.py, ROCm/FlyDSL @11c4174d).  The
peers differ in the padding they write (static or local token count) and in what is left past the
last block: both are free here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .judging.elementwise import Array
from .judging.permutation import (
    GARBAGE,
    PADDING,
    Blocks,
    Indices,
    judge_block_owners,
    judge_pairs,
    judge_placement,
    lay_out_blocks,
    sort_runs,
)
from .judging.verdict import Judgement, Verdict

#: A packed id holds the slot in its highest byte and the token in the other three.
SLOT_SHIFT = 24
TOKEN_BITS = (1 << SLOT_SHIFT) - 1


def oracle(
    topk_ids: NDArray[Any],
    topk_weights: Array,
    num_experts: int,
    unit_size: int,
    expert_mask: NDArray[Any] | None,
    num_local_tokens: NDArray[Any] | None,
    model_dim: int,
) -> dict[str, Any]:
    """topk_ids [T, k], topk_weights f64 [T, k] -> the five outputs, P = T*k + E*U - k.

    sorted_ids i32 [P], (slot << 24) | token: for each enabled expert that has tokens, in ascending
    order, its pairs in ascending order, then padding to a multiple of U.  sorted_weights f64 [P],
    0.0 at padding.  sorted_expert_ids i32 [ceil(P / U)], ranks among the enabled experts.
    num_valid_ids i32 [2], the padded total and the local token count.  moe_buf [T, model_dim],
    zeros.  P is long enough where k <= E.
    """
    tokens, topk = topk_ids.shape
    local = count_local_tokens(tokens, num_local_tokens)
    blocks = lay_out(topk_ids, num_experts, unit_size, expert_mask, num_local_tokens)
    length = count_positions(tokens, topk, num_experts, unit_size)
    entries = np.full(length, PADDING, dtype=np.int64)
    entries[: blocks.total] = blocks.place()
    weights = topk_weights.ravel()[entries] if topk_weights.size else np.zeros(length)
    owners = np.zeros(-(-length // unit_size), dtype=np.int32)
    owners[: blocks.total // unit_size] = rank_experts(num_experts, expert_mask)[
        blocks.block_owners()
    ]
    return {
        "sorted_ids": pack(entries, topk, local),
        "sorted_weights": np.where(entries >= 0, weights, 0.0),
        "sorted_expert_ids": owners,
        "num_valid_ids": np.array([blocks.total, local], dtype=np.int32),
        "moe_buf": np.zeros((tokens, model_dim)),
    }


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge the five outputs for the inputs of `oracle`; what they report decides nothing."""
    del dtype  # integers, copies and zeros are exact
    blocks = lay_out_inputs(inputs)
    tokens, topk = inputs["topk_ids"].shape
    local = count_local_tokens(tokens, inputs["num_local_tokens"])
    ranks = rank_experts(inputs["num_experts"], inputs["expert_mask"])
    judgement = Judgement()
    judge_valid_counts(judgement, outputs["num_valid_ids"], blocks.total, local)
    judge_block_owners(
        judgement, outputs["sorted_expert_ids"], ranks[blocks.block_owners()], "sorted_expert_ids"
    )
    stored = outputs["sorted_ids"][: blocks.total]
    entries = unpack(stored, topk, local)
    judge_pairs(judgement, blocks, entries, output="sorted_ids", stored=stored)
    judge_placement(judgement, blocks, entries, output="sorted_ids", strict=strict)
    found = outputs["sorted_weights"][: blocks.total]
    judge_copies(judgement, entries, found, inputs["topk_weights"])
    judge_padding_weights(judgement, entries, found)
    judge_moe_buf(judgement, outputs["moe_buf"], local)
    return judgement.verdict()


def erase_unspecified(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """The outputs as a bag per expert: one form for all answers that mean the same."""
    blocks = lay_out_inputs(inputs)
    tokens, topk = inputs["topk_ids"].shape
    local, total = count_local_tokens(tokens, inputs["num_local_tokens"]), blocks.total
    erased = {name: np.array(value) for name, value in outputs.items()}
    ids, weights = erased["sorted_ids"], erased["sorted_weights"]
    entries = unpack(ids[:total], topk, local)
    packed = np.where(entries == PADDING, pack(np.full(total, PADDING), topk, local), ids[:total])
    order = sort_runs(blocks.owners(), entries, packed, weights[:total])
    ids[:total], weights[:total] = packed[order], weights[:total][order]
    ids[total:], weights[total:] = 0, 0.0
    erased["sorted_expert_ids"][total // blocks.unit :] = 0
    erased["moe_buf"][local:] = 0.0
    return erased


def count_positions(tokens: int, topk: int, num_experts: int, unit_size: int) -> int:
    """P = T*k + E*U - k, the length of sorted_ids; never negative where k <= E and U >= 1."""
    return tokens * topk + num_experts * unit_size - topk


def count_local_tokens(tokens: int, num_local_tokens: NDArray[Any] | None) -> int:
    """L: how many of the rows hold tokens of this rank."""
    return tokens if num_local_tokens is None else int(np.clip(num_local_tokens[0], 0, tokens))


def lay_out(
    topk_ids: NDArray[Any],
    num_experts: int,
    unit_size: int,
    expert_mask: NDArray[Any] | None,
    num_local_tokens: NDArray[Any] | None,
) -> Blocks:
    """The blocks of the pairs that are visible: a local token at an enabled expert."""
    inside = (topk_ids >= 0) & (topk_ids < num_experts)
    inside[count_local_tokens(len(topk_ids), num_local_tokens) :] = False
    if expert_mask is not None:
        inside &= expert_mask[np.where(inside, topk_ids, 0)] != 0
    return lay_out_blocks(np.where(inside, topk_ids, -1), num_experts, unit_size)


def lay_out_inputs(inputs: Mapping[str, Any]) -> Blocks:
    """`lay_out` of an op's inputs by name."""
    names = ("topk_ids", "num_experts", "unit_size", "expert_mask", "num_local_tokens")
    return lay_out(*(inputs[name] for name in names))


def rank_experts(num_experts: int, expert_mask: NDArray[Any] | None) -> Indices:
    """The local id of each expert, [E]: its rank among the enabled ones, -1 for a disabled one."""
    enabled = np.ones(num_experts, bool) if expert_mask is None else expert_mask != 0
    return np.where(enabled, np.cumsum(enabled) - 1, -1)


def pack(entries: Indices, topk: int, local: int) -> NDArray[np.int32]:
    """(slot << 24) | token for flat indices; padding is slot k, token L."""
    token, slot = np.divmod(entries, topk)
    token, slot = np.where(entries < 0, local, token), np.where(entries < 0, topk, slot)
    # Slots from 128 on set the sign bit of the int32.
    return ((slot << SLOT_SHIFT) | token).astype(np.uint32).view(np.int32)


def unpack(sorted_ids: NDArray[Any], topk: int, local: int) -> Indices:
    """Flat indices for packed ids, PADDING where slot == k or token >= L, else GARBAGE."""
    words = sorted_ids.astype(np.int64) & 0xFFFFFFFF
    slot, token = words >> SLOT_SHIFT, words & TOKEN_BITS
    entries = np.where(slot < topk, token * topk + slot, GARBAGE)
    return np.where((slot == topk) | (token >= local), PADDING, entries)


def judge_valid_counts(
    judgement: Judgement, num_valid_ids: NDArray[Any], total: int, local: int
) -> None:
    """Check num_valid_ids: the padded total, then the local token count."""
    wanted = np.array([total, local])
    judgement.exact(
        "num_valid_ids",
        num_valid_ids != wanted,
        output="num_valid_ids",
        found=num_valid_ids,
        wanted=wanted,
    )


def judge_copies(judgement: Judgement, entries: Indices, found: Array, topk_weights: Array) -> None:
    """Check that each entry's weight is a bit-exact copy of its pair's."""
    real = entries >= 0
    wanted = np.zeros(len(entries))
    wanted[real] = topk_weights.ravel()[entries[real]]
    equal = (found == wanted) & (np.signbit(found) == np.signbit(wanted))
    judgement.exact(
        "weights_copied",
        real & ~(equal | (np.isnan(found) & np.isnan(wanted))),
        output="sorted_weights",
        found=found,
        wanted=wanted,
    )


def judge_padding_weights(judgement: Judgement, entries: Indices, found: Array) -> None:
    """Check that padding weighs nothing."""
    judgement.exact(
        "padding_weights",
        (entries == PADDING) & (found != 0.0),
        output="sorted_weights",
        found=found,
        wanted="0 at padding",
    )


def judge_moe_buf(judgement: Judgement, moe_buf: Array, local: int) -> None:
    """Check that the rows of local tokens are zero."""
    rows = moe_buf[:local]
    judgement.exact("moe_buf_zeroed", rows != 0.0, output="moe_buf", found=rows, wanted=0.0)
