"""FlashInfer's renormalisation by top-k and top-p.

Signatures and limits: flashinfer/sampling.py and data/csrc/renorm.cu of flashinfer-python
0.7.2.post1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.backends.flashinfer.limits import aligned_vectors, some_rows
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.limits import dense_rows, only_arch, only_param
from rocmoe.ops.core.peer import Form, PeerVariant

SAMPLING = "flashinfer/sampling.py of flashinfer-python 0.7.2.post1"
RENORM = "flashinfer/data/csrc/renorm.cu of flashinfer-python 0.7.2.post1"
AIR = "flashinfer/data/include/flashinfer/air_top_p.cuh of flashinfer-python 0.7.2.post1"
#: Tokens from which top-p goes by radix, whose loads begin where the rows are aligned.
RADIX_TOKENS = 2048


def bind_top_k_renorm_probs(probs: Any, top_k: Any) -> Callable[[], Any]:
    """top_k: an int, or a tensor."""
    from flashinfer.sampling import top_k_renorm_probs

    def call() -> Any:
        return top_k_renorm_probs(probs, top_k)

    return call


def bind_top_p_renorm_probs(probs: Any, top_p: Any) -> Callable[[], Any]:
    """top_p: a float, or a tensor."""
    from flashinfer.sampling import top_p_renorm_probs

    def call() -> Any:
        return top_p_renorm_probs(probs, top_p)

    return call


def bind_renorm_pair(
    probs: Any, top_k: Any, top_p: Any, filter_apply_order: str
) -> Callable[[], Any]:
    """One after the other, FlashInfer's default order where it samples."""
    from flashinfer.sampling import top_k_renorm_probs, top_p_renorm_probs

    del filter_apply_order

    def call() -> Any:
        return top_p_renorm_probs(top_k_renorm_probs(probs, top_k), top_p)

    return call


def _goes_by_search(case: Case) -> bool:
    return case.sizes["V"] < RADIX_TOKENS


_LIMITS = (only_arch(SAMPLING, "sm"), dense_rows(RENORM, "checked"))

VARIANTS = (
    PeerVariant(
        "top_k_renorm_probs",
        "top_k_renorm_probs",
        (Form("flashinfer.sampling:top_k_renorm_probs", ("probs", "top_k"),
              bind_top_k_renorm_probs),),
        (*_LIMITS, aligned_vectors("V", RENORM)),
    ),
    PeerVariant(
        "top_p_renorm_probs",
        "top_p_renorm_probs",
        (Form("flashinfer.sampling:top_p_renorm_probs", ("probs", "top_p"),
              bind_top_p_renorm_probs),),
        (*_LIMITS, some_rows(AIR), aligned_vectors("V", RENORM, _goes_by_search)),
    ),
    PeerVariant(
        "top_k_top_p_renorm_probs",
        "renorm_pair",
        (Form("flashinfer.sampling:top_p_renorm_probs", ("probs", "top_p"), bind_renorm_pair),),
        (
            only_param("filter_apply_order", ("top_k_first",), "filters one after the other",
                       SAMPLING, "contract"),
            *_LIMITS,
            some_rows(AIR),
            aligned_vectors("V", RENORM),
        ),
    ),
)  # fmt: skip
