"""RMSNorm of every query and key head, then rotary position embedding; values are copied.

Semantics: ROCm/aiter `fused_qk_norm_rope_cache_pts_quant_shuffle`
(aiter/ops/fused_qk_norm_rope_cache_quant.py @e4048607) without its cache and quantisation, and
sgl-kernel `fused_qk_norm_rope`; the rotation is that of RoFormer (Su et al. 2021,
arXiv:2104.09864).  Norm and rotation are float32 with one rounding, after both: a kernel that
rounds the normalised head to bf16 in between fails where the rotation cancels.

What references.qk_rmsnorm specifies for NaN, infinities, zeros, overflow and denormals holds for
the normalised head, which is then rotated: a NaN reaches its partner in the pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .judging.blocks import judge_in_blocks
from .judging.elementwise import TINY, Array, same_bits
from .judging.rmsnorm import FLOAT32, Heads, judge_heads, normalize, normalize_heads
from .judging.verdict import Judgement, Verdict

#: Float32 roundings of a rotation: a product and a sum, and one more where the sum is not fused.
ROTATION_ROUNDINGS = 3


def oracle(
    qkv: Array,
    q_weight: Array,
    k_weight: Array,
    cos_sin_cache: Array,
    positions: NDArray[np.int64],
    num_heads_q: int,
    num_heads_kv: int,
    eps: float,
    is_neox_style: bool,
    rotary_dim: int,
) -> dict[str, Any]:
    """qkv f64 [T, (Hq + 2*Hkv)*D] -> q f64 [T, Hq*D], k, v f64 [T, Hkv*D]; unrounded.

    q_weight, k_weight f64 [D]; cos_sin_cache f64 [max_pos, rotary_dim], cosines first, then sines;
    positions i64 [T] in [0, max_pos).
    """
    q, k, v = split_qkv(qkv, num_heads_q, num_heads_kv)
    cos, sin = look_up(cos_sin_cache, positions, rotary_dim)
    q_heads = rotate(normalize_heads(q, q_weight, eps), cos, sin, is_neox_style)
    k_heads = rotate(normalize_heads(k, k_weight, eps), cos, sin, is_neox_style)
    return {"q": q_heads.reshape(q.shape), "k": k_heads.reshape(k.shape), "v": v.copy()}


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge q [T, Hq*D], k [T, Hkv*D] and v [T, Hkv*D] of `dtype` for the inputs of `oracle`."""
    del strict  # one answer is right, so there is nothing more to ask for

    def judge_rows(rows: slice) -> Verdict:
        of_rows = {name: inputs[name][rows] for name in ("qkv", "positions")}
        found = {name: output[rows] for name, output in outputs.items()}
        return _judge_rows({**inputs, **of_rows}, found, dtype)

    return judge_in_blocks(judge_rows, *inputs["qkv"].shape)


def _judge_rows(inputs: Mapping[str, Any], outputs: Mapping[str, Any], dtype: str) -> Verdict:
    judgement = Judgement()
    q, k, v = split_qkv(inputs["qkv"], inputs["num_heads_q"], inputs["num_heads_kv"])
    cos, sin = look_up(inputs["cos_sin_cache"], inputs["positions"], inputs["rotary_dim"])
    for name, heads in (("q", q), ("k", k)):
        normalized = normalize(heads, inputs[f"{name}_weight"], inputs["eps"])
        wanted = rotate_heads(normalized, cos, sin, inputs["is_neox_style"])
        judge_heads(judgement, name, outputs[name], wanted, dtype=dtype)
    copied = outputs["v"]
    judgement.exact(
        "v_is_copied",
        ~same_bits(copied, v) | (np.signbit(copied) != np.signbit(v)) & ~np.isnan(v),
        output="v",
        found=copied,
        wanted=v,
    )
    return judgement.verdict()


def split_qkv(qkv: Array, num_heads_q: int, num_heads_kv: int) -> tuple[Array, Array, Array]:
    """qkv [T, (Hq + 2*Hkv)*D] -> q [T, Hq*D], k [T, Hkv*D], v [T, Hkv*D]."""
    head_dim = qkv.shape[1] // (num_heads_q + 2 * num_heads_kv)
    q, k, v = np.split(qkv, np.array([num_heads_q, num_heads_q + num_heads_kv]) * head_dim, axis=1)
    return q, k, v


def look_up(cache: Array, positions: NDArray[np.int64], rotary_dim: int) -> tuple[Array, Array]:
    """The cosines and the sines of each token, [T, 1, rotary_dim / 2]."""
    rows = cache[positions][:, None, :]
    return rows[..., : rotary_dim // 2], rows[..., rotary_dim // 2 :]


def rotate(heads: Array, cos: Array, sin: Array, is_neox_style: bool, sign: float = -1.0) -> Array:
    """Rotate the first elements of each head [T, H, D], two for every cosine.

    (x1, x2) -> (x1*cos + sign * x2*sin, x2*cos + x1*sin); neox pairs an element of the first half
    with its like in the second, else neighbours pair.
    """
    half = cos.shape[-1]
    first, second = (
        (slice(0, half), slice(half, 2 * half))
        if is_neox_style
        else (slice(0, 2 * half, 2), slice(1, 2 * half, 2))
    )
    rotated: Array = heads.copy()
    with np.errstate(invalid="ignore"):
        rotated[..., first] = heads[..., first] * cos + sign * heads[..., second] * sin
        rotated[..., second] = heads[..., second] * cos + heads[..., first] * sin
    return rotated


def rotate_heads(heads: Heads, cos: Array, sin: Array, is_neox_style: bool) -> Heads:
    """Rotate values and slack.

    The float32 error is relative to |x1*cos| + |x2*sin|, which can be far more than what is left
    of their difference; a denormal factor or product may be flushed here too.
    """
    size, cosine, sine = np.abs(heads.values), np.abs(cos), np.abs(sin)
    slack = rotate(
        heads.slack + ROTATION_ROUNDINGS * FLOAT32 * size, cosine, sine, is_neox_style, sign=1.0
    )
    one = np.ones_like(cosine)
    slack += TINY * rotate(1.0 + size, one, one, is_neox_style, sign=1.0)
    return Heads(rotate(heads.values, cos, sin, is_neox_style), slack, heads.vanishes)
