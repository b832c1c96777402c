"""FlashInfer's rmsnorm on heads, once for queries and once for keys.

Signature: flashinfer/norm/__init__.py of flashinfer-python 0.7.2.post1; rows of [T, H, D] may have
any stride.  Its fused norm and rotation does not match an op: it rotates by a base, not by a cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.limits import aligned_rows, only_arch
from rocmoe.ops.core.peer import Form, PeerVariant

NORM = "flashinfer/norm/__init__.py of flashinfer-python 0.7.2.post1"


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


VARIANTS = (
    PeerVariant(
        "qk_rmsnorm",
        "rmsnorm",
        (Form("flashinfer:rmsnorm", ("input", "weight", "eps", "out"), bind_rmsnorm),),
        (only_arch(NORM, "sm"), aligned_rows(NORM)),
    ),
)
