"""top_k_top_p_renorm_probs in portable Triton: both filters in one search, or in two."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.variants import Variant
from rocmoe.ops.kernels.shared.threshold_launches import renormalise
from rocmoe.ops.kernels.shared.threshold_variants import in_parts

VARIANTS = (
    Variant(
        "row",
        "one launch: 11 us for a row of 8192 on an H100",
        most={"V": 8192},
        parameters={"columns_a_warp": 512, "most_warps": 16},
    ),
    Variant(
        "parts",
        "a few rows that are not long: a tile or two a program",
        most={"B": 8, "V": 65536},
        parameters=in_parts(8, 16384, 4096),
    ),
    Variant(
        "parts",
        "some rows that are not long",
        most={"B": 64, "V": 65536},
        parameters=in_parts(4, 16384, 4096),
    ),
    Variant(
        "whole",
        "one launch: 256 rows of 32000 take 51 us on an H100, top-p in three launches 61 us",
        arch="sm",
        most={"V": 65536},
        least={"B": 256},
        parameters={"warps": 8, "room": 16384, "held": 8192, "sample": 1024, "depth": 8,
                    "tile": 2048, "block": 4096},
    ),
    Variant(
        "parts",
        "each part searches its row's bracket again, and here the rows alone fill a GPU",
        most={"V": 65536},
        parameters=in_parts(1, 16384, 4096),
    ),
    Variant(
        "parts",
        "few long rows: three tiles a program",
        most={"B": 8},
        parameters=in_parts(32, 32768, 4096),
    ),
    Variant(
        "parts",
        "two programs a processor of an H100 at 16 rows",
        most={"B": 32},
        parameters=in_parts(16, 32768, 4096),
    ),
    Variant(
        "parts",
        "as top-p and top-k by themselves",
        most={"B": 128},
        parameters=in_parts(4, 32768, 4096),
    ),
    Variant(
        "parts",
        "as top-p and top-k by themselves",
        parameters=in_parts(4, 32768, 4096, announce="settle"),
    ),
)  # fmt: skip


def top_k_top_p_renorm_probs(probs: Any, top_k: Any, top_p: Any, filter_apply_order: str) -> Any:
    """renorm_probs f32 [B, V] of probs f32 [B, V] in any layout.

    top_k: int or i32 [B].  top_p: float or f32 [B].  filter_apply_order: `joint` applies both to
    the probabilities as they are; `top_k_first` takes top_p of the mass that top_k keeps.
    Semantics: flashinfer `filter_apply_order` (flashinfer/sampling.py).
    """
    return renormalise(VARIANTS, probs, top_k, top_p, filter_apply_order == "top_k_first")
