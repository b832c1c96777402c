"""qk_norm_rope: RMSNorm of every query and key head, then rotary embedding; values are copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.hidden_states import PATTERNS
from rocmoe.ops.core.spec import (
    DTYPES,
    Argument,
    Cost,
    Inputs,
    OpSpec,
    Param,
    Row,
    compare_nothing,
)
from rocmoe.ops.families.gating import ITEM_BYTES
from rocmoe.ops.families.qk import (
    DERIVED,
    EPS,
    HEAD_SIZES,
    check_heads,
    draw_heads,
    draw_weight,
    find_eps,
    find_head_sizes,
    heads_degenerate,
    join_heads,
    normalize_heads,
)
from rocmoe.references import qk_norm_rope as reference

#: Bases of the rotary frequencies, from RoFormer's (arXiv:2104.09864, section 3.2.2) to that of
#: Qwen's and Llama's long contexts.
ROPE_BASES = (1e4, 5e6)

#: YaRN (arXiv:2309.00071, sections 3.2 and 3.4) slows frequencies down, each by its own factor, and
#: scales cosines and sines by 0.1 * ln(s) + 1: these stand for context extensions s of 2 to 64.
ROPE_SLOWDOWNS = (1.0 / 64.0, 1.0)
ROPE_AMPLITUDES = (1.07, 1.42)

#: Cache rows of a case made from a model: enough for distant tokens to share nothing.
MODEL_MAX_POS = 4096

POSITIONS = ("random", "ascending", "repeated", "last", "zero")


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """qkv [T, (Hq + 2*Hkv)*D] by the case's pattern, weights [D], a rotary cache, positions."""
    sizes, params = case.sizes, case.params
    return {
        "qkv": draw_heads(case, rng, sizes["Hq"] + 2 * sizes["Hkv"]),
        "q_weight": draw_weight(case, rng),
        "k_weight": draw_weight(case, rng),
        "cos_sin_cache": make_cache(rng, sizes["max_pos"], sizes["rotary_dim"]),
        "positions": draw_positions(str(params["positions"]), rng, sizes["T"], sizes["max_pos"]),
        "num_heads_q": sizes["Hq"],
        "num_heads_kv": sizes["Hkv"],
        "eps": params["eps"],
        "is_neox_style": params["is_neox_style"],
        "rotary_dim": sizes["rotary_dim"],
    }


def make_cache(rng: np.random.Generator, max_pos: int, rotary_dim: int) -> NDArray[np.float64]:
    """[max_pos, rotary_dim]: cosines, then sines, of position * base^(-2i / rotary_dim).

    Base, slowdown of each frequency and amplitude are drawn, so that no kernel can compute the
    cache, keep it from one call to the next, or take cos^2 + sin^2 for one.
    """
    smallest, largest = np.log(ROPE_BASES)
    base = np.exp(rng.uniform(smallest, largest))
    frequencies = base ** (-np.arange(0, rotary_dim, 2) / rotary_dim)
    slowest, fastest = np.log(ROPE_SLOWDOWNS)
    frequencies *= np.exp(rng.uniform(slowest, fastest, len(frequencies)))
    angles = np.multiply.outer(np.arange(max_pos), frequencies)
    parts = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray(parts * rng.uniform(*ROPE_AMPLITUDES))


def draw_positions(
    word: str, rng: np.random.Generator, tokens: int, max_pos: int
) -> NDArray[np.int64]:
    """Positions [T] in [0, max_pos) by one of the words of `POSITIONS`."""
    if word == "ascending":
        return np.arange(tokens, dtype=np.int64) % max_pos
    if word == "repeated":
        few = rng.integers(0, max_pos, 3)
        return few[rng.integers(0, len(few), tokens)]
    if word in ("last", "zero"):
        return np.full(tokens, max_pos - 1 if word == "last" else 0, dtype=np.int64)
    return rng.integers(0, max_pos, tokens)


def run_torch(
    qkv: Any,
    q_weight: Any,
    k_weight: Any,
    cos_sin_cache: Any,
    positions: Any,
    num_heads_q: int,
    num_heads_kv: int,
    eps: float,
    is_neox_style: bool,
    rotary_dim: int,
) -> tuple[Any, Any, Any]:
    """q [T, Hq*D], k and v [T, Hkv*D]: float32 through norm and rotation, rounded once."""
    q, k, v = split_qkv(qkv, num_heads_q, num_heads_kv)
    cos, sin = look_up(cos_sin_cache, positions, rotary_dim)
    q_heads, k_heads = normalize_heads(q, q_weight, eps), normalize_heads(k, k_weight, eps)
    return (
        join_heads(rotate(q_heads, cos, sin, is_neox_style), qkv),
        join_heads(rotate(k_heads, cos, sin, is_neox_style), qkv),
        v.clone(),
    )


def split_qkv(qkv: Any, num_heads_q: int, num_heads_kv: int) -> tuple[Any, Any, Any]:
    """Views q [T, Hq*D], k and v [T, Hkv*D] of qkv."""
    head_dim = qkv.shape[1] // (num_heads_q + 2 * num_heads_kv)
    kv_width = num_heads_kv * head_dim
    q, k, v = qkv.split([num_heads_q * head_dim, kv_width, kv_width], dim=1)
    return q, k, v


def look_up(cos_sin_cache: Any, positions: Any, rotary_dim: int) -> tuple[Any, Any]:
    """The cosines and the sines of each token, [T, 1, rotary_dim / 2]."""
    cos, sin = cos_sin_cache.index_select(0, positions).unsqueeze(1).split(rotary_dim // 2, dim=-1)
    return cos, sin


def rotate(heads: Any, cos: Any, sin: Any, is_neox_style: bool) -> Any:
    """Heads [T, H, D] with their first elements rotated, two for every cosine."""
    import torch

    half = cos.shape[-1]
    turned, kept = heads[..., : 2 * half], heads[..., 2 * half :]
    pairs = turned.unflatten(-1, (2, half) if is_neox_style else (half, 2))
    axis = -2 if is_neox_style else -1
    first, second = pairs.unbind(axis)
    rotated = torch.stack((first * cos - second * sin, second * cos + first * sin), dim=axis)
    return torch.cat((rotated.flatten(-2), kept), dim=-1)


def check_rotation(case: Case) -> str | None:
    """What `check_heads` asks for, and an even rotary_dim in [2, D]."""
    rotary_dim, head_dim = case.sizes["rotary_dim"], case.sizes["D"]
    if rotary_dim % 2 or not 2 <= rotary_dim <= head_dim:
        return f"rotary_dim={rotary_dim} is not an even number in [2, D={head_dim}]"
    if case.sizes["max_pos"] < 1:
        return "max_pos=0; wanted at least 1"
    return check_heads(case)


def estimate_cost(case: Case) -> Cost:
    """qkv read and written once, positions, weights and the cache rows in use read once."""
    sizes = case.sizes
    item = ITEM_BYTES[case.dtype]
    tokens, elements = sizes["T"], sizes["T"] * DERIVED["qkv_width"](sizes)
    rows = count_cache_rows(str(case.params["positions"]), tokens, sizes["max_pos"])
    tables = rows * sizes["rotary_dim"] * 4 + tokens * 8
    weights = 2 * sizes["D"] * item if tokens else 0
    normalized = tokens * (sizes["Hq"] + sizes["Hkv"])
    operations = normalized * (4 * sizes["D"] + 3 * sizes["rotary_dim"])
    return Cost(elements * item + tables + weights, elements * item, operations)


def count_cache_rows(word: str, tokens: int, max_pos: int) -> int:
    """How many rows of the cache tokens read: the expected number for random positions."""
    if word == "random":
        return int(max_pos * (1.0 - (1.0 - 1.0 / max_pos) ** tokens))
    return min(tokens, max_pos if word == "ascending" else 1)


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """Models that normalise each query and key head and rotate it, neox style."""
    sizes = find_head_sizes(model)
    if sizes is None:
        return None
    rotary_dim = model.get("rotary_dim", sizes["D"])
    params: dict[str, Value] = {"eps": find_eps(model), "is_neox_style": True}
    params["positions"] = "random"
    return {**sizes, "max_pos": MODEL_MAX_POS, "rotary_dim": rotary_dim}, params


def _row(
    suite: str, T: int, Hq: int, Hkv: int, D: int, dtype: str, pattern: str, why: str,
    **more: Any,
) -> Row:  # fmt: skip
    sizes = {"T": T, "Hq": Hq, "Hkv": Hkv, "D": D}
    sizes |= {"max_pos": more.pop("max_pos", 512), "rotary_dim": more.pop("rotary_dim", D)}
    layout = more.pop("layout", "contiguous")
    params = {"eps": 1e-6, "is_neox_style": True, "positions": "random", **more}
    return Row(suite, sizes, dtype, params, pattern, layout, why)


CASES = (
    _row("smoke", 16, 32, 8, 128, "bf16", "normal", "Qwen3-8B: 32 query heads, 8 key heads",
         max_pos=4096),
    _row("smoke", 7, 4, 4, 64, "fp32", "scaled_heads", "neighbours pair, half a head is rotated",
         is_neox_style=False, rotary_dim=32),
    _row("quick", 33, 6, 2, 80, "bf16", "normal", "row stride not a multiple of 16 bytes",
         layout="strided"),
    _row("quick", 33, 8, 1, 96, "fp16", "uniform", "base pointers not 16-byte aligned",
         layout="offset", positions="repeated"),
    _row("quick", 17, 8, 2, 64, "fp32", "scaled_heads", "strided, four bytes an element",
         layout="strided"),
    _row("quick", 17, 8, 2, 128, "fp16", "scaled_heads", "strided, every stride of 16 bytes",
         layout="strided", rotary_dim=64),
    _row("quick", 17, 8, 2, 128, "bf16", "normal", "offset, where vectors of 16 bytes fit a head",
         layout="offset"),
    _row("quick", 17, 4, 2, 64, "fp32", "scaled_heads", "offset, four bytes an element",
         layout="offset"),
    _row("quick", 33, 8, 2, 128, "bf16", "scaled_heads", "neighbours pair in bf16",
         is_neox_style=False),
    _row("quick", 17, 4, 2, 96, "fp16", "normal", "neighbours pair in fp16, a third is rotated",
         is_neox_style=False, rotary_dim=32),
    _row("quick", 600, 2, 1, 32, "bf16", "scaled_heads", "more tokens than a GPU has processors"),
    _row("quick", 17, 16, 2, 256, "bf16", "normal", "Qwen3-Next: a quarter of a head is rotated",
         rotary_dim=64, positions="ascending"),
    _row("quick", 64, 8, 8, 64, "fp32", "small", "eps decides as much as the heads do"),
    _row("quick", 64, 8, 2, 128, "bf16", "small", "a larger eps, half a head rotated", eps=1e-5,
         rotary_dim=64),
    _row("quick", 64, 8, 1, 192, "bf16", "one_hot", "a lane left out; 192 = 128 + 64"),
    _row("quick", 64, 5, 3, 80, "fp32", "heavy_tail", "the tail of 80 = 64 + 16",
         is_neox_style=False),
    _row("quick", 64, 12, 4, 128, "fp16", "large", "squares overflow in float16"),
    _row("quick", 64, 4, 2, 128, "bf16", "overflow", "squares overflow in float32"),
    _row("quick", 64, 8, 4, 128, "bf16", "outliers", "a pair's larger element hides the other"),
    _row("quick", 33, 4, 2, 64, "fp32", "zero_heads", "zeros stay zeros: no 0 * inf"),
    _row("quick", 33, 4, 4, 128, "bf16", "denormal", "denormal values are copied as they are"),
    _row("quick", 33, 4, 4, 64, "fp16", "denormal", "float16 denormals are kept"),
    _row("quick", 33, 4, 2, 64, "bf16", "nan_heads", "a NaN stays in its pair's head",
         is_neox_style=False, rotary_dim=32),
    _row("quick", 33, 4, 2, 128, "fp32", "inf_heads", "an infinity stays in its head"),
    _row("quick", 33, 8, 2, 128, "bf16", "normal", "every token at the cache's last row",
         positions="last", max_pos=1000),
    _row("quick", 33, 8, 2, 128, "bf16", "normal", "position 0: scaled, not turned",
         positions="zero"),
    _row("quick", 64, 2, 6, 64, "bf16", "normal", "more key heads than query heads"),
    _row("quick", 31, 3, 1, 2, "fp32", "normal", "heads of a single pair", max_pos=1),
    _row("quick", 0, 32, 8, 128, "bf16", "normal", "zero tokens"),
    _row("quick", 1, 32, 8, 128, "bf16", "normal", "one token", max_pos=4096),
    _row("full", 1000, 32, 8, 128, "bf16", "normal", "Qwen3-8B prefill, 1000 tokens",
         max_pos=4096, positions="ascending"),
    _row("full", 300, 32, 8, 128, "fp16", "scaled_heads", "long positions, neighbours pair",
         max_pos=32768, is_neox_style=False),
    _row("full", 400, 16, 2, 256, "bf16", "normal", "Qwen3-Next-sized", max_pos=4096,
         rotary_dim=64),
    _row("full", 1024, 8, 4, 128, "bf16", "outliers", "aiter's N1 = 1024, N2 = 512",
         max_pos=4096),
    _row("full", 16385, 2, 1, 64, "fp32", "normal", "many tokens of few heads", max_pos=8192),
    _row("full", 257, 64, 4, 128, "bf16", "normal", "Qwen3-235B-A22B-sized", max_pos=4096),
)  # fmt: skip

SPEC = OpSpec(
    name="qk_norm_rope",
    summary="RMSNorm of every query and key head, then rotary embedding",
    source="ROCm/aiter aiter/ops/fused_qk_norm_rope_cache_quant.py @e4048607, without its cache "
    "and quantisation; sgl-kernel fused_qk_norm_rope",
    sizes={
        **HEAD_SIZES,
        "max_pos": "rows of the rotary cache",
        "rotary_dim": "elements of a head that are rotated",
    },
    derived=DERIVED,
    dtypes=DTYPES,
    params={
        "eps": EPS,
        "is_neox_style": Param("bool", "halves of a head pair up, else neighbours do"),
        "positions": Param("word", "where in the sequence the tokens stand", POSITIONS),
    },
    patterns=tuple(PATTERNS),
    inputs=(
        Argument("qkv", ("T", "qkv_width"), "case", doc="query, key and value heads side by side"),
        Argument("q_weight", ("D",), "case", doc="weight of every query head"),
        Argument("k_weight", ("D",), "case", doc="weight of every key head"),
        Argument(
            "cos_sin_cache",
            ("max_pos", "rotary_dim"),
            "fp32",
            contiguous=True,
            doc="cosines of each position, then sines",
        ),
        Argument("positions", ("T",), "i64", doc="rows of the cache"),
        Argument("num_heads_q", doc="query heads"),
        Argument("num_heads_kv", doc="key heads, and as many value heads"),
        Argument("eps", doc="added to the mean square, inside the root"),
        Argument("is_neox_style", doc="halves of a head pair up, else neighbours do"),
        Argument("rotary_dim", doc="elements of a head that are rotated"),
    ),
    outputs=(
        Argument("q", ("T", "q_width"), "case", doc="normalised, rotated query heads"),
        Argument("k", ("T", "kv_width"), "case", doc="normalised, rotated key heads"),
        Argument("v", ("T", "kv_width"), "case", doc="value heads, copied"),
    ),
    draw=draw,
    oracle=reference.oracle,
    judge=reference.judge,
    run_torch=run_torch,
    cases=CASES,
    cost=estimate_cost,
    canonical=compare_nothing,
    degenerate=heads_degenerate,
    refuse_case=check_rotation,
    from_model=from_model,
)
