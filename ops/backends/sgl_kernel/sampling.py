"""sglang's renormalisation and speculative verification.

Signatures: python/sgl_kernel/sampling.py and speculative.py of sglang-kernel 0.4.10 and sgl-kernel
0.3.21; sglang/kernels/ops/{sampling/renorm_triton,speculative/sampling}.py of sglang 0.5.23, to
which CUDA and ROCm moved the tree's kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import aligned_rows, dense_rows, only_if, only_param
from rocmoe.ops.core.peer import Form, PeerVariant

SAMPLING = "sgl-kernel/python/sgl_kernel/sampling.py @c32011d0"
TREE = "sgl-kernel/csrc/speculative/speculative_sampling.cuh @120affb9"


def bind_top_k_renorm_prob(probs: Any, top_k: Any) -> Callable[[], Any]:
    """top_k: an int, or a tensor."""
    import sgl_kernel

    def call() -> Any:
        return sgl_kernel.top_k_renorm_prob(probs, top_k)

    return call


def bind_top_p_renorm_prob(probs: Any, top_p: Any) -> Callable[[], Any]:
    """top_p: a float, or a tensor."""
    import sgl_kernel

    def call() -> Any:
        return sgl_kernel.top_p_renorm_prob(probs, top_p)

    return call


def bind_renorm_pair(
    probs: Any, top_k: Any, top_p: Any, filter_apply_order: str
) -> Callable[[], Any]:
    """One after the other, as sglang chains them."""
    import sgl_kernel

    del filter_apply_order

    def call() -> Any:
        return sgl_kernel.top_p_renorm_prob(sgl_kernel.top_k_renorm_prob(probs, top_k), top_p)

    return call


def bind_top_k_renorm_probs_triton(probs: Any, top_k: Any) -> Callable[[], Any]:
    """sglang's way on ROCm: a sort by torch, the rest in Triton."""
    from sglang.kernels.ops.sampling.renorm_triton import top_k_renorm_probs_triton

    def call() -> Any:
        return top_k_renorm_probs_triton(probs, top_k)

    return call


def bind_top_p_renorm_probs_triton(probs: Any, top_p: Any) -> Callable[[], Any]:
    """sglang's way on ROCm: a sort by torch, the rest in Triton."""
    from sglang.kernels.ops.sampling.renorm_triton import top_p_renorm_probs_triton

    def call() -> Any:
        return top_p_renorm_probs_triton(probs, top_p)

    return call


def bind_tree(
    candidates: Any,
    retrive_index: Any,
    retrive_next_token: Any,
    retrive_next_sibling: Any,
    uniform_samples: Any,
    uniform_samples_for_final_sampling: Any,
    target_probs: Any,
    draft_probs: Any,
    threshold_single: float,
    threshold_acc: float,
    deterministic: bool,
    predicts: Any,
    accept_index: Any,
    accept_token_num: Any,
) -> Callable[[], Any]:
    """Of the wheel.  draft_probs are zeros at first; a repeated call marks the same tokens."""
    from sgl_kernel import tree_speculative_sampling_target_only

    def call() -> None:
        tree_speculative_sampling_target_only(
            predicts, accept_index, accept_token_num, candidates, retrive_index,
            retrive_next_token, retrive_next_sibling, uniform_samples,
            uniform_samples_for_final_sampling, target_probs, draft_probs, threshold_single,
            threshold_acc, deterministic,
        )  # fmt: skip

    return call


def bind_sglang_tree(
    candidates: Any,
    retrive_index: Any,
    retrive_next_token: Any,
    retrive_next_sibling: Any,
    uniform_samples: Any,
    uniform_samples_for_final_sampling: Any,
    target_probs: Any,
    draft_probs: Any,
    threshold_single: float,
    threshold_acc: float,
    deterministic: bool,
    predicts: Any,
    accept_index: Any,
    accept_token_num: Any,
) -> Callable[[], Any]:
    """Of sglang, which compiles it when it is first called."""
    from sglang.kernels.ops.speculative.sampling import tree_speculative_sampling_target_only

    def call() -> None:
        tree_speculative_sampling_target_only(
            predicts, accept_index, accept_token_num, candidates, retrive_index,
            retrive_next_token, retrive_next_sibling, uniform_samples,
            uniform_samples_for_final_sampling, target_probs, draft_probs, threshold_single,
            threshold_acc, deterministic,
        )  # fmt: skip

    return call


def _is_indexable(case: Case) -> bool:
    sizes = case.sizes
    return sizes["B"] * sizes["N"] * sizes["V"] < 2**32


_JOINT = only_param("filter_apply_order", ("top_k_first",), "filters one after the other",
                    SAMPLING, "contract")  # fmt: skip
_RENORM_LIMITS = (dense_rows(SAMPLING, "checked"), aligned_rows(SAMPLING))
_TREE_TAKES = (
    *("predicts", "accept_index", "accept_token_num", "candidates", "retrive_index"),
    *("retrive_next_token", "retrive_next_sibling", "uniform_samples"),
    *("uniform_samples_for_final_sampling", "target_probs", "draft_probs", "threshold_single"),
    *("threshold_acc", "deterministic"),
)

VARIANTS = (
    PeerVariant(
        "top_k_renorm_probs",
        "top_k_renorm_prob",
        (Form("sgl_kernel:top_k_renorm_prob", ("probs", "top_k"), bind_top_k_renorm_prob,
              torch_op="sgl_kernel.top_k_renorm_probs"),),
        _RENORM_LIMITS,
    ),
    PeerVariant(
        "top_k_renorm_probs",
        "top_k_renorm_probs_triton",
        (Form("sglang.kernels.ops.sampling.renorm_triton:top_k_renorm_probs_triton",
              ("probs", "top_k"), bind_top_k_renorm_probs_triton),),
    ),
    PeerVariant(
        "top_p_renorm_probs",
        "top_p_renorm_prob",
        (Form("sgl_kernel:top_p_renorm_prob", ("probs", "top_p"), bind_top_p_renorm_prob,
              torch_op="sgl_kernel.top_p_renorm_probs"),),
        _RENORM_LIMITS,
    ),
    PeerVariant(
        "top_p_renorm_probs",
        "top_p_renorm_probs_triton",
        (Form("sglang.kernels.ops.sampling.renorm_triton:top_p_renorm_probs_triton",
              ("probs", "top_p"), bind_top_p_renorm_probs_triton),),
    ),
    PeerVariant(
        "top_k_top_p_renorm_probs",
        "renorm_pair",
        (Form("sgl_kernel:top_p_renorm_prob", ("probs", "top_p"), bind_renorm_pair,
              torch_op="sgl_kernel.top_p_renorm_probs"),),
        (_JOINT, *_RENORM_LIMITS),
    ),
    PeerVariant(
        "tree_speculative_sampling_target_only",
        "tree_speculative_sampling_target_only",
        (
            Form("sgl_kernel:tree_speculative_sampling_target_only", _TREE_TAKES, bind_tree),
            Form(
                "sglang.kernels.ops.speculative.sampling:tree_speculative_sampling_target_only",
                _TREE_TAKES,
                bind_sglang_tree,
            ),
        ),
        (
            only_if(_is_indexable, "counts elements in 32 bits", TREE, "unchecked"),
            dense_rows(TREE, "checked"),
            aligned_rows(TREE),
        ),
    ),
)  # fmt: skip
