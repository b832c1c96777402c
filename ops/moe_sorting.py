"""moe_sorting: (token, slot) pairs sorted by expert into padded blocks, with weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.expert_ids import PATTERNS, STALE_ROWS, spoil_padded_rows
from rocmoe.ops.core.spec import Argument, Cost, Inputs, OpSpec, Row
from rocmoe.ops.families.sorting import (
    NO_MASK,
    SORTING_DERIVED,
    SORTING_INPUTS,
    SORTING_OUTPUTS,
    SORTING_PARAMS,
    SORTING_SIZES,
    check_sorting,
    count_local,
    draw_expert_mask,
    draw_local_tokens,
    find_block_owners,
    ids_out_of_contract,
    mask_written,
    model_sizes,
    scatter_entries,
    share_visible,
    sort_blocks,
    sorting_degenerate,
)
from rocmoe.references import moe_sorting as reference


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """topk_ids [T, k] by the case's pattern, topk_weights [T, k] in [0, 1)."""
    sizes = case.sizes
    ids = PATTERNS[case.pattern].fill(rng, sizes["T"], sizes["E"], sizes["k"])
    if case.pattern == STALE_ROWS:
        ids = spoil_padded_rows(rng, ids, count_local(case), sizes["E"])
    return {
        "topk_ids": ids,
        "topk_weights": rng.random((sizes["T"], sizes["k"])),
        "num_experts": sizes["E"],
        "unit_size": sizes["U"],
        "expert_mask": draw_expert_mask(case, rng),
        "num_local_tokens": draw_local_tokens(case),
        "model_dim": sizes["D"],
    }


def run_torch(
    topk_ids: Any,
    topk_weights: Any,
    num_experts: int,
    unit_size: int,
    expert_mask: Any | None,
    num_local_tokens: Any | None,
    model_dim: int,
) -> tuple[Any, Any, Any, Any, Any]:
    """The five outputs of `references.moe_sorting.oracle`.

    Pairs ascend inside an expert; padding is slot k, token L.  Ids outside [0, E) are left out.
    """
    import torch

    tokens, topk = topk_ids.shape
    device = topk_ids.device
    length = reference.count_positions(tokens, topk, num_experts, unit_size)
    if num_local_tokens is None:
        num_local_tokens = torch.full((1,), tokens, device=device)
    if expert_mask is None:
        expert_mask = torch.ones(num_experts, device=device)
    local, enabled = num_local_tokens.long()[0], expert_mask.bool()
    ids = topk_ids.reshape(-1).long()
    pairs = torch.arange(tokens * topk, device=device)
    token, slot = pairs // topk, pairs % topk
    visible = (ids >= 0) & (ids < num_experts) & (token < local)
    visible &= enabled[ids.clamp(0, num_experts - 1)]
    order, positions, ends = sort_blocks(
        torch.where(visible, ids, num_experts), num_experts, unit_size, length
    )
    packed = (slot << reference.SLOT_SHIFT) | token
    padding = (topk << reference.SLOT_SHIFT) | local
    weights = topk_weights.reshape(-1)
    ranks = torch.cumsum(enabled, dim=0) - 1
    return (
        scatter_entries(packed[order], positions, length, padding).int(),
        scatter_entries(weights[order], positions, length, weights.new_zeros(())),
        ranks[find_block_owners(ends, unit_size, length)].int(),
        torch.stack([ends[-1], local]).int(),
        torch.zeros((tokens, model_dim), dtype=torch.bfloat16, device=device),
    )


def must_write(case: Case, inputs: Inputs) -> Mapping[str, NDArray[np.bool_]]:
    """Everything up to the last block that the inputs call for, whatever a call reports."""
    return mask_written(case, reference.lay_out_inputs(inputs).total)


def cost(case: Case) -> Cost:
    """Local ids read once, visible weights read and pairs written once, moe_buf written once."""
    local = count_local(case)
    pairs = local * case.sizes["k"]
    visible = round(pairs * share_visible(case))
    zeroed = local * case.sizes["D"] * 2
    return Cost(pairs * 4 + visible * 4, visible * 8 + 8 + zeroed, pairs)


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """A model's experts with the fused shared ones, in blocks of 32."""
    sizes = model_sizes(model, model.get("num_fused_shared_experts", 0))
    if sizes is None:
        return None
    # No moe_buf: the token count is not known here, and [65536, 7168] is 940 MB several times
    # over.  Declared cases cover it at 7168 and 2880.
    return {**sizes, "U": 32, "D": 0}, dict(NO_MASK)


def _row(
    suite: str, T: int, E: int, k: int, pattern: str, why: str, *, U: int = 32, D: int = 0,
    layout: str = "contiguous", expert_mask: Value = None, num_local_tokens: Value = None,
) -> Row:  # fmt: skip
    sizes = {"T": T, "E": E, "k": k, "U": U, "D": D}
    params = {"expert_mask": expert_mask, "num_local_tokens": num_local_tokens}
    return Row(suite, sizes, "fp32", params, pattern, layout, why)


CASES = (
    _row("smoke", 64, 256, 8, "uniform", "DeepSeek-sized, with its moe_buf", D=7168),
    _row("smoke", 33, 256, 8, "zipf", "experts of one rank of two, padded rows", D=64,
         expert_mask="upper_half", num_local_tokens="half"),
    _row("quick", 1, 8, 2, "uniform", "one token, FlyDSL's smallest"),
    _row("quick", 7, 32, 5, "uniform", "moe_buf is no multiple of 16 bytes", D=111),
    _row("quick", 31, 128, 4, "uniform", "GPT-OSS-sized, an odd token count", D=2880),
    _row("quick", 31, 40, 6, "shared_expert", "40 experts, k = 6, as aiter's test"),
    _row("quick", 16, 257, 9, "shared_expert", "256 routed experts and a shared one"),
    _row("quick", 8, 513, 9, "uniform", "513 experts in half, FlyDSL's EP shape",
         expert_mask="half"),
    _row("quick", 16, 385, 7, "shared_expert", "DeepSeek-V4-sized with the shared expert"),
    _row("quick", 128, 256, 8, "uniform", "experts of which 0.7 are local", expert_mask="share70"),
    _row("quick", 8, 256, 8, "uniform", "experts of which 0.3 are local", expert_mask="share30",
         num_local_tokens="all_but_one", D=64),
    _row("quick", 4, 256, 8, "uniform", "no local expert: no block, moe_buf still zeroed",
         expert_mask="no_expert", D=64),
    _row("quick", 40, 256, 8, "stale_rows", "padded rows of a graph hold no expert",
         num_local_tokens="half"),
    _row("quick", 64, 256, 8, "uniform", "a mask of ones changes nothing", expert_mask="all",
         num_local_tokens="all"),
    _row("quick", 65, 64, 6, "hot_expert", "one expert disabled, U = 16", U=16,
         expert_mask="one_off"),
    _row("quick", 96, 128, 1, "same_experts", "all tokens to one expert; k = 1"),
    _row("quick", 33, 64, 6, "same_experts", "runs that end one past a block"),
    _row("quick", 128, 16, 4, "balanced", "runs that fill their blocks: no padding at all", U=32),
    _row("quick", 129, 256, 8, "empty_experts", "U = 128, most experts empty", U=128),
    _row("quick", 127, 60, 4, "zipf", "U = 64, 60 experts", U=64),
    _row("quick", 32, 16, 16, "uniform", "k = E"),
    _row("quick", 3, 256, 254, "uniform", "k = 254: packed ids with the sign bit"),
    _row("quick", 50, 1, 1, "uniform", "a single expert"),
    _row("quick", 200, 384, 8, "uniform", "row stride 18", layout="strided"),
    _row("quick", 64, 72, 4, "zipf", "base pointers not 16-byte aligned", layout="offset", D=64),
    _row("quick", 16, 64, 6, "uniform", "row stride 16 of few tokens", layout="strided"),
    _row("quick", 65, 64, 6, "uniform", "row stride 16, with a mask", layout="strided",
         expert_mask="half"),
    _row("quick", 2100, 16, 2, "uniform", "row stride 12, past the shapes of two kernels",
         layout="strided"),
    _row("quick", 16, 64, 6, "uniform", "few tokens, base pointers not 16-byte aligned",
         layout="offset"),
    _row("quick", 65, 64, 6, "uniform", "a mask, base pointers not 16-byte aligned",
         layout="offset", expert_mask="half"),
    _row("quick", 2100, 16, 2, "uniform", "many tokens, base pointers not 16-byte aligned",
         layout="offset"),
    _row("quick", 65, 64, 6, "hot_expert", "U = 48, no power of two", U=48),
    _row("quick", 33000, 8, 2, "uniform", "token ids of more than 15 bits"),
    _row("quick", 0, 256, 8, "uniform", "zero tokens"),
    _row("quick", 33, 32, 5, "uniform", "rows, and no local token", num_local_tokens="zero", D=64),
    _row("quick", 64, 256, 8, "negative_ids", "-1 as padded rows have it"),
    _row("quick", 64, 32, 5, "ids_past_end", "ids from E on"),
    _row("quick", 64, 8, 2, "duplicates", "an expert twice in a row"),
    _row("full", 512, 256, 8, "uniform", "FlyDSL's multiphase sort", D=4096),
    _row("full", 2048, 256, 8, "uniform", "the last shape of two kernels", expert_mask="half"),
    _row("full", 1024, 257, 9, "shared_expert", "257 experts in half", expert_mask="half"),
    _row("full", 1024, 896, 16, "zipf", "Kimi-K3-sized"),
    _row("full", 1024, 513, 11, "shared_expert", "Qwen3.5 with its shared expert", D=4096),
    _row("full", 4096, 256, 8, "zipf", "the first shape of four kernels", num_local_tokens=1000),
    _row("full", 8192, 256, 8, "same_experts", "eight experts of 8192 tokens each"),
    _row("full", 16384, 257, 9, "shared_expert", "one expert of 16384 tokens"),
    _row("full", 16384, 385, 7, "uniform", "FlyDSL's largest with 385 experts"),
    _row("full", 16384, 513, 9, "zipf", "FlyDSL's largest", U=64, expert_mask="half"),
    _row("full", 4096, 6, 2, "balanced", "six experts", U=128, num_local_tokens="half"),
)  # fmt: skip

SPEC = OpSpec(
    name="moe_sorting",
    summary="(token, slot) pairs sorted by expert into padded blocks",
    source="ROCm/aiter moe_sorting_fwd (csrc/py_itfs_ck/moe_sorting_kernels.cu @e4048607) and "
    "ROCm/FlyDSL kernels/moe/moe_sorting_kernel.py @11c4174d",
    sizes=SORTING_SIZES,
    dtypes=("fp32",),
    params=SORTING_PARAMS,
    patterns=tuple(PATTERNS),
    inputs=(
        Argument("topk_ids", ("T", "k"), "i32", doc="the chosen experts, unique in a row"),
        Argument("topk_weights", ("T", "k"), "fp32", doc="their weights"),
        Argument("num_experts", doc="E, the disabled experts included"),
        Argument("unit_size", doc="positions in a block"),
        *SORTING_INPUTS,
    ),
    outputs=SORTING_OUTPUTS,
    draw=draw,
    oracle=reference.oracle,
    judge=reference.judge,
    run_torch=run_torch,
    cases=CASES,
    cost=cost,
    derived=SORTING_DERIVED,
    must_write=must_write,
    canonical=reference.erase_unspecified,
    degenerate=sorting_degenerate,
    out_of_contract=ids_out_of_contract,
    refuse_case=check_sorting,
    from_model=from_model,
)
