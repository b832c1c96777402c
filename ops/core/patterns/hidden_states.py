"""Contents of attention heads [tokens, heads * head_dim]: `fill(rng, tokens, heads, head_dim)`.

Where only some heads are special, the first of the first token is not: no case is all zeros.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.patterns.pattern import Pattern, table

Array = NDArray[np.float64]
Rng = np.random.Generator


def _normal(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    return rng.standard_normal((tokens, heads * head_dim))


def _uniform(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    return rng.uniform(-1.0, 1.0, (tokens, heads * head_dim))


def _scale_heads(rng: Rng, tokens: int, heads: int, head_dim: int, scales: Array) -> Array:
    """Normal heads times their scales [tokens, heads]."""
    return _normal(rng, tokens, heads, head_dim) * np.repeat(scales, head_dim, axis=1)


def _scaled_heads(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    scales = np.exp2(rng.integers(-6, 7, (tokens, heads)))
    return _scale_heads(rng, tokens, heads, head_dim, scales)


def _small(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    scales = 10.0 ** rng.uniform(-3.5, -2.5, (tokens, heads))
    return _scale_heads(rng, tokens, heads, head_dim, scales)


def _large(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    return np.clip(4096.0 * _normal(rng, tokens, heads, head_dim), -32768.0, 32768.0)


def _overflow(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    scales = np.where(_alternate(tokens, heads), 2.0 ** rng.uniform(50, 80, (tokens, heads)), 1.0)
    return _scale_heads(rng, tokens, heads, head_dim, scales)


def _outliers(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    values = _normal(rng, tokens, heads, head_dim)
    return np.where(rng.random(values.shape) < 1.0 / 64.0, 256.0 * values, values)


def _one_hot(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    """One element of each head; the place moves on by one from head to head."""
    place = np.arange(tokens * heads) % max(head_dim, 1)
    values = np.zeros((tokens * heads, head_dim))
    values[np.arange(tokens * heads), place] = rng.uniform(0.5, 2.0, tokens * heads)
    return values.reshape(tokens, heads * head_dim)


def _heavy_tail(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    scales = np.where(np.arange(head_dim) >= head_dim - max(head_dim // 8, 1), 8.0, 1.0)
    return np.asarray(_normal(rng, tokens, heads, head_dim) * np.tile(scales, heads))


def _zero_heads(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    scales = np.where(_alternate(tokens, heads), 0.0, 1.0)
    return _scale_heads(rng, tokens, heads, head_dim, scales)


def _denormal(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    """Denormal in float16 for some heads, in bfloat16 and float32 for others."""
    tiny = 2.0 ** rng.choice([-20.0, -128.0, -134.0], (tokens, heads))
    scales = np.where(_alternate(tokens, heads), tiny, 1.0)
    return _scale_heads(rng, tokens, heads, head_dim, scales)


def _alternate(tokens: int, heads: int) -> NDArray[np.bool_]:
    """Every second head, shifted by one from token to token."""
    return np.asarray((np.arange(tokens)[:, None] + np.arange(heads)) % 2 == 1)


def _place(rng: Rng, tokens: int, heads: int, head_dim: int, bad: float) -> Array:
    """One `bad` element, of either sign, at a random place of every second head."""
    values = _normal(rng, tokens, heads, head_dim)
    token, head = np.nonzero(_alternate(tokens, heads))
    column = head * head_dim + rng.integers(0, head_dim, len(head))
    values[token, column] = bad * rng.choice([-1.0, 1.0], len(head))
    return values


def _nan_heads(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    return _place(rng, tokens, heads, head_dim, np.nan)


def _inf_heads(rng: Rng, tokens: int, heads: int, head_dim: int) -> Array:
    return _place(rng, tokens, heads, head_dim, np.inf)


PATTERNS = table(
    Pattern("normal", "independent standard normal elements", _normal),
    Pattern("uniform", "uniform in [-1, 1]", _uniform),
    Pattern(
        "scaled_heads",
        "every head has a magnitude of its own, 2^-6 to 2^6: a mean over the row shows",
        _scaled_heads,
    ),
    Pattern("small", "mean squares about 1e-6: what eps does, and where it stands, shows", _small),
    Pattern("large", "magnitudes of thousands: squares overflow in float16", _large),
    Pattern(
        "overflow",
        "every second head about 2^50 to 2^80: squares overflow in float32 for many",
        _overflow,
    ),
    Pattern(
        "outliers",
        "one element in 64 is 256 times larger: a coarse sum loses the others",
        _outliers,
        "massive activations, Sun et al. 2024, arXiv:2402.17762",
    ),
    Pattern("one_hot", "one element a head: a lane left out of the sum loses all of it", _one_hot),
    Pattern("heavy_tail", "the last eighth of a head is 8 times larger: a lost tail shows",
            _heavy_tail),
    Pattern(
        "zero_heads",
        "every second head is zero, as in the padded rows of a captured graph",
        _zero_heads,
        "ROCm/aiter#4530 (what padding rows hold decides)",
    ),
    Pattern("denormal", "every second head is denormal in one dtype or another", _denormal),
    Pattern(
        "nan_heads",
        "a NaN in every second head: it must not reach another head",
        _nan_heads,
        "ROCm/aiter#4530 (NaN in padding rows)",
    ),
    Pattern(
        "inf_heads",
        "an infinity of either sign in every second head",
        _inf_heads,
        "ROCm/aiter#4530 (Inf in padding rows)",
    ),
)  # fmt: skip
