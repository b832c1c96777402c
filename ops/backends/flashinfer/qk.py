"""FlashInfer's rmsnorm on heads, once for queries and once for keys.

Signature: flashinfer/norm/__init__.py of flashinfer-python 0.7.2.post1; rows of [T, H, D] may have
any stride that keeps them aligned.  It has two kernels: one in CuTe DSL, and one in CUDA where
nvidia-cutlass-dsl is missing or FLASHINFER_USE_CUDA_NORM=1 asks for it.  Its fused norm and
rotation does not match an op: it rotates by a base, not by a cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rocmoe.ops.backends.flashinfer.limits import aligned_vectors, some_rows
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import only_arch, only_if
from rocmoe.ops.core.peer import Form, PeerVariant
from rocmoe.ops.core.peer_import import is_installed

NORM = "flashinfer/norm/__init__.py of flashinfer-python 0.7.2.post1"
CUDA = "flashinfer/data/csrc/norm.cu of flashinfer-python 0.7.2.post1"


def bind_rmsnorm(
    q: Any, k: Any, q_weight: Any, k_weight: Any, eps: float, q_out: Any, k_out: Any
) -> Callable[[], Any]:
    """Two calls, on views of [T, H, D]."""
    from flashinfer import rmsnorm

    head_dim = q_weight.shape[0]
    q_heads, q_out_heads = q.unflatten(1, (-1, head_dim)), q_out.unflatten(1, (-1, head_dim))
    k_heads, k_out_heads = k.unflatten(1, (-1, head_dim)), k_out.unflatten(1, (-1, head_dim))

    def call() -> None:
        rmsnorm(q_heads, q_weight, eps, q_out_heads)
        rmsnorm(k_heads, k_weight, eps, k_out_heads)

    return call


def _takes_dtype(case: Case) -> bool:
    return case.dtype != "fp32" or not runs_cuda_norm()


def runs_cuda_norm() -> bool:
    """Whether the kernel in CUDA would run; that in CuTe where FlashInfer is not installed."""
    if os.environ.get("FLASHINFER_USE_CUDA_NORM") == "1":
        return True
    return is_installed("flashinfer") and not is_installed("cutlass")


VARIANTS = (
    PeerVariant(
        "qk_rmsnorm",
        "rmsnorm",
        (Form("flashinfer:rmsnorm", ("input", "weight", "eps", "out"), bind_rmsnorm),),
        (
            only_arch(NORM, "sm"),
            only_if(_takes_dtype, "wants fp16, bf16 where its kernel is the one in CUDA", CUDA),
            some_rows(CUDA),
            aligned_vectors("D", CUDA),
        ),
    ),
)
