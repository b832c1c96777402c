"""What the ops that normalise query and key heads share in their declarations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.patterns.hidden_states import PATTERNS
from rocmoe.ops.core.spec import Param, Sizes

HEAD_SIZES = {
    "T": "tokens",
    "Hq": "query heads",
    "Hkv": "key heads, and as many value heads",
    "D": "elements of a head",
}

DERIVED: Mapping[str, Callable[[Sizes], int]] = {
    "q_width": lambda sizes: sizes["Hq"] * sizes["D"],
    "kv_width": lambda sizes: sizes["Hkv"] * sizes["D"],
    "qkv_width": lambda sizes: (sizes["Hq"] + 2 * sizes["Hkv"]) * sizes["D"],
}

EPS = Param("float", "added to the mean square, inside the root")

#: Float32 squares below 2^-126 may be flushed; beside an eps of this size they do not count.
SMALLEST_EPS = 1e-12
DEFAULT_EPS = 1e-6

_MODEL_SIZES = {"Hq": "num_heads_q", "Hkv": "num_heads_kv", "D": "head_dim"}


def check_heads(case: Case) -> str | None:
    """Heads of at least one element, an eps that float32 can add, magnitudes the dtype has."""
    empty = [name for name in ("Hq", "Hkv", "D") if case.sizes[name] < 1]
    if empty:
        return f"{empty[0]}=0; wanted at least 1"
    eps = case.params["eps"]
    if not (isinstance(eps, (int, float)) and SMALLEST_EPS <= eps <= 1.0):
        return f"eps={eps}; wanted a number in [{SMALLEST_EPS}, 1]"
    if case.pattern == "overflow" and case.dtype == "fp16":
        return "pattern overflow needs fp32 or bf16: fp16 holds nothing whose square overflows"
    return None


def heads_degenerate(case: Case) -> str | None:
    """Cases on which a trivial answer is right."""
    return "no tokens: nothing is computed" if case.sizes["T"] == 0 else None


def draw_heads(case: Case, rng: np.random.Generator, heads: int) -> NDArray[np.float64]:
    """Rows [T, heads * D] by the case's pattern."""
    return PATTERNS[case.pattern].fill(rng, case.sizes["T"], heads, case.sizes["D"])


def draw_weight(case: Case, rng: np.random.Generator) -> NDArray[np.float64]:
    """A weight [D] of magnitudes about 1, a few of them negative."""
    return 1.0 + 0.5 * rng.standard_normal(case.sizes["D"])


def normalize_heads(rows: Any, weight: Any, eps: float) -> Any:
    """rows [T, H*D] of any float dtype, weight [D] -> float32 [T, H, D], not rounded yet."""
    import torch

    heads = rows.unflatten(-1, (-1, len(weight))).float()
    scale = torch.rsqrt(heads.square().mean(dim=-1, keepdim=True) + eps)
    return heads * scale * weight.float()


def join_heads(heads: Any, like: Any) -> Any:
    """Heads [T, H, D] -> rows [T, H*D], rounded to the dtype of `like`."""
    return heads.to(like.dtype).flatten(-2)


def find_head_sizes(model: Mapping[str, Any]) -> dict[str, int] | None:
    """Hq, Hkv and D of a model that normalises each query and key head, None for any other."""
    if not model.get("qk_norm") or any(key not in model for key in _MODEL_SIZES.values()):
        return None
    return {size: model[key] for size, key in _MODEL_SIZES.items()}


def find_eps(model: Mapping[str, Any]) -> float:
    """The eps of a model's norms."""
    return float(model.get("rms_norm_eps", DEFAULT_EPS))
