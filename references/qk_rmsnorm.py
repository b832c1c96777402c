"""RMSNorm of every query head and key head, with a weight for each of the two kinds.

Semantics: ROCm/aiter `fused_qk_rmsnorm` (aiter/ops/fused_qk_rmsnorm_group_quant.py @e4048607) in
the per-head use of sgl-project/sglang `apply_qk_norm`: y = x * rsqrt(mean(x^2) + eps) * w in
float32, the weight before the one rounding.  There may be fewer key heads than query heads.

Specified beyond that:
- a NaN makes its own head NaN, and no other;
- an infinity makes its own element NaN and the rest of its head zero, as rsqrt(inf) = 0 does;
- a head of zeros stays zeros;
- where the squares of a head may sum past float32, the definition's value and zero both stand;
- what is below the smallest normal float32 may be flushed on the way in, on the way and on the
  way out; float16 results keep their subnormal numbers, which no default mode of CDNA or CUDA
  flushes;
- results past the largest number of the dtype are infinities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .judging.blocks import judge_in_blocks
from .judging.elementwise import Array
from .judging.rmsnorm import judge_heads, normalize, normalize_heads
from .judging.verdict import Judgement, Verdict


def oracle(q: Array, k: Array, q_weight: Array, k_weight: Array, eps: float) -> dict[str, Any]:
    """q f64 [T, Hq*D], k f64 [T, Hkv*D], weights f64 [D] -> q_out, k_out f64 as q, k; unrounded."""
    return {
        "q_out": normalize_heads(q, q_weight, eps).reshape(q.shape),
        "k_out": normalize_heads(k, k_weight, eps).reshape(k.shape),
    }


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge q_out [T, Hq*D] and k_out [T, Hkv*D] of `dtype` for the inputs of `oracle`."""
    del strict  # one answer is right, so there is nothing more to ask for

    def judge_rows(rows: slice) -> Verdict:
        judgement = Judgement()
        for name in ("q", "k"):
            wanted = normalize(inputs[name][rows], inputs[f"{name}_weight"], inputs["eps"])
            judge_heads(judgement, f"{name}_out", outputs[f"{name}_out"][rows], wanted, dtype=dtype)
        return judgement.verdict()

    return judge_in_blocks(judge_rows, *inputs["q"].shape)
