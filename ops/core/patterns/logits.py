"""Contents of gating_output [tokens, experts]: `fill(rng, tokens, experts, topk)`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.patterns.pattern import Pattern, table

Array = NDArray[np.float64]
Rng = np.random.Generator


def _normal(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    return rng.standard_normal((tokens, experts))


def _uniform(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    return rng.uniform(-2.0, 2.0, (tokens, experts))


def _distinct(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    steps = np.tile(np.arange(experts) / 32.0 - experts / 64.0, (tokens, 1))
    return rng.permuted(steps, axis=1)


def _heavy_ties(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    return rng.integers(0, 4, (tokens, experts)) / 2.0


def _all_equal(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    return np.repeat(rng.integers(-4, 5, (tokens, 1)) / 2.0, experts, axis=1)


def _boundary_ties(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    """Exactly one more expert than slots remain shares the k-th key, at random places."""
    high = min(max(topk - 1, 0), experts)
    ladder = np.arange(experts, 0, -1) / 64.0
    ladder[high : min(high + 2, experts)] = ladder[min(high, experts - 1)]
    return rng.permuted(np.tile(ladder - 1.0, (tokens, 1)), axis=1)


def _one_stripe(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    """The winners stand 64 apart, so one lane of a wave owns as many of them as fit."""
    values = rng.uniform(-1.0, 0.0, (tokens, experts))
    lane = rng.integers(0, min(64, experts), tokens)
    for token in range(tokens):
        stripe = np.arange(lane[token], experts, 64)[: max(topk, 1)]
        values[token, stripe] = rng.uniform(2.0, 3.0, len(stripe))
    return values


def _last_experts(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    values = rng.standard_normal((tokens, experts))
    values[:, max(experts - topk, 0) :] += 8.0
    return values


def _descending(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    return -np.sort(-rng.standard_normal((tokens, experts)), axis=1)


def _peaked(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    return 12.0 * rng.standard_normal((tokens, experts))


def _flat(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    return 1e-2 * rng.standard_normal((tokens, experts))


def _shifted(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    return rng.standard_normal((tokens, experts)) - 300.0


def _far_shifted(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    return 100.0 * rng.standard_normal((tokens, experts)) - 2e4


def _huge(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    return rng.choice([-1.0, 1.0], (tokens, experts)) * rng.uniform(16.0, 120.0, (tokens, experts))


def _saturation_edge(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    """Twice as many experts as are chosen straddle the logit where float32 sigmoid becomes 1."""
    values = rng.standard_normal((tokens, experts))
    places = rng.random((tokens, experts)) < 2.0 * topk / experts
    return np.where(places, rng.uniform(14.0, 20.0, (tokens, experts)), values)


def _low(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    return rng.uniform(-40.0, -8.0, (tokens, experts))


def _denormal(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    del topk
    tiny = 2.0**-140 * rng.integers(-64, 65, (tokens, experts))
    return np.where(rng.random((tokens, experts)) < 0.25, rng.standard_normal(tiny.shape), tiny)


def _some_rows(rng: Rng, values: Array, bad: float, share: float) -> Array:
    """Put `bad` into a `share` of the places of every second row."""
    places = rng.random(values.shape) < share
    places[1::2] = False
    return np.where(places, bad, values)


def _nan_rows(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    values = _some_rows(rng, _normal(rng, tokens, experts, topk), np.nan, 0.1)
    values[::4] = np.nan
    return values


def _inf_rows(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    return _some_rows(rng, _normal(rng, tokens, experts, topk), np.inf, 0.1)


def _neg_inf(rng: Rng, tokens: int, experts: int, topk: int) -> Array:
    values = _some_rows(rng, _normal(rng, tokens, experts, topk), -np.inf, 0.6)
    values[::8] = -np.inf
    return values


#: The patterns in which no row comes near 0: sigmoid and softplus of all their logits underflow.
SHIFTED = ("shifted", "far_shifted")

PATTERNS = table(
    Pattern("normal", "independent standard normal logits", _normal),
    Pattern(
        "uniform",
        "uniform in [-2, 2], as FlyDSL's gating test draws them",
        _uniform,
        "ROCm/FlyDSL tests/kernels/test_topk_gating_softmax.py @11c4174d",
    ),
    Pattern(
        "distinct",
        "every row a permutation of distinct values: no ties at all",
        _distinct,
        "ROCm/aiter op_tests/test_moe_topk_gating.py @e4048607",
    ),
    Pattern(
        "heavy_ties",
        "four distinct values a row: whole classes of experts tie",
        _heavy_ties,
        "ROCm/aiter topk_gating drops tied experts, predicted from source @e4048607; "
        "ROCm/aiter#2750",
    ),
    Pattern(
        "all_equal",
        "one value a row: every expert ties",
        _all_equal,
        "ROCm/aiter#3658 (uninitialised LDS in top-k on degenerate rows)",
    ),
    Pattern(
        "boundary_ties",
        "two experts share the k-th key: just one of them may be chosen",
        _boundary_ties,
        "flashinfer-ai/flashinfer#3774 (value-only acceptance takes too many tied entries)",
    ),
    Pattern(
        "one_stripe",
        "winners 64 apart: a single lane owns them all",
        _one_stripe,
        "ROCm/aiter topk_gating's per-lane candidates, read in source @e4048607",
    ),
    Pattern(
        "last_experts", "the winners are the last experts: a dropped tail shows", _last_experts
    ),
    Pattern("descending", "rows already sorted: the answer is the identity", _descending),
    Pattern("peaked", "standard deviation 12: most probabilities underflow", _peaked),
    Pattern("flat", "standard deviation 0.01: near-ties everywhere", _flat),
    Pattern(
        "shifted", "around -300: exp(x) is 0 unless the row's own maximum is subtracted", _shifted
    ),
    Pattern(
        "far_shifted",
        "around -20000: below what a kernel may take for minus infinity",
        _far_shifted,
    ),
    Pattern(
        "huge",
        "magnitudes 16 to 120: float32 sigmoid saturates to 0 and 1",
        _huge,
        "ROCm/aiter topk_gating selects by float32 sigmoid, CK by the logit (@e4048607)",
    ),
    Pattern(
        "saturation_edge",
        "the best logits lie between 14 and 20, where float32 sigmoid reaches 1",
        _saturation_edge,
        "ROCm/aiter topk_gating selects by float32 sigmoid, CK by the logit (@e4048607)",
    ),
    Pattern(
        "low",
        "-40 to -8: scores small next to 1, which 1 + exp(x) and tanh round away",
        _low,
        "ROCm/aiter topk_gating's softplus is log2(1 + exp2(x)), read in source @e4048607",
    ),
    Pattern("denormal", "denormal logits among normal ones: flushing must not matter", _denormal),
    Pattern(
        "nan_rows",
        "NaN in every second row, every fourth row nothing else",
        _nan_rows,
        "ROCm/aiter#4530 (NaN padding rows give experts out of range)",
    ),
    Pattern(
        "inf_rows",
        "+inf in every second row",
        _inf_rows,
        "vllm-project/vllm tests/kernels/moe/test_fused_topk.py, NaN and Inf variants",
    ),
    Pattern(
        "neg_inf",
        "-inf for most experts of every second row, all of every eighth",
        _neg_inf,
        "ROCm/aiter#4530",
    ),
)
