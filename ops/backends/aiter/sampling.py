"""aiter's renormalisation, and the sampling kernels that only a fork has.

Signatures of ROCm/aiter @e4048607 and zhentaocc/aiter @0f51c7e3, aiter/ops/sampling.py both.  The
fork's are those of sgl-project/sglang#23388; where they are not installed they are absent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import dense_rows, only_if, only_param
from rocmoe.ops.core.peer import Form, PeerVariant

RENORM = "csrc/cpp_itfs/sampling/sampling.cuh @e4048607"
FORK_CODE = "zhentaocc/aiter csrc/cpp_itfs/sampling @0f51c7e3"


def bind_top_k_renorm_probs(probs: Any, top_k: Any) -> Callable[[], Any]:
    """top_k as callers give it: a tensor and 0, or no tensor and a number."""
    import torch
    from aiter.ops.sampling import top_k_renorm_probs

    tensor, value = (top_k, 0) if isinstance(top_k, torch.Tensor) else (None, top_k)

    def call() -> Any:
        return top_k_renorm_probs(probs, tensor, value)

    return call


def bind_top_p_renorm_probs(probs: Any, top_p: Any) -> Callable[[], Any]:
    """top_p as callers give it: a tensor and 0, or no tensor and a number."""
    import torch
    from aiter.ops.sampling import top_p_renorm_probs

    tensor, value = (top_p, 0.0) if isinstance(top_p, torch.Tensor) else (None, top_p)

    def call() -> Any:
        return top_p_renorm_probs(probs, tensor, value)

    return call


def bind_top_k_top_p_renorm_probs(
    probs: Any, top_k: Any, top_p: Any, filter_apply_order: str
) -> Callable[[], Any]:
    """Both filters on the original probabilities."""
    import torch
    from aiter.ops.sampling import top_k_top_p_renorm_probs

    del filter_apply_order
    ranks, rank = (top_k, 0) if isinstance(top_k, torch.Tensor) else (None, top_k)
    masses, mass = (top_p, 0.0) if isinstance(top_p, torch.Tensor) else (None, top_p)

    def call() -> Any:
        return top_k_top_p_renorm_probs(probs, ranks, rank, masses, mass)

    return call


def bind_chain_speculative_sampling(
    candidates: Any,
    target_probs: Any,
    uniform_samples: Any,
    uniform_samples_for_final_sampling: Any,
    threshold_single: float,
    threshold_acc: float,
) -> Callable[[], Any]:
    """The fork's kernel, of the op's own signature."""
    from aiter.ops.sampling import chain_speculative_sampling

    def call() -> Any:
        return chain_speculative_sampling(
            candidates, target_probs, uniform_samples, uniform_samples_for_final_sampling,
            threshold_single, threshold_acc,
        )  # fmt: skip

    return call


def _fits_scratch(case: Case) -> bool:
    """Indices of 50 a row are allocated for a tensor, of k a row for a number."""
    return case.params["top_k"] != "per_row"


def _is_within(case: Case) -> bool:
    top_k = case.params["top_k"]
    return not isinstance(top_k, int) or top_k <= case.sizes["V"]


VARIANTS = (
    PeerVariant(
        "top_k_renorm_probs",
        "top_k_renorm_probs",
        (
            Form(
                "aiter.ops.sampling:top_k_renorm_probs",
                ("probs", "maybe_top_k_arr", "top_k_val"),
                bind_top_k_renorm_probs,
            ),
        ),
        (
            only_if(_fits_scratch, "has room for 50 indices a row where top_k is a tensor", RENORM,
                    "unchecked"),
            only_if(_is_within, "allocates k indices a row, k > V included", RENORM, "unchecked"),
            dense_rows(RENORM),
        ),
    ),
    PeerVariant(
        "top_p_renorm_probs",
        "top_p_renorm_probs",
        (
            Form(
                "aiter.ops.sampling:top_p_renorm_probs",
                ("probs", "maybe_top_p_arr", "top_p_val"),
                bind_top_p_renorm_probs,
            ),
        ),
        (dense_rows(FORK_CODE),),
    ),
    PeerVariant(
        "top_k_top_p_renorm_probs",
        "top_k_top_p_renorm_probs",
        (
            Form(
                "aiter.ops.sampling:top_k_top_p_renorm_probs",
                ("probs", "maybe_top_k_arr", "top_k_val", "maybe_top_p_arr", "top_p_val"),
                bind_top_k_top_p_renorm_probs,
            ),
        ),
        (
            only_param("filter_apply_order", ("joint",), "filters jointly", FORK_CODE, "contract"),
            dense_rows(FORK_CODE),
        ),
    ),
    PeerVariant(
        "chain_speculative_sampling",
        "chain_speculative_sampling",
        (
            Form(
                "aiter.ops.sampling:chain_speculative_sampling",
                ("candidates", "target_probs", "uniform_samples",
                 "uniform_samples_for_final_sampling", "threshold_single", "threshold_acc"),
                bind_chain_speculative_sampling,
            ),
        ),
        (dense_rows(FORK_CODE),),
    ),
)  # fmt: skip
