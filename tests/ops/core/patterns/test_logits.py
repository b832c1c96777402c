import numpy as np
import pytest

from rocmoe.ops.core.inputs import round_to
from rocmoe.ops.core.patterns.logits import PATTERNS, SHIFTED


@pytest.mark.parametrize(("pattern", "highest"), [("shifted", -290.0), ("far_shifted", -1.9e4)])
@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_no_row_of_a_shifted_pattern_comes_near_zero_in_any_dtype(pattern, highest, dtype):
    values = round_to(PATTERNS[pattern].fill(np.random.default_rng(0), 64, 256, 8), dtype)
    assert np.isfinite(values).all()
    assert values.max() < highest
    assert all(len(set(row)) > 2 for row in values.tolist())


def test_the_shifted_patterns_are_those_that_say_so():
    assert {name for name in PATTERNS if "shifted" in name} == set(SHIFTED)
