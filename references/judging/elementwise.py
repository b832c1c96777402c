"""Limits for numbers that are compared element by element: ulps plus an absolute floor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .verdict import Judgement

Array = NDArray[np.float64]

#: Smallest normal float32; hardware may flush what is below it to zero.
TINY = 2.0**-126

#: Unit roundoff by dtype: half the gap between 1 and the next number (IEEE 754-2019, table 3.5;
#: bfloat16 has 8 bits of precision).
ROUNDOFF: Mapping[str, float] = {"fp32": 2.0**-24, "fp16": 2.0**-11, "bf16": 2.0**-8}

#: Smallest positive normal number by dtype (same sources).
SMALLEST_NORMAL: Mapping[str, float] = {"fp32": TINY, "fp16": 2.0**-14, "bf16": TINY}


def same_bits(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.bool_]:
    """Elementwise equality of values, where NaN equals NaN."""
    nan = np.isnan(left) & np.isnan(right) if left.dtype.kind == "f" else np.False_
    return np.asarray((left == right) | nan)


def digest(outputs: Mapping[str, NDArray[Any]]) -> str:
    """A word for an answer, by its bits."""
    return join_digests({name: digest_values(values) for name, values in outputs.items()})


def digest_values(values: NDArray[Any]) -> str:
    """A word for one output, by its bits."""
    hashed = hashlib.blake2b(f"{values.dtype} {values.shape}".encode(), digest_size=16)
    hashed.update(np.ascontiguousarray(values).data)
    return hashed.hexdigest()


def join_digests(words: Mapping[str, str]) -> str:
    """The word for an answer of those for its outputs, by name."""
    return hashlib.blake2b(str([*words.items()]).encode(), digest_size=16).hexdigest()


def judge_close(
    judgement: Judgement,
    name: str,
    *,
    output: str,
    found: NDArray[Any],
    wanted: Array,
    relative: float | Array,
    absolute: float | Array = TINY,
    where: NDArray[np.bool_] | None = None,
    detail: str = "",
) -> bool:
    """Add the check |found - wanted| <= relative * |wanted| + absolute, where `where` is true.

    `relative` and `absolute` broadcast against `found` and `wanted`, which have one shape.
    """
    with np.errstate(invalid="ignore"):
        error = np.abs(found.astype(np.float64) - wanted)
    limit = relative * np.abs(wanted) + absolute
    limit = np.broadcast_to(np.where(np.isfinite(limit), limit, TINY), error.shape)
    if where is not None:
        error = np.where(np.broadcast_to(where, error.shape), error, 0.0)
    return judgement.bounded(
        name, error, limit, output=output, found=found, wanted=wanted, detail=detail
    )
