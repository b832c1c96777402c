"""RMSNorm of attention heads: the definition, what float32 may move, and the comparison.

y = x * w / sqrt(mean(x^2) + eps) over each head (Zhang and Sennrich 2019, arXiv:1910.07467), all of
it in float32, rounded to the output's dtype once, at the very end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .elementwise import ROUNDOFF, SMALLEST_NORMAL, TINY, Array
from .verdict import Index, Judgement, format_element

FLOAT32 = ROUNDOFF["fp32"]

#: Roundings of float32 apart from the sum.  rsqrt is good to 2 ulp (CUDA; 1 ulp on CDNA), which is
#: 4 half-ulps, and an approximate root with an approximate division to 6; the products with the
#: scale and the weight are 2; eps, the square, the mean and the addition of eps are 4 under a
#: root, which halves them.
ROUNDINGS = 10

#: Heads whose squares sum to this or more may leave float32: then rsqrt gives zero.
SUM_OVERFLOWS = 2.0**127

#: The largest power of two by dtype (IEEE 754-2019, table 3.5; bfloat16 as float32).
LARGEST_POWER = {"fp32": 2.0**127, "fp16": 2.0**15, "bf16": 2.0**127}


@dataclass(frozen=True)
class Heads:
    """Normalised heads.

    values, slack [T, H, D]: by the definition, and how far float32 rounding may move each.
    vanishes [T, H]: the sum of squares may overflow, so that zeros stand for the head too.
    """

    values: Array
    slack: Array
    vanishes: NDArray[np.bool_]


def normalize_heads(rows: Array, weight: Array, eps: float) -> Array:
    """rows f64 [T, H*D], weight f64 [D] -> f64 [T, H, D].

    A NaN makes its head NaN; an infinity makes its own element NaN and the rest of its head zero.
    """
    heads = split_heads(rows, len(weight))
    with np.errstate(invalid="ignore"):
        return np.asarray(heads * find_scale(heads, eps) * weight)


def normalize(rows: Array, weight: Array, eps: float) -> Heads:
    """The heads of `normalize_heads` with what is known of their float32 error.

    Squares do not cancel, so a sum of D of them is good to D roundings in any order, and the root
    halves that.  Whatever is denormal on the way, x, w, the scale's products with them, or y, may
    be flushed: each loses at most the smallest normal number times the factors still to come.
    """
    heads = split_heads(rows, len(weight))
    scale = find_scale(heads, eps)
    values = normalize_heads(rows, weight, eps)
    flushed = TINY * (1.0 + np.abs(heads)) * (1.0 + scale) * (1.0 + np.abs(weight))
    slack = np.abs(values) * ((len(weight) / 2 + ROUNDINGS) * FLOAT32) + flushed
    squares = np.square(heads).sum(axis=2)
    return Heads(values, slack, np.isfinite(squares) & (squares >= SUM_OVERFLOWS))


def split_heads(rows: Array, head_dim: int) -> Array:
    """rows [T, H*D] -> [T, H, D]."""
    return rows.reshape(len(rows), rows.shape[1] // head_dim, head_dim)


def find_scale(heads: Array, eps: float) -> Array:
    """1 / sqrt(mean(x^2) + eps) of each head, [T, H, 1]."""
    return np.asarray(1.0 / np.sqrt(np.square(heads).mean(axis=2, keepdims=True) + eps))


def half_ulp(magnitudes: Array, dtype: str) -> Array:
    """Half the gap between numbers of a dtype at these magnitudes; the subnormals' gap below."""
    inside = np.clip(magnitudes, SMALLEST_NORMAL[dtype], LARGEST_POWER[dtype])
    return np.asarray(np.ldexp(ROUNDOFF[dtype], np.frexp(inside)[1] - 1))


def judge_heads(
    judgement: Judgement, output: str, found: NDArray[Any], wanted: Heads, *, dtype: str
) -> None:
    """Check an output [T, H*D] against heads that are rounded to `dtype` once.

    within_rounding: at most half an ulp from what float32 may hold; a magnitude that rounds past
    the largest number is an infinity.  nan_stays: NaN where the definition gives NaN.
    """
    head_dim = wanted.values.shape[2]
    values, slack = (part.reshape(found.shape) for part in (wanted.values, wanted.slack))
    number = ~np.isnan(values)
    values, slack = np.where(number, values, 0.0), np.where(number, slack, 0.0)
    # An infinity stands for the first number that the dtype lacks, and for all beyond.
    beyond = 2.0 * LARGEST_POWER[dtype]
    error = np.abs(np.clip(found, -beyond, beyond) - np.clip(values, -beyond, beyond))
    zeroed = np.repeat(wanted.vanishes, head_dim, axis=1) & (found == 0.0)
    judgement.bounded(
        "within_rounding",
        np.where(number & ~zeroed, error, 0.0),
        slack + half_ulp(np.abs(values) + slack, dtype),
        output=output,
        found=found,
        wanted=lambda at: f"{format_element(values[at])} ({name_place(at, head_dim)})",
    )
    judgement.exact(
        "nan_stays",
        ~number & ~np.isnan(found),
        output=output,
        found=found,
        wanted=lambda at: f"nan ({name_place(at, head_dim)})",
    )


def name_place(at: Index, head_dim: int) -> str:
    """A column as a person finds it: `head 3, element 17`."""
    return f"head {at[1] // head_dim}, element {at[1] % head_dim}"
