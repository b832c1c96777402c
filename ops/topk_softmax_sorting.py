"""topk_softmax_sorting: softmax gating and the sort by expert in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops import moe_sorting, topk_softmax
from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.logits import PATTERNS
from rocmoe.ops.core.spec import DTYPES, Argument, Cost, Inputs, OpSpec, Row
from rocmoe.ops.families.gating import RENORMALIZE, gating_cost
from rocmoe.ops.families.sorting import (
    NO_MASK,
    SORTING_DERIVED,
    SORTING_INPUTS,
    SORTING_OUTPUTS,
    SORTING_PARAMS,
    SORTING_SIZES,
    check_sorting,
    draw_expert_mask,
    draw_local_tokens,
    mask_written,
    sorting_degenerate,
)
from rocmoe.references import topk_softmax_sorting as reference


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """gating_output [T, E] by the case's pattern."""
    sizes = case.sizes
    fill = PATTERNS[case.pattern].fill
    return {
        "gating_output": fill(rng, sizes["T"], sizes["E"], sizes["k"]),
        "topk": sizes["k"],
        "renormalize": case.params["renormalize"],
        "unit_size": sizes["U"],
        "expert_mask": draw_expert_mask(case, rng),
        "num_local_tokens": draw_local_tokens(case),
        "model_dim": sizes["D"],
    }


def run_torch(
    gating_output: Any,
    topk: int,
    renormalize: bool,
    unit_size: int,
    expert_mask: Any | None,
    num_local_tokens: Any | None,
    model_dim: int,
) -> tuple[Any, Any, Any, Any, Any]:
    """The five outputs of moe_sorting for the choice of topk_softmax."""
    weights, ids = topk_softmax.run_torch(gating_output, topk, renormalize)
    return moe_sorting.run_torch(
        ids,
        weights,
        gating_output.shape[1],
        unit_size,
        expert_mask,
        num_local_tokens,
        model_dim,
    )


def must_write(case: Case, inputs: Inputs) -> Mapping[str, NDArray[np.bool_]]:
    """Everything up to the last block that every valid choice of experts calls for."""
    return mask_written(case, reference.count_certain(inputs)[0])


def cost(case: Case) -> Cost:
    """Logits read once and the sort written once; weights and ids never leave the chip."""
    gating, sorting = gating_cost(case), moe_sorting.cost(case)
    return Cost(gating.bytes_read, sorting.bytes_written, gating.operations + sorting.operations)


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """Models that topk_softmax is for, in blocks of 32 and without moe_buf (see moe_sorting)."""
    found = topk_softmax.from_model(model)
    if found is None:
        return None
    sizes, params = found
    return {**sizes, "U": 32, "D": 0}, {**params, **NO_MASK}


def _row(
    suite: str, T: int, E: int, k: int, dtype: str, pattern: str, why: str, *, U: int = 32,
    D: int = 0, renormalize: bool = True, layout: str = "contiguous",
    expert_mask: Value = None, num_local_tokens: Value = None,
) -> Row:  # fmt: skip
    sizes = {"T": T, "E": E, "k": k, "U": U, "D": D}
    params = {
        "renormalize": renormalize,
        "expert_mask": expert_mask,
        "num_local_tokens": num_local_tokens,
    }
    return Row(suite, sizes, dtype, params, pattern, layout, why)


CASES = (
    _row("smoke", 16, 256, 8, "bf16", "normal", "the last token count that FlyDSL fuses", D=7168),
    _row("smoke", 33, 128, 4, "fp32", "peaked", "GPT-OSS-sized, one rank of two",
         renormalize=False, expert_mask="upper_half", num_local_tokens="half", D=64),
    _row("quick", 1, 32, 5, "bf16", "normal", "one token, FlyDSL's smallest"),
    _row("quick", 4, 256, 8, "bf16", "distinct", "distinct logits: one choice alone is right"),
    _row("quick", 7, 256, 8, "bf16", "normal", "FlyDSL's odd token count", D=111),
    _row("quick", 31, 128, 4, "bf16", "uniform", "past the fused kernel", D=2880),
    _row("quick", 8, 256, 8, "fp16", "normal", "FlyDSL's fp16 shape"),
    _row("quick", 8, 256, 8, "fp32", "normal", "FlyDSL's fp32 shape", renormalize=False),
    _row("quick", 64, 256, 8, "bf16", "heavy_ties", "a tied expert that is dropped shows"),
    _row("quick", 64, 64, 6, "fp32", "all_equal", "every expert ties"),
    _row("quick", 64, 256, 8, "bf16", "boundary_ties", "a tie across the boundary"),
    _row("quick", 64, 256, 8, "bf16", "boundary_ties", "a tie that the mask may hide",
         expert_mask="half"),
    _row("quick", 64, 256, 8, "fp32", "distinct", "hidden winners count in the sum of weights",
         expert_mask="share30"),
    _row("quick", 64, 72, 6, "bf16", "heavy_ties", "ties with one expert disabled",
         expert_mask="one_off", renormalize=False),
    _row("quick", 8, 256, 8, "bf16", "normal", "no local expert: no block, moe_buf still zeroed",
         expert_mask="no_expert", D=64),
    _row("quick", 96, 512, 10, "fp16", "one_stripe", "one lane owns all winners", U=64),
    _row("quick", 100, 384, 8, "bf16", "last_experts", "eight experts of 100 tokens", U=16),
    _row("quick", 48, 257, 9, "fp32", "distinct", "one past a power of two",
         num_local_tokens="all_but_one"),
    _row("quick", 32, 16, 16, "fp32", "normal", "k = E: every expert has every token"),
    _row("quick", 48, 256, 8, "fp32", "nan_rows", "NaN rows must leave a sort", D=64),
    _row("quick", 48, 256, 8, "bf16", "inf_rows", "+inf rows must leave a sort",
         expert_mask="half"),
    _row("quick", 48, 256, 8, "fp32", "neg_inf", "masked experts, and rows of nothing else",
         renormalize=False),
    _row("quick", 64, 160, 8, "bf16", "normal", "row stride 170", layout="strided"),
    _row("quick", 64, 256, 8, "fp16", "normal", "base pointer not 16-byte aligned",
         layout="offset"),
    _row("quick", 64, 256, 8, "bf16", "normal", "row stride 266 of 256 experts",
         layout="strided"),
    _row("quick", 64, 160, 8, "fp32", "normal", "row stride 170 of fp32 logits",
         layout="strided"),
    _row("quick", 64, 256, 8, "bf16", "normal", "bf16 base pointer not 16-byte aligned",
         layout="offset"),
    _row("quick", 64, 160, 6, "bf16", "normal", "bf16, not renormalised", renormalize=False),
    _row("quick", 48, 256, 8, "fp32", "shifted", "a maximum that is taken to be at least 0"),
    _row("quick", 48, 128, 8, "fp16", "far_shifted", "logits below a finite minus infinity"),
    _row("quick", 64, 160, 8, "fp32", "normal", "fp32 base pointer not 16-byte aligned",
         layout="offset"),
    _row("quick", 0, 256, 8, "bf16", "normal", "zero tokens"),
    _row("quick", 33, 64, 6, "bf16", "normal", "rows, and no local token",
         num_local_tokens="zero", D=64),
    _row("full", 1024, 256, 8, "bf16", "normal", "FlyDSL's largest fallback", D=4096),
    _row("full", 512, 512, 10, "bf16", "heavy_ties", "Qwen3.5-sized with ties",
         expert_mask="half"),
    _row("full", 1024, 896, 16, "bf16", "normal", "Kimi-K3-sized"),
    _row("full", 2048, 128, 8, "fp32", "distinct", "Qwen3-sized, U = 128", U=128),
    _row("full", 4096, 40, 6, "fp16", "boundary_ties", "40 experts", num_local_tokens=1000),
    _row("full", 512, 513, 11, "fp32", "peaked", "513 experts, underflown probabilities",
         expert_mask="share70", renormalize=False),
)  # fmt: skip

SPEC = OpSpec(
    name="topk_softmax_sorting",
    summary="topk_softmax and moe_sorting in one call",
    source="ROCm/FlyDSL moe_softmax_sort_flydsl, kernels/moe/moe_sorting_kernel.py @11c4174d",
    sizes=SORTING_SIZES,
    dtypes=DTYPES,
    params={"renormalize": RENORMALIZE, **SORTING_PARAMS},
    patterns=tuple(PATTERNS),
    inputs=(
        Argument("gating_output", ("T", "E"), "case", doc="router logits"),
        Argument("topk", doc="experts a token goes to"),
        Argument("renormalize", doc="divide the chosen weights by their sum"),
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
    refuse_case=check_sorting,
    from_model=from_model,
)
