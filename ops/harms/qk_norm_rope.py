"""Harmed kernels of qk_norm_rope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.qk import join_heads, normalize_heads
from rocmoe.ops.harms.shared.any_op import (
    Edit,
    Inputs,
    Kernel,
    Outputs,
    Spoil,
    edit_inputs,
    fix_inputs,
    leave_last_row,
    read_dense,
    spoil_outputs,
    write_past_end,
)
from rocmoe.ops.harms.shared.paths import choose_path, list_layout_harms
from rocmoe.ops.harms.shared.qk import Norm, has_dtype, list_head_harms, list_norm_harms
from rocmoe.ops.harms.shared.values import lower_large, round_to_bfloat16
from rocmoe.ops.qk_norm_rope import SPEC, look_up, rotate, run_torch, split_qkv

#: What `rotate` is: float32 heads [T, H, D], cos and sin [T, 1, R/2], is_neox_style -> heads.
Rotation = Callable[[Any, Any, Any, bool], Any]


def _compose(normalize: Norm = normalize_heads, turn: Rotation = rotate) -> Kernel:
    """The op with another norm or another rotation."""

    def run(
        qkv: Any, q_weight: Any, k_weight: Any, cos_sin_cache: Any, positions: Any,
        num_heads_q: int, num_heads_kv: int, eps: float, is_neox_style: bool, rotary_dim: int,
    ) -> Outputs:  # fmt: skip
        q, k, v = split_qkv(qkv, num_heads_q, num_heads_kv)
        cos, sin = look_up(cos_sin_cache, positions, rotary_dim)
        q_heads, k_heads = (
            turn(normalize(rows, weight, eps), cos, sin, is_neox_style)
            for rows, weight in ((q, q_weight), (k, k_weight))
        )
        return join_heads(q_heads, qkv), join_heads(k_heads, qkv), v.clone()

    return run


def _round_between(rows: Any, weight: Any, eps: float) -> Any:
    """The normalised head is rounded to the output's dtype before it is rotated."""
    return normalize_heads(rows, weight, eps).to(rows.dtype).float()


def _negate_sine(heads: Any, cos: Any, sin: Any, is_neox_style: bool) -> Any:
    return rotate(heads, cos, -sin, is_neox_style)


def _swap_cosine_and_sine(heads: Any, cos: Any, sin: Any, is_neox_style: bool) -> Any:
    """The cache is read as sines first, then cosines."""
    return rotate(heads, sin, cos, is_neox_style)


def _swap_style(heads: Any, cos: Any, sin: Any, is_neox_style: bool) -> Any:
    return rotate(heads, cos, sin, not is_neox_style)


def _rotate_whole_head(heads: Any, cos: Any, sin: Any, is_neox_style: bool) -> Any:
    """The cosines and sines start anew where rotary_dim ends, so that the whole head turns."""
    half = heads.shape[-1] // 2
    times = -(-half // cos.shape[-1])
    cos, sin = (part.repeat(1, 1, times)[..., :half] for part in (cos, sin))
    return rotate(heads, cos, sin, is_neox_style)


def _round_cache(heads: Any, cos: Any, sin: Any, is_neox_style: bool) -> Any:
    return rotate(heads, round_to_bfloat16(cos), round_to_bfloat16(sin), is_neox_style)


def _multiply_complex(heads: Any, cos: Any, sin: Any, is_neox_style: bool) -> Any:
    """Right: the pairs as complex numbers in float64."""
    import torch

    half = cos.shape[-1]
    turned, kept = heads[..., : 2 * half].double(), heads[..., 2 * half :]
    pairs = turned.unflatten(-1, (2, half) if is_neox_style else (half, 2))
    axis = -2 if is_neox_style else -1
    product = torch.complex(*pairs.unbind(axis)) * torch.complex(cos.double(), sin.double())
    rotated = torch.stack((product.real, product.imag), dim=axis).flatten(-2)
    return torch.cat((rotated.float(), kept), dim=-1)


def _zero_rest(inputs: Inputs, *outputs: Any) -> Outputs:
    """What lies beyond rotary_dim is left zero."""
    head_dim = len(inputs["q_weight"])
    q, k, v = (output.unflatten(-1, (-1, head_dim)) for output in outputs)
    q[..., inputs["rotary_dim"] :] = 0
    k[..., inputs["rotary_dim"] :] = 0
    return q.flatten(-2), k.flatten(-2), v.flatten(-2)


def _normalize_v(inputs: Inputs, q: Any, k: Any, v: Any) -> Outputs:
    return q, k, join_heads(normalize_heads(v, inputs["k_weight"], inputs["eps"]), v)


def _leave_v(inputs: Inputs, q: Any, k: Any, v: Any) -> Outputs:
    import torch

    return q, k, torch.empty_like(v)


def _v_from_k(inputs: Inputs, q: Any, k: Any, v: Any) -> Outputs:
    return q, k, _read_k(inputs).clone()


def _k_without_rotation(inputs: Inputs, q: Any, k: Any, v: Any) -> Outputs:
    heads = normalize_heads(_read_k(inputs), inputs["k_weight"], inputs["eps"])
    return q, join_heads(heads, k), v


def _read_k(inputs: Inputs) -> Any:
    return split_qkv(inputs["qkv"], inputs["num_heads_q"], inputs["num_heads_kv"])[1]


def _in_place(inputs: Inputs, q: Any, k: Any, v: Any) -> Outputs:
    """The answer is right, and left in the caller's qkv too, as sgl-kernel's contract has it."""
    inputs["qkv"][:, : q.shape[1]] = q
    return q, k, v


def _late_positions(inputs: Inputs) -> Inputs:
    return {"positions": lower_large(inputs["positions"])}


def _row_as_position(inputs: Inputs) -> Inputs:
    """The token's row in the batch serves as its position."""
    import torch

    positions, rows = inputs["positions"], len(inputs["cos_sin_cache"])
    return {"positions": torch.arange(len(positions), device=positions.device) % rows}


def _recompute_cache(inputs: Inputs) -> Inputs:
    """The cache is not read: its frequencies are those of base 10000."""
    import torch

    cache = inputs["cos_sin_cache"]
    rows, width = cache.shape
    exponents = torch.arange(0, width, 2, device=cache.device).double() / width
    angles = torch.arange(rows, device=cache.device)[:, None] * 10000.0**-exponents
    return {"cos_sin_cache": torch.cat((angles.cos(), angles.sin()), dim=1).float()}


class _KeepCache:
    """The cache is copied at the first call and remembered by its address."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Any] = {}

    def __call__(self, inputs: Inputs) -> Inputs:
        cache = inputs["cos_sin_cache"]
        key = cache.data_ptr(), tuple(cache.shape)
        return {"cos_sin_cache": self._kept.setdefault(key, cache.clone())}


def _find_sine(inputs: Inputs) -> Inputs:
    """Sines come from cosines, as if the squares of the two were one together."""
    import torch

    cos, sin = inputs["cos_sin_cache"].chunk(2, dim=1)
    found = (1.0 - cos.square()).clamp(min=0.0).sqrt().copysign(sin)
    return {"cos_sin_cache": torch.cat((cos, found), dim=1)}


def _ignore_stride(inputs: Inputs) -> Inputs:
    """Rows are read as if they followed each other without a gap."""
    return {"qkv": read_dense(inputs["qkv"])}


_TURNS: tuple[tuple[str, str, Rotation], ...] = (
    ("sine_negated", "rotated the other way", _negate_sine),
    ("cache_swapped", "the cache is read as sines first", _swap_cosine_and_sine),
    ("style_swapped", "halves pair where neighbours should, and the reverse", _swap_style),
    ("rotary_dim_ignored", "the whole head is rotated", _rotate_whole_head),
    ("bfloat16_cache", "cosines and sines are rounded to bfloat16", _round_cache),
)

_EDITS: tuple[tuple[str, str, Edit], ...] = (
    ("position_off_by_one", "positions from 99 on are one too low", _late_positions),
    ("row_as_position", "positions are not read", _row_as_position),
    ("recompute_cache", "the cache is computed anew", _recompute_cache),
    ("cache_table", "the cache of the first call serves all", _KeepCache()),
    ("find_sine", "sines are made of cosines", _find_sine),
    ("ignore_stride", "the row stride is ignored", _ignore_stride),
)

_SPOILS: tuple[tuple[str, str, Spoil], ...] = (
    ("zero_rest", "what is not rotated is zero", _zero_rest),
    ("normalize_v", "values are normalised too", _normalize_v),
    ("leave_v", "values are never written", _leave_v),
    ("v_from_k", "values are the raw keys", _v_from_k),
    ("k_without_rotation", "keys are not rotated", _k_without_rotation),
    ("in_place", "the caller's qkv is overwritten", _in_place),
)

_IN_HALF: tuple[tuple[str, str, Kernel], ...] = (
    ("rotary_dim_ignored_float16", "the whole head is rotated in float16",
     _compose(turn=_rotate_whole_head)),
    ("style_ignored_float16", "halves pair whatever is asked for in float16",
     fix_inputs(run_torch, is_neox_style=True)),
)  # fmt: skip

HARMS = (
    *list_norm_harms(_compose),
    *list_head_harms(run_torch, SPEC.outputs),
    Harm("round_between", "rounded between norm and rotation", _compose(_round_between)),
    *(Harm(name, summary, _compose(turn=turn)) for name, summary, turn in _TURNS),
    *(Harm(name, summary, edit_inputs(run_torch, edit)) for name, summary, edit in _EDITS),
    *(Harm(name, summary, spoil_outputs(run_torch, spoil)) for name, summary, spoil in _SPOILS),
    *(
        Harm(name, summary, choose_path(has_dtype("float16", "qkv"), harmed, run_torch))
        for name, summary, harmed in _IN_HALF
    ),
    *(
        harm
        for dtype in ("float32", "float16", "bfloat16")
        for harm in list_layout_harms(run_torch, ("qkv",), dtype, has_dtype(dtype, "qkv"))
    ),
    Harm("leave_last_row", "the last row of q keeps what it held",
         leave_last_row(run_torch, SPEC.outputs, "q")),
    Harm("write_past_end", "one element past v is written",
         write_past_end(run_torch, SPEC.outputs, "v")),
    Harm("complex_product", "pairs as complex numbers", _compose(turn=_multiply_complex),
         right=True),
)  # fmt: skip
