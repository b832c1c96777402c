"""Contents of correction_bias [experts]: `fill(rng, experts)`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.patterns.pattern import Pattern, table

Array = NDArray[np.float64]
Rng = np.random.Generator


def _small(rng: Rng, experts: int) -> Array:
    return 0.1 * rng.standard_normal(experts)


def _normal(rng: Rng, experts: int) -> Array:
    return rng.standard_normal(experts)


def _negative(rng: Rng, experts: int) -> Array:
    return rng.uniform(-3.0, -2.0, experts)


def _equal(rng: Rng, experts: int) -> Array:
    return np.repeat(-rng.integers(4, 12, 1) / 4.0, experts)


def _large(rng: Rng, experts: int) -> Array:
    return rng.choice([-1.0, 1.0], experts) * rng.uniform(1024.0, 4096.0, experts)


PATTERNS = table(
    Pattern(
        "small", "standard deviation 0.1: the order of scores is disturbed, not replaced", _small
    ),
    Pattern(
        "normal",
        "standard normal, so that the bias outweighs the score",
        _normal,
        "ROCm/aiter op_tests/test_moeTopkSoftmax.py @e4048607",
    ),
    Pattern(
        "negative",
        "-3 to -2: every score plus bias is below 0, where a mask of 0 would win",
        _negative,
        "ROCm/aiter biased_grouped_topk_torch masks with 0.0, read in source @e4048607",
    ),
    Pattern("equal", "one value for all, -1 or less: ties of scores stay ties", _equal),
    Pattern(
        "large",
        "magnitudes 1024 to 4096: a score taken back out of score plus bias has lost its digits",
        _large,
        "ROCm/aiter biased_grouped_topk's opt-sort variant, read in source @e4048607",
    ),
)
