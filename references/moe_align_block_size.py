"""Aligning each expert's (token, slot) pairs to blocks, by flat index and without weights.

Semantics: vLLM `moe_align_block_size` (csrc/moe/moe_align_sum_kernels.cu) and its descendants in
sgl-kernel and aiter (csrc/kernels/moe_align_block_size_kernels.cu @e4048607).  Their kernels place
pairs with atomics, so the order inside an expert is free, and they differ in who fills the padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def oracle(topk_ids: NDArray[Any], num_experts: int, block_size: int) -> dict[str, Any]:
    """topk_ids [T, k] -> the three outputs, P = T*k + E*(B-1).

    sorted_token_ids i32 [P], token * k + slot: each expert's pairs in ascending order, then padding
    (T*k) to a multiple of B; padding to the end.  expert_ids i32 [ceil(P / B)], the expert of each
    block, -1 past the last.  num_tokens_post_pad i32 [1], the padded total.
    """
    numel = topk_ids.size
    blocks = lay_out_blocks(topk_ids, num_experts, block_size)
    length = count_positions(numel, num_experts, block_size)
    ids = np.full(length, numel, dtype=np.int32)
    entries = blocks.place()
    ids[: blocks.total] = np.where(entries == PADDING, numel, entries)
    owners = np.full(-(-length // block_size), -1, dtype=np.int32)
    owners[: blocks.total // block_size] = blocks.block_owners()
    return {
        "sorted_token_ids": ids,
        "expert_ids": owners,
        "num_tokens_post_pad": np.array([blocks.total], dtype=np.int32),
    }


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge the three outputs for the inputs of `oracle`; what they report decides nothing."""
    del dtype  # integers are exact
    blocks = lay_out_inputs(inputs)
    judgement = Judgement()
    judgement.exact(
        "num_tokens_post_pad",
        outputs["num_tokens_post_pad"] != blocks.total,
        output="num_tokens_post_pad",
        found=outputs["num_tokens_post_pad"],
        wanted=blocks.total,
    )
    judge_block_owners(judgement, outputs["expert_ids"], blocks.block_owners(), "expert_ids")
    stored = outputs["sorted_token_ids"][: blocks.total]
    entries = unpack(stored, inputs["topk_ids"].size)
    judge_pairs(judgement, blocks, entries, output="sorted_token_ids", stored=stored)
    judge_placement(judgement, blocks, entries, output="sorted_token_ids", strict=strict)
    return judgement.verdict()


def erase_unspecified(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """The outputs as a bag per expert: one form for all answers that mean the same."""
    blocks, numel = lay_out_inputs(inputs), inputs["topk_ids"].size
    erased = {name: np.array(value) for name, value in outputs.items()}
    ids = erased["sorted_token_ids"]
    kept = np.where(ids[: blocks.total] >= numel, numel, ids[: blocks.total])
    ids[: blocks.total] = kept[sort_runs(blocks.owners(), unpack(kept, numel), kept)]
    ids[blocks.total :] = 0
    erased["expert_ids"][blocks.total // blocks.unit :] = 0
    return erased


def count_positions(numel: int, num_experts: int, block_size: int) -> int:
    """P = numel + E*(B-1), the length of sorted_token_ids."""
    return numel + num_experts * (block_size - 1)


def lay_out_inputs(inputs: Mapping[str, Any]) -> Blocks:
    """The blocks of an op's inputs by name."""
    return lay_out_blocks(inputs["topk_ids"], inputs["num_experts"], inputs["block_size"])


def unpack(sorted_token_ids: NDArray[Any], numel: int) -> Indices:
    """Flat indices as they stand, PADDING from numel on, GARBAGE below zero."""
    ids = sorted_token_ids.astype(np.int64)
    return np.where(ids >= numel, PADDING, np.where(ids < 0, GARBAGE, ids))
