"""moe_align_block_size: flat pair indices grouped by expert, each group padded to blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.expert_ids import PATTERNS, STALE_ROWS
from rocmoe.ops.core.spec import Argument, Cost, Inputs, OpSpec, Row, Sizes
from rocmoe.ops.families.gating import check_topk
from rocmoe.ops.families.sorting import (
    check_unit,
    find_block_owners,
    ids_out_of_contract,
    model_sizes,
    scatter_entries,
    sort_blocks,
)
from rocmoe.references import moe_align_block_size as reference


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """topk_ids [T, k] by the case's pattern."""
    sizes = case.sizes
    fill = PATTERNS[case.pattern].fill
    return {
        "topk_ids": fill(rng, sizes["T"], sizes["E"], sizes["k"]),
        "num_experts": sizes["E"],
        "block_size": sizes["B"],
    }


def run_torch(topk_ids: Any, num_experts: int, block_size: int) -> tuple[Any, Any, Any]:
    """The three outputs of `references.moe_align_block_size.oracle`.

    Pairs ascend inside an expert; padding is T*k.  Ids outside [0, E) are left out.
    """
    import torch

    ids = topk_ids.reshape(-1).long()
    numel = len(ids)
    length = reference.count_positions(numel, num_experts, block_size)
    inside = (ids >= 0) & (ids < num_experts)
    order, positions, ends = sort_blocks(
        torch.where(inside, ids, num_experts), num_experts, block_size, length
    )
    return (
        scatter_entries(order, positions, length, order.new_full((), numel)).int(),
        find_block_owners(ends, block_size, length).int(),
        ends[-1:].int(),
    )


def must_write(case: Case, inputs: Inputs) -> Mapping[str, NDArray[np.bool_]]:
    """Everything up to the last block that the inputs call for, whatever a call reports."""
    total = reference.lay_out_inputs(inputs).total
    return {
        "sorted_token_ids": np.arange(count_positions(case.sizes)) < total,
        "expert_ids": np.arange(count_blocks(case.sizes)) < total // case.sizes["B"],
    }


def cost(case: Case) -> Cost:
    """Ids read once, pairs written once."""
    pairs = case.sizes["T"] * case.sizes["k"]
    return Cost(pairs * 4, pairs * 4 + 4, pairs)


def degenerate(case: Case) -> str | None:
    """Without tokens there is nothing to place and nothing to count."""
    return "no tokens: nothing is placed" if case.sizes["T"] == 0 else None


def refuse_case(case: Case) -> str | None:
    """k in [1, E], B at least 1."""
    return check_topk(case) or check_unit(case, "B")


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """A model's experts with the fused shared ones, in blocks of 64."""
    sizes = model_sizes(model, model.get("num_fused_shared_experts", 0))
    return None if sizes is None else ({**sizes, "B": 64}, {})


def count_positions(sizes: Sizes) -> int:
    """The length of sorted_token_ids."""
    return reference.count_positions(sizes["T"] * sizes["k"], sizes["E"], sizes["B"])


def count_blocks(sizes: Sizes) -> int:
    """The length of expert_ids."""
    return -(-count_positions(sizes) // sizes["B"])


def _row(
    suite: str, T: int, E: int, k: int, B: int, pattern: str, why: str, layout: str = "contiguous"
) -> Row:
    sizes = {"T": T, "E": E, "k": k, "B": B}
    return Row(suite, sizes, "fp32", {}, pattern, layout, why)


CASES = (
    _row("smoke", 64, 256, 8, 64, "uniform", "DeepSeek-sized: most blocks are mostly padding"),
    _row("smoke", 33, 128, 4, 16, "zipf", "GPT-OSS-sized, small blocks"),
    _row("quick", 1, 8, 2, 16, "uniform", "one token"),
    _row("quick", 7, 32, 5, 32, "uniform", "fewer pairs than experts times two"),
    _row("quick", 31, 40, 6, 64, "uniform", "40 experts"),
    _row("quick", 33, 72, 4, 128, "uniform", "72 experts, blocks of 128"),
    _row("quick", 128, 60, 4, 64, "zipf", "60 experts, crowded ones over several blocks"),
    _row("quick", 16, 257, 9, 64, "shared_expert", "256 routed experts and a shared one"),
    _row("quick", 16, 385, 7, 32, "shared_expert", "DeepSeek-V4-sized with the shared expert"),
    _row("quick", 64, 513, 11, 16, "shared_expert", "more experts than sgl-kernel's small path"),
    _row("quick", 32, 896, 16, 16, "uniform", "Kimi-K3-sized"),
    _row("quick", 300, 64, 1, 64, "same_experts", "all tokens to one expert; k = 1"),
    _row("quick", 65, 64, 6, 64, "same_experts", "runs that end one past a block"),
    _row("quick", 128, 16, 4, 32, "balanced", "runs that fill their blocks: no padding at all"),
    _row("quick", 129, 160, 8, 64, "empty_experts", "most experts empty"),
    _row("quick", 65, 64, 6, 48, "hot_expert", "a block size that is no power of two"),
    _row("quick", 32, 16, 16, 32, "uniform", "k = E"),
    _row("quick", 40, 6, 3, 1, "uniform", "B = 1: no padding, a block a pair"),
    _row("quick", 200, 384, 8, 64, "uniform", "row stride 18", "strided"),
    _row("quick", 64, 64, 6, 64, "zipf", "base pointer not 16-byte aligned", "offset"),
    _row("quick", 16, 64, 6, 64, "uniform", "row stride 16 of few tokens", "strided"),
    _row("quick", 2100, 16, 2, 64, "uniform", "row stride 12 of many tokens", "strided"),
    _row("quick", 16, 64, 6, 64, "uniform", "few tokens at an unaligned base pointer", "offset"),
    _row("quick", 2100, 16, 2, 64, "uniform", "many tokens at an unaligned base pointer", "offset"),
    _row("quick", 33000, 8, 2, 64, "uniform", "flat ids of more than 16 bits"),
    _row("quick", 0, 256, 8, 64, "uniform", "zero tokens"),
    _row("quick", 64, 256, 8, 64, "negative_ids", "-1 as expert parallelism leaves it"),
    _row("quick", 64, 32, 5, 64, "ids_past_end", "ids from E on"),
    _row("quick", 64, 8, 2, 64, "duplicates", "an expert twice in a row"),
    _row("full", 1024, 256, 8, 64, "zipf", "the small-batch path ends at 1024 pairs"),
    _row("full", 2048, 128, 8, 128, "uniform", "Qwen3-sized"),
    _row("full", 1024, 896, 16, 64, "zipf", "Kimi-K3-sized"),
    _row("full", 4096, 513, 11, 64, "shared_expert", "one expert of 4096 tokens"),
    _row("full", 8192, 256, 8, 16, "same_experts", "eight experts of 8192 tokens each"),
    _row("full", 16384, 385, 7, 64, "uniform", "16384 tokens"),
    _row("full", 4096, 1024, 4, 128, "empty_experts", "aiter's largest expert count"),
)

SPEC = OpSpec(
    name="moe_align_block_size",
    summary="(token, slot) pairs grouped by expert into padded blocks, by flat index",
    source="vllm-project/vllm csrc/moe/moe_align_sum_kernels.cu and its descendants in sgl-kernel "
    "and aiter (csrc/kernels/moe_align_block_size_kernels.cu @e4048607)",
    sizes={
        "T": "tokens",
        "E": "experts",
        "k": "experts a token goes to (topk)",
        "B": "block size (block_size)",
    },
    # Every tensor is an integer one; a case's dtype says nothing here.
    dtypes=("fp32",),
    params={},
    patterns=tuple(name for name in PATTERNS if name != STALE_ROWS),
    inputs=(
        Argument("topk_ids", ("T", "k"), "i32", doc="the chosen experts, unique in a row"),
        Argument("num_experts", doc="E"),
        Argument("block_size", doc="positions in a block"),
    ),
    outputs=(
        Argument("sorted_token_ids", ("P",), "i32", doc="token * k + slot by expert, padded to B"),
        Argument("expert_ids", ("blocks",), "i32", doc="expert of each block of B ids"),
        Argument("num_tokens_post_pad", ("one",), "i32", doc="padded total"),
    ),
    draw=draw,
    oracle=reference.oracle,
    judge=reference.judge,
    run_torch=run_torch,
    cases=CASES,
    cost=cost,
    derived={"P": count_positions, "blocks": count_blocks, "one": lambda sizes: 1},
    must_write=must_write,
    canonical=reference.erase_unspecified,
    degenerate=degenerate,
    out_of_contract=ids_out_of_contract,
    refuse_case=refuse_case,
    from_model=from_model,
)
