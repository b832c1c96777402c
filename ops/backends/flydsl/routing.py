"""FlyDSL's gating, sorting, and both fused.

Signatures: ROCm/FlyDSL @11c4174d, kernels/moe/topk_gating_softmax_kernel.py and
kernels/moe/moe_sorting_kernel.py; before 2026-07-07 (@9291e446) the same functions stood in
kernels/.  Kernels are compiled when they are first called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import dense_rows, is_power_of_two, only_arch, only_if
from rocmoe.ops.core.peer import Form, Limit, PeerVariant

GATING = "ROCm/FlyDSL kernels/moe/topk_gating_softmax_kernel.py @11c4174d"
SORTING = "ROCm/FlyDSL kernels/moe/moe_sorting_kernel.py @11c4174d"


def bind_topk_gating_softmax(
    gating_output: Any, topk: int, renormalize: bool, topk_weights: Any, topk_ids: Any
) -> Callable[[], Any]:
    """A launcher is built ahead of the call; token_expert_indices are scratch."""
    import torch
    from kernels.moe.topk_gating_softmax_kernel import build_topk_gating_softmax_module

    names = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
    tokens, experts = gating_output.shape
    launch = build_topk_gating_softmax_module(
        num_experts=experts, topk=topk, dtype_str=names[gating_output.dtype],
        renormalize=renormalize,
    )  # fmt: skip
    indices = torch.empty_like(topk_ids)

    def call() -> None:
        stream = torch.cuda.current_stream() if topk_ids.is_cuda else None
        launch(gating_output, topk_weights, topk_ids, indices, tokens, stream=stream)

    return call


def bind_old_topk_gating_softmax(
    gating_output: Any, topk: int, renormalize: bool, topk_weights: Any, topk_ids: Any
) -> Callable[[], Any]:
    """As `bind_topk_gating_softmax`, where the kernel stood before."""
    import torch
    from kernels.topk_gating_softmax_kernel import build_topk_gating_softmax_module

    names = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
    tokens, experts = gating_output.shape
    launch = build_topk_gating_softmax_module(
        num_experts=experts, topk=topk, dtype_str=names[gating_output.dtype],
        renormalize=renormalize,
    )  # fmt: skip
    indices = torch.empty_like(topk_ids)

    def call() -> None:
        stream = torch.cuda.current_stream() if topk_ids.is_cuda else None
        launch(gating_output, topk_weights, topk_ids, indices, tokens, stream=stream)

    return call


def bind_moe_sorting_flydsl(
    topk_ids: Any,
    topk_weights: Any,
    num_experts: int,
    unit_size: int,
    expert_mask: Any,
    num_local_tokens: Any,
    model_dim: int,
    sorted_ids: Any,
    sorted_weights: Any,
    sorted_expert_ids: Any,
    num_valid_ids: Any,
    moe_buf: Any,
) -> Callable[[], Any]:
    """Its workspace is made in the call, as it does by itself."""
    from kernels.moe.moe_sorting_kernel import moe_sorting_flydsl

    # Rows of no elements have no view as int32.
    buffer = moe_buf if model_dim else moe_buf.new_empty((0, 2))

    def call() -> None:
        moe_sorting_flydsl(
            topk_ids, topk_weights, sorted_ids, sorted_weights, sorted_expert_ids, num_valid_ids,
            buffer, num_experts, unit_size, expert_mask, num_local_tokens,
        )  # fmt: skip

    return call


def bind_old_moe_sorting_flydsl(
    topk_ids: Any,
    topk_weights: Any,
    num_experts: int,
    unit_size: int,
    expert_mask: Any,
    num_local_tokens: Any,
    model_dim: int,
    sorted_ids: Any,
    sorted_weights: Any,
    sorted_expert_ids: Any,
    num_valid_ids: Any,
    moe_buf: Any,
) -> Callable[[], Any]:
    """As `bind_moe_sorting_flydsl`, where the kernel stood before."""
    from kernels.moe_sorting_kernel import moe_sorting_flydsl

    # Rows of no elements have no view as int32.
    buffer = moe_buf if model_dim else moe_buf.new_empty((0, 2))

    def call() -> None:
        moe_sorting_flydsl(
            topk_ids, topk_weights, sorted_ids, sorted_weights, sorted_expert_ids, num_valid_ids,
            buffer, num_experts, unit_size, expert_mask, num_local_tokens,
        )  # fmt: skip

    return call


def bind_moe_softmax_sort_flydsl(
    gating_output: Any,
    topk: int,
    renormalize: bool,
    unit_size: int,
    expert_mask: Any,
    num_local_tokens: Any,
    model_dim: int,
    sorted_ids: Any,
    sorted_weights: Any,
    sorted_expert_ids: Any,
    num_valid_ids: Any,
    moe_buf: Any,
) -> Callable[[], Any]:
    """One kernel for few tokens, else gating and sorting by themselves."""
    import torch
    from kernels.moe.moe_sorting_kernel import moe_softmax_sort_flydsl

    # Rows of no elements have no view as int32.
    buffer = moe_buf if model_dim else moe_buf.new_empty((0, 2))
    names = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
    experts, dtype = gating_output.shape[1], names[gating_output.dtype]

    def call() -> None:
        moe_softmax_sort_flydsl(
            gating_output, sorted_ids, sorted_weights, sorted_expert_ids, num_valid_ids, buffer,
            experts, topk, dtype, unit_size, expert_mask, renormalize, num_local_tokens,
        )  # fmt: skip

    return call


def bind_old_moe_softmax_sort_flydsl(
    gating_output: Any,
    topk: int,
    renormalize: bool,
    unit_size: int,
    expert_mask: Any,
    num_local_tokens: Any,
    model_dim: int,
    sorted_ids: Any,
    sorted_weights: Any,
    sorted_expert_ids: Any,
    num_valid_ids: Any,
    moe_buf: Any,
) -> Callable[[], Any]:
    """As `bind_moe_softmax_sort_flydsl`, where the kernel stood before."""
    import torch
    from kernels.moe_sorting_kernel import moe_softmax_sort_flydsl

    # Rows of no elements have no view as int32.
    buffer = moe_buf if model_dim else moe_buf.new_empty((0, 2))
    names = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
    experts, dtype = gating_output.shape[1], names[gating_output.dtype]

    def call() -> None:
        moe_softmax_sort_flydsl(
            gating_output, sorted_ids, sorted_weights, sorted_expert_ids, num_valid_ids, buffer,
            experts, topk, dtype, unit_size, expert_mask, renormalize, num_local_tokens,
        )  # fmt: skip

    return call


def is_laid_out(experts: int) -> bool:
    """Whether rows of so many experts are spread over lanes: a power of two up to 1024."""
    return is_power_of_two(experts) and experts <= 1024


_CDNA = only_arch(GATING, "gfx9")
_LAYOUT = only_if(lambda case: is_laid_out(case.sizes["E"]),
                  "wants a power of two up to 1024 for E", GATING)  # fmt: skip


def _has_tokens(case: Case) -> bool:
    return case.sizes["T"] > 0


def _views_as_int32(case: Case) -> bool:
    return case.sizes["D"] % 2 == 0


def _is_zeroed(case: Case) -> bool:
    return case.sizes["T"] * case.sizes["D"] % 8 == 0


def exceeds_lds(case: Case, arch: str) -> bool:
    """Whether half of the LDS is too small for ten rows of E + 1 counters, which the kernel for few
    tokens wants; it is compiled whatever the number of tokens is."""
    lds_bytes = 163840 if arch.startswith("gfx95") else 65536
    return lds_bytes // 2 // 4 // (case.sizes["E"] + 1) < 10


_GRID = only_if(_has_tokens, "works out a grid that overflows for no tokens", GATING, "unchecked")
_SORT_LIMITS = (
    _CDNA,
    only_if(_views_as_int32, "views moe_buf as int32: wants an even D", SORTING),
    Limit(exceeds_lds, "wants E <= 818, on gfx950 E <= 2047", SORTING, "checked"),
    only_if(_has_tokens, "reads the first id of no tokens", SORTING, "unchecked"),
    only_if(
        _is_zeroed, "zeroes moe_buf by 16 bytes: wants T*D divisible by 8", SORTING, "unchecked"
    ),
)
_OUTPUTS = ("sorted_ids", "sorted_weights", "sorted_expert_ids", "num_valid_ids", "moe_buf")
_SORT_TAKES = ("topk_ids", "topk_weights", *_OUTPUTS, "num_experts", "unit_size", "expert_mask",
               "num_local_tokens")  # fmt: skip
_FUSED_TAKES = ("gating_logits", *_OUTPUTS, "num_experts", "topk", "dtype_str", "unit_size",
                "expert_mask", "renormalize", "num_local_tokens")  # fmt: skip
_BUILD_OPTIONS = ("num_experts", "topk", "dtype_str", "renormalize")

VARIANTS = (
    PeerVariant(
        "topk_softmax",
        "topk_gating_softmax",
        (
            Form("kernels.moe.topk_gating_softmax_kernel:build_topk_gating_softmax_module",
                 (), bind_topk_gating_softmax, _BUILD_OPTIONS),
            Form("kernels.topk_gating_softmax_kernel:build_topk_gating_softmax_module",
                 (), bind_old_topk_gating_softmax, _BUILD_OPTIONS),
        ),
        (_CDNA, _LAYOUT, _GRID),
    ),
    PeerVariant(
        "moe_sorting",
        "moe_sorting_flydsl",
        (
            Form("kernels.moe.moe_sorting_kernel:moe_sorting_flydsl", _SORT_TAKES,
                 bind_moe_sorting_flydsl),
            Form("kernels.moe_sorting_kernel:moe_sorting_flydsl", _SORT_TAKES,
                 bind_old_moe_sorting_flydsl),
        ),
        (*_SORT_LIMITS, dense_rows(SORTING)),
    ),
    PeerVariant(
        "topk_softmax_sorting",
        "moe_softmax_sort_flydsl",
        (
            Form("kernels.moe.moe_sorting_kernel:moe_softmax_sort_flydsl", _FUSED_TAKES,
                 bind_moe_softmax_sort_flydsl),
            Form("kernels.moe_sorting_kernel:moe_softmax_sort_flydsl", _FUSED_TAKES,
                 bind_old_moe_softmax_sort_flydsl),
        ),
        (*_SORT_LIMITS, _LAYOUT),
    ),
)  # fmt: skip
