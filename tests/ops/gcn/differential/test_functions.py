"""Functions that hardware approximates or a library computes, within their bounds.

The simulator rounds v_exp_f32 and its kin correctly, where hardware may be a unit in the last place
off (see semantics/transcendental.py), so what is seen here is the error of the code around them.
Bounds are those of OpenCL 3.0 (7.4, relative error as ulps), which AMD's library of device
functions states for itself, except for the short sequences that Triton writes out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from . import kernels  # noqa: E402
from .rig import ARCHS, TYPES, Finding, compare, few, measure_ulp, simulate  # noqa: E402

WARPS = st.sampled_from([1, 2, 4, 8])


@dataclass(frozen=True)
class Function:
    """exact: of values in a wider type. ulp: the bound. low, high: the arguments."""

    exact: Callable[..., Any]
    ulp: float
    low: float
    high: float
    kinds: tuple[str, ...] = ("float32", "float64")


#: The C library's, for SciPy's erfc is 17 ulp off at 4.63.
_erf, _erfc = np.vectorize(math.erf, [float]), np.vectorize(math.erfc, [float])


def _sigmoid(x, y):
    return 1 / (1 + np.exp(-x))


FUNCTIONS = {
    "exp2": Function(lambda x, y: np.exp2(x), 2, -125, 120),
    # exp2 of x / ln 2: the rounding of the quotient weighs as much as it is large.
    "exp": Function(lambda x, y: np.exp(x), 10, -8, 8),
    "log2": Function(lambda x, y: np.log2(x), 3, 0.01, 1e6),
    "log": Function(lambda x, y: np.log(x), 4, 2, 1e6),
    "sqrt": Function(lambda x, y: np.sqrt(x), 1, 0, 1e6),
    "rsqrt": Function(lambda x, y: 1 / np.sqrt(x), 2, 1e-6, 1e6),
    "sigmoid": Function(_sigmoid, 12, -8, 8),
    "divide": Function(lambda x, y: x / y, 2.5, -1e3, 1e3),
    "sin": Function(lambda x, y: np.sin(x), 4, -300, 300),
    "cos": Function(lambda x, y: np.cos(x), 4, -300, 300),
    "erf": Function(lambda x, y: _erf(x), 16, -4, 4),
    "tanh": Function(lambda x, y: np.tanh(x), 5, -10, 10),
    "tan": Function(lambda x, y: np.tan(x), 5, -100, 100),
    "atan": Function(lambda x, y: np.arctan(x), 5, -100, 100),
    "atan2": Function(np.arctan2, 6, -100, 100),
    "asin": Function(lambda x, y: np.arcsin(x), 4, -1, 1),
    "acos": Function(lambda x, y: np.arccos(x), 4, -1, 1),
    "sinh": Function(lambda x, y: np.sinh(x), 4, -20, 20),
    "cosh": Function(lambda x, y: np.cosh(x), 4, -20, 20),
    "asinh": Function(lambda x, y: np.arcsinh(x), 4, -100, 100),
    "log1p": Function(lambda x, y: np.log1p(x), 2, -0.9, 100),
    "expm1": Function(lambda x, y: np.expm1(x), 3, -10, 20),
    "log10": Function(lambda x, y: np.log10(x), 4, 2, 1e6),
    "erfc": Function(lambda x, y: _erfc(x), 16, -3, 5),
    "hypot": Function(np.hypot, 4, -100, 100),
    "pow": Function(lambda x, y: np.power(np.abs(x), y), 16, 0.1, 10),
    "fmod": Function(np.fmod, 0, -1000, 1000),
}


@st.composite
def draws(draw):
    how = draw(st.sampled_from(sorted(FUNCTIONS)))
    kind = TYPES[draw(st.sampled_from(FUNCTIONS[how].kinds))]
    return how, kind, draw(st.sampled_from([64, 256])), draw(WARPS), draw(st.integers(0, 1000))


def check_function_of(arch, drawn):
    how, kind, block, num_warps, seed = drawn
    function, random = FUNCTIONS[how], np.random.default_rng(seed)
    x, y = (random.uniform(function.low, function.high, 2 * block).astype(kind.numpy)
            for _ in range(2))  # fmt: skip
    z = torch.zeros(2 * block, dtype=kind.torch)
    simulate(kernels.apply, (2,), arch, family="function", x=torch.from_numpy(x),
             y=torch.from_numpy(y), z=z, BLOCK=block, HOW=how, num_warps=num_warps)  # fmt: skip
    wide = np.float64 if kind.bits == 32 else np.longdouble
    wanted = function.exact(x.astype(wide), y.astype(wide))
    error = np.abs(z.numpy() - wanted) / measure_ulp(np.asarray(wanted, kind.numpy), kind)
    if not error.max() <= function.ulp:
        at = int(np.argmax(np.nan_to_num(error, nan=np.inf)))
        raise Finding(f"{how}({x[at]!r}, {y[at]!r}) = {z[at].item()!r}, {error[at]:.3g} ulp off")


@st.composite
def combinations(draw):
    kinds = ["float16", "bfloat16", "float32", "float64"]
    kind, wide = sorted((draw(st.sampled_from(kinds)) for _ in range(2)), key=kinds.index)
    return TYPES[kind], TYPES[wide], draw(st.sampled_from([64, 512])), draw(WARPS)


def check_combination(arch, drawn):
    """Of small whole numbers, exact however products and sums are fused."""
    kind, wide, block, num_warps = drawn
    a, b, c = np.random.default_rng(block).integers(-3, 4, (3, 2 * block)).astype(np.float64)
    x, y, z = (torch.from_numpy(each).to(kind.torch) for each in (a, b, c))
    w, v = (torch.zeros(2 * block, dtype=each.torch) for each in (kind, wide))
    simulate(kernels.combine, (2,), arch, family="fused", fusion=True, x=x, y=y, z=z, w=w, wide=v,
             BLOCK=block, WIDE=wide.triton, num_warps=num_warps)  # fmt: skip
    compare(w, ((a * b + c) * a - b + (c - a * b)).astype(kind.numpy), kind)
    compare(v, (a * b + c - a * c * b).astype(wide.numpy), wide)


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, -3e38, 1e-30, 700.0, -700.0]
ENDS = {
    "exp2": np.exp2,
    "log2": np.log2,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "tanh": np.tanh,
    "atan": np.arctan,
}


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("how", sorted(ENDS))
def test_special_values(arch, how):
    x = np.resize(np.array(SPECIAL), 64).astype(np.float32)
    z = torch.zeros(64)
    simulate(kernels.apply, (1,), arch, family="function", x=torch.from_numpy(x),
             y=torch.from_numpy(x), z=z, BLOCK=64, HOW=how, num_warps=1)  # fmt: skip
    if how in ("sqrt", "rsqrt"):
        # Triton takes v_sqrt_f32 and v_rsq_f32 as they are: denormals are zeros.
        x = np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), x), x)
    with np.errstate(all="ignore"):
        wanted = ENDS[how](x.astype(np.float64)).astype(np.float32)
    compare(z, wanted, TYPES["float32"], ulp=4)


@pytest.mark.parametrize("arch", ARCHS)
def test_functions_are_within_their_bounds(arch):
    few(12)(given(draws())(lambda each: check_function_of(arch, each)))()


@pytest.mark.parametrize("arch", ARCHS)
def test_products_and_sums_may_be_fused(arch):
    few(8)(given(combinations())(lambda each: check_combination(arch, each)))()
