import numpy as np
import pytest

from rocmoe.ops.core.inputs import round_to
from rocmoe.ops.core.patterns.hidden_states import PATTERNS

TOKENS, HEADS, D = 6, 4, 32


def fill(name, tokens=TOKENS, heads=HEADS, head_dim=D):
    values = PATTERNS[name].fill(np.random.default_rng(0), tokens, heads, head_dim)
    assert values.shape == (tokens, heads * head_dim)
    assert values.dtype == np.float64
    return values.reshape(tokens, heads, head_dim)


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("shape", [(0, 4, 8), (1, 1, 1), (3, 1, 80)])
def test_any_shape_can_be_filled_and_the_first_head_is_never_all_zero(name, shape):
    heads = fill(name, *shape)
    if shape[0]:
        assert np.isfinite(heads[0, 0]).all()
        assert (heads[0, 0] != 0).any()


@pytest.mark.parametrize("name", sorted(set(PATTERNS) - {"overflow", "inf_heads", "nan_heads"}))
def test_all_but_three_are_finite_in_float16(name):
    assert np.isfinite(round_to(fill(name), "fp16")).all()


def test_special_heads_are_every_second_one():
    for name, special in (
        ("zero_heads", lambda heads: (heads == 0).all(axis=2)),
        ("nan_heads", lambda heads: np.isnan(heads).sum(axis=2) == 1),
        ("inf_heads", lambda heads: np.isinf(heads).sum(axis=2) == 1),
        ("denormal", lambda heads: (np.abs(heads) < 2.0**-14).all(axis=2)),
        ("overflow", lambda heads: (np.abs(heads) > 1e6).any(axis=2)),
    ):
        found = special(fill(name))
        assert (found == (np.add.outer(np.arange(TOKENS), np.arange(HEADS)) % 2 == 1)).all(), name


def test_magnitudes_are_where_they_hurt():
    assert np.median(np.square(fill("small")).mean(axis=2)) == pytest.approx(1e-6, rel=2.0)
    assert np.square(fill("large")).max() > 65504
    assert (np.square(fill("overflow", 64)).sum(axis=2) > 2.0**128).any()
    assert (np.count_nonzero(fill("one_hot"), axis=2) == 1).all()
    tail = np.square(fill("heavy_tail", 64))
    assert tail[..., -4:].sum() > tail[..., :-4].sum()
    spread = np.abs(fill("scaled_heads", 64)).mean(axis=2)
    assert spread.max() / spread.min() > 256
    assert np.abs(fill("outliers", 64)).max() > 100
