"""Contents of probs [rows, vocabulary]: `fill(rng, rows, vocabulary)`.

Rows sum to one, or are zero, but for `unnormalised` and `nan_rows`.  They are divided in float64,
so equal values stay equal when they are rounded to float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.patterns.pattern import Pattern, table

Array = NDArray[np.float64]
Rng = np.random.Generator


def _normalise(weights: Array) -> Array:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _softmax(logits: Array) -> Array:
    return _normalise(np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf)))


def _normal(rng: Rng, rows: int, vocabulary: int) -> Array:
    return _softmax(rng.standard_normal((rows, vocabulary)))


def _peaked(rng: Rng, rows: int, vocabulary: int) -> Array:
    return _softmax(8.0 * rng.standard_normal((rows, vocabulary)))


def _flat(rng: Rng, rows: int, vocabulary: int) -> Array:
    return _softmax(1e-2 * rng.standard_normal((rows, vocabulary)))


def _uniform(rng: Rng, rows: int, vocabulary: int) -> Array:
    return _normalise(rng.random((rows, vocabulary)) + 2.0**-53)


def _bf16_ties(rng: Rng, rows: int, vocabulary: int) -> Array:
    """Softmax probabilities with eight significant bits, divided by what they sum to then."""
    mantissa, exponent = np.frexp(_softmax(2.0 * rng.standard_normal((rows, vocabulary))))
    return _normalise(np.ldexp(np.round(mantissa * 256.0), exponent - 8))


def _tie_classes(rng: Rng, rows: int, vocabulary: int) -> Array:
    """One token in sixteen has 4 parts, half of them 1/4 part, the others 1."""
    values = np.ones((rows, vocabulary))
    values[:, : max(vocabulary // 16, 1)] = 4.0
    values[:, vocabulary - vocabulary // 2 :] = 0.25
    return _normalise(rng.permuted(values, axis=1))


def _all_equal(rng: Rng, rows: int, vocabulary: int) -> Array:
    del rng
    return np.full((rows, vocabulary), 1.0 / vocabulary)


def _one_hot(rng: Rng, rows: int, vocabulary: int) -> Array:
    values = np.zeros((rows, vocabulary))
    values[np.arange(rows), rng.integers(0, vocabulary, rows)] = 1.0
    return values


def _zero_rows(rng: Rng, rows: int, vocabulary: int) -> Array:
    values = _normal(rng, rows, vocabulary)
    values[1::3] = 0.0
    return values


def _denormal(rng: Rng, rows: int, vocabulary: int) -> Array:
    values = _softmax(3.0 * rng.standard_normal((rows, vocabulary)))
    tail = rng.random((rows, vocabulary)) < 0.5
    tail[:, 0] = False
    values = _normalise(np.where(tail, 0.0, values))
    return np.where(tail, 2.0**-145 * rng.integers(0, 2**17, values.shape), values)


def _zipf(rng: Rng, rows: int, vocabulary: int) -> Array:
    ladder = 1.0 / np.arange(1, vocabulary + 1)
    return _normalise(rng.permuted(np.tile(ladder, (rows, 1)), axis=1))


def _halving(rng: Rng, rows: int, vocabulary: int) -> Array:
    """1/2, 1/4, ..., 2^-15, 2^-15 and zeros; a shorter row ends with the same number twice."""
    length = min(vocabulary, 16)
    row = np.zeros(vocabulary)
    row[:length] = 0.5 ** np.minimum(np.arange(1, length + 1), length - 1)
    return np.asarray(rng.permuted(np.tile(row, (rows, 1)), axis=1))


def _last_token(rng: Rng, rows: int, vocabulary: int) -> Array:
    logits = rng.standard_normal((rows, vocabulary))
    logits[:, -1] = np.log(vocabulary)
    return _softmax(logits)


def _unnormalised(rng: Rng, rows: int, vocabulary: int) -> Array:
    scale = rng.choice([0.25, 0.75, 1.5, 64.0], (rows, 1))
    return np.asarray(_normal(rng, rows, vocabulary) * scale)


def _nan_rows(rng: Rng, rows: int, vocabulary: int) -> Array:
    values = _normal(rng, rows, vocabulary)
    values[::2, :: max(vocabulary // 7, 1)] = np.nan
    values[::4] = np.nan
    return values


PATTERNS = table(
    Pattern("normal", "softmax of standard normal logits", _normal),
    Pattern(
        "peaked", "softmax at temperature 1/8: a few tokens hold nearly everything", _peaked,
        "flashinfer-ai/flashinfer#2202 (top-p drops the boundary token)",
    ),
    Pattern("flat", "softmax at temperature 100: near-ties everywhere", _flat),
    Pattern(
        "uniform", "uniform random numbers, normalised", _uniform,
        "flashinfer-ai/flashinfer tests/utils/test_sampling.py @fb28d724, whose tolerance of 1e-3 "
        "accepts zeros for V >= 32000",
    ),
    Pattern(
        "bf16_ties", "eight significant bits: whole classes tie, one at each boundary", _bf16_ties,
        "flashinfer-ai/flashinfer#3774 (value-only acceptance takes too many tied entries)",
    ),
    Pattern(
        "tie_classes", "three distinct values a row: any boundary cuts a class of equals",
        _tie_classes, "flashinfer-ai/flashinfer#3774",
    ),
    Pattern(
        "all_equal", "one value a row: every token ties", _all_equal,
        "flashinfer-ai/flashinfer#769 (a pivot search that never ends)",
    ),
    Pattern("one_hot", "all mass on one token", _one_hot),
    Pattern(
        "zero_rows", "every third row, from the second on, is zero", _zero_rows,
        "ROCm/aiter#3658 (uninitialised LDS in top-k and top-p on all-zero rows)",
    ),
    Pattern(
        "denormal", "half of the tokens have denormal probabilities", _denormal,
        "flashinfer-ai/flashinfer#774 (flushed denormals stall the pivot search)",
    ),
    Pattern("zipf", "1 / rank: the vocabulary's usual long tail", _zipf),
    Pattern(
        "halving", "1/2, 1/4, 1/8, ...: float32 adds them exactly, so P = 1/2 is hit exactly",
        _halving,
        "sgl-project/sglang top_p_normalize_probs_torch keeps mass == P, flashinfer does not",
    ),
    Pattern("last_token", "the last token is the likeliest: a dropped tail shows", _last_token),
    Pattern("unnormalised", "rows that sum to 1/4, 3/4, 3/2 or 64", _unnormalised),
    Pattern(
        "nan_rows", "NaN in every second row, every fourth row nothing else", _nan_rows,
        "ROCm/aiter#3658, vllm-project/vllm#49666",
    ),
)  # fmt: skip
