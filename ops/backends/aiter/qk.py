"""aiter's fused_qk_rmsnorm, used per head.

ROCm/aiter @e4048607, aiter/ops/fused_qk_rmsnorm_group_quant.py; from 2026-03-25 to 2026-05-09 a
function of this name stood in fused_qk_norm_rope_cache_quant.py, with other parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import at_most, only_dtypes, only_if
from rocmoe.ops.core.peer import Form, PeerVariant

KERNEL = "csrc/kernels/fused_qk_norm_rope_cache_quant.cu @e4048607"


def bind_fused_qk_rmsnorm(
    q: Any, k: Any, q_weight: Any, k_weight: Any, eps: float, q_out: Any, k_out: Any
) -> Callable[[], Any]:
    """A row a head; quant_type stays No."""
    import aiter

    q_rows, q_out_rows = q.view(-1, q_weight.shape[0]), q_out.view(-1, q_weight.shape[0])
    k_rows, k_out_rows = k.view(-1, k_weight.shape[0]), k_out.view(-1, k_weight.shape[0])

    def call() -> None:
        aiter.fused_qk_rmsnorm(
            q_out_quantized=q_out_rows, q=q_rows, q_weight=q_weight, q_epsilon=eps,
            k_out=k_out_rows, k=k_rows, k_weight=k_weight, k_epsilon=eps,
        )  # fmt: skip

    return call


def bind_older_fused_qk_rmsnorm(
    q: Any, k: Any, q_weight: Any, k_weight: Any, eps: float, q_out: Any, k_out: Any
) -> Callable[[], Any]:
    """As `bind_fused_qk_rmsnorm`, by position."""
    from aiter.ops.fused_qk_norm_rope_cache_quant import fused_qk_rmsnorm

    q_rows, q_out_rows = q.view(-1, q_weight.shape[0]), q_out.view(-1, q_weight.shape[0])
    k_rows, k_out_rows = k.view(-1, k_weight.shape[0]), k_out.view(-1, k_weight.shape[0])

    def call() -> None:
        fused_qk_rmsnorm(q_out_rows, q_rows, q_weight, eps, k_out_rows, k_rows, k_weight, eps)

    return call


def _has_rows(case: Case) -> bool:
    return case.layout in ("contiguous", "offset") or case.sizes["T"] <= 1


VARIANTS = (
    PeerVariant(
        "qk_rmsnorm",
        "fused_qk_rmsnorm",
        (
            Form(
                "aiter:fused_qk_rmsnorm",
                (),
                bind_fused_qk_rmsnorm,
                ("q_out_quantized", "q", "q_weight", "q_epsilon", "k_out", "k", "k_weight",
                 "k_epsilon"),
            ),
            Form(
                "aiter.ops.fused_qk_norm_rope_cache_quant:fused_qk_rmsnorm",
                ("q_out", "q", "q_weight", "q_eps", "k_out", "k", "k_weight", "k_eps"),
                bind_older_fused_qk_rmsnorm,
            ),
        ),
        (
            only_if(_has_rows, "normalises rows: heads of strided tokens are no matrix", KERNEL,
                    "contract"),
            only_dtypes(KERNEL, "fp16", "bf16"),
            at_most("D", 8192, KERNEL),
            only_if(lambda case: case.sizes["Hq"] == case.sizes["Hkv"],
                    "takes q and k to have as many rows, so Hq == Hkv", KERNEL, "unchecked"),
        ),
    ),
)  # fmt: skip
