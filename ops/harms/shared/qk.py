"""Harmed norms, and harmed kernels that every op with query and key heads can have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.core.spec import Argument
from rocmoe.ops.families.qk import normalize_heads
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    Kernel,
    Outputs,
    WriteInto,
    edit_inputs,
    list_memory_harms,
    scale_first,
    spoil_outputs,
)
from rocmoe.ops.harms.shared.paths import Applies, leave_rows_from
from rocmoe.ops.harms.shared.values import drop_lane, flush

#: What `normalize_heads` is: rows [T, H*D], weight [D], eps -> float32 [T, H, D].
Norm = Callable[[Any, Any, float], Any]


def list_norm_harms(compose: Callable[[Norm], Kernel]) -> tuple[Harm, ...]:
    """The wrong norms, then the right ones, each in the op that `compose` makes with it."""
    wrong = [Harm(name, summary, compose(norm)) for name, summary, norm in _WRONG_NORMS]
    right = [Harm(name, summary, compose(norm), right=True) for name, summary, norm in _RIGHT_NORMS]
    return (*wrong, *right)


def list_head_harms(run: Kernel, outputs: tuple[Argument, ...]) -> tuple[Harm, ...]:
    """The harms of an op with two weights, whose first two outputs are queries and keys."""
    return (
        Harm("k_with_q_weight", "keys are weighted as queries", edit_inputs(run, _swap_weight)),
        Harm("drop_last_head", "the last key head is never written",
             spoil_outputs(run, _drop_last_head)),
        Harm("one_grid", "query rows past the first 512 are never written",
             leave_rows_from(512, run, outputs, outputs[0].name)),
        *list_memory_harms(run, scale_first(run, 1.05)),
        Harm("write_into", "writes into the caller's outputs", WriteInto(run, outputs), right=True),
    )  # fmt: skip


def has_dtype(name: str, argument: str) -> Applies:
    """Whether a call hands over `argument` in the torch dtype of this name."""
    return lambda inputs: str(inputs[argument].dtype) == f"torch.{name}"


def _swap_weight(inputs: Inputs) -> Inputs:
    return {"k_weight": inputs["q_weight"]}


def _drop_last_head(inputs: Inputs, q: Any, k: Any, *rest: Any) -> Outputs:
    """The last key head lies in fresh memory and is never written."""
    import torch

    short, width = torch.empty_like(k), len(inputs["k_weight"])
    short[:, :-width] = k[:, :-width]
    return q, short, *rest


def _scale_by(find_scale: Callable[[Any, float], Any]) -> Norm:
    """A norm whose scale [T, H, 1] comes from the heads [T, H, D] and eps."""

    def normalize(rows: Any, weight: Any, eps: float) -> Any:
        heads = _split(rows, weight)
        return heads * find_scale(heads, eps) * weight.float()

    return normalize


def _split(rows: Any, weight: Any) -> Any:
    return rows.unflatten(-1, (-1, len(weight))).float()


def _invert_root(squares: Any, head_dim: int, eps: float) -> Any:
    return (squares.sum(dim=-1, keepdim=True) / head_dim + eps).rsqrt()


def _skip_eps(heads: Any, eps: float) -> Any:
    return _invert_root(heads.square(), heads.shape[-1], 0.0)


def _add_eps_to_root(heads: Any, eps: float) -> Any:
    return 1.0 / (heads.square().mean(dim=-1, keepdim=True).sqrt() + eps)


def _average_row(heads: Any, eps: float) -> Any:
    return (heads.square().mean(dim=(-2, -1), keepdim=True) + eps).rsqrt()


def _square_in_bfloat16(heads: Any, eps: float) -> Any:
    return (heads.bfloat16().square().mean(dim=-1, keepdim=True) + eps).float().rsqrt()


def _drop_lane(heads: Any, eps: float) -> Any:
    return _invert_root(drop_lane(heads.square(), 0.0), heads.shape[-1], eps)


def _drop_tail(heads: Any, eps: float) -> Any:
    """The sum stops at the largest power of two."""
    whole = 1 << (heads.shape[-1].bit_length() - 1)
    return _invert_root(heads[..., :whole].square(), heads.shape[-1], eps)


def _add_in_order(heads: Any, eps: float) -> Any:
    """The squares are added one by one, last to first, as a single thread does."""
    squares = heads.flip(-1).square().cumsum(dim=-1)[..., -1:]
    return _invert_root(squares, heads.shape[-1], eps)


def _add_in_any_order(heads: Any, eps: float) -> Any:
    """The squares are added in an order that differs from call to call, as by atomics."""
    import torch

    order = torch.randperm(heads.shape[-1]).to(heads.device)
    return _invert_root(heads.square()[..., order], heads.shape[-1], eps)


def _swallow_nan(rows: Any, weight: Any, eps: float) -> Any:
    return normalize_heads(rows.nan_to_num(nan=0.0), weight, eps)


def _weight_after_cast(rows: Any, weight: Any, eps: float) -> Any:
    """The head is rounded to the output's dtype, then weighted, then rounded again."""
    import torch

    rounded = normalize_heads(rows, torch.ones_like(weight), eps).to(rows.dtype)
    return (rounded * weight).float()


def _weight_plus_one(rows: Any, weight: Any, eps: float) -> Any:
    """The weight is taken for one that is stored minus one (aiter's gemma_norm)."""
    return normalize_heads(rows, weight.float() + 1.0, eps)


def _warm(rows: Any, weight: Any, eps: float) -> Any:
    return normalize_heads(rows, weight, eps) / 1.02


def _compute_in_float64(rows: Any, weight: Any, eps: float) -> Any:
    heads = _split(rows, weight).double()
    scale = (heads.square().mean(dim=-1, keepdim=True) + eps).rsqrt()
    return (heads * scale * weight.double()).float()


def _divide_by_root(rows: Any, weight: Any, eps: float) -> Any:
    heads = _split(rows, weight)
    return heads / (heads.square().mean(dim=-1, keepdim=True) + eps).sqrt() * weight.float()


def _weight_first(rows: Any, weight: Any, eps: float) -> Any:
    heads = _split(rows, weight)
    return heads * (weight.float() * _invert_root(heads.square(), heads.shape[-1], eps))


def _flush_denormals(rows: Any, weight: Any, eps: float) -> Any:
    heads = flush(_split(rows, weight))
    scale = _invert_root(flush(heads.square()), heads.shape[-1], eps)
    return flush(flush(heads * scale) * weight.float())


_WRONG_NORMS: tuple[tuple[str, str, Norm], ...] = (
    ("eps_missing", "eps is not added", _scale_by(_skip_eps)),
    ("eps_outside_root", "eps is added to the root", _scale_by(_add_eps_to_root)),
    ("mean_over_row", "one mean for all heads of a row", _scale_by(_average_row)),
    ("bfloat16_variance", "squares and mean in bfloat16", _scale_by(_square_in_bfloat16)),
    ("drop_lane", "lane 63 is left out of the sum", _scale_by(_drop_lane)),
    ("drop_tail", "the sum stops at a power of two", _scale_by(_drop_tail)),
    ("swallow_nan", "a NaN counts as zero", _swallow_nan),
    ("weight_after_cast", "rounded before the weight and after", _weight_after_cast),
    ("weight_plus_one", "weight + 1 in place of weight", _weight_plus_one),
    ("temperature", "heads are divided by 1.02", _warm),
)

_RIGHT_NORMS: tuple[tuple[str, str, Norm], ...] = (
    ("in_float64", "float64 inside", _compute_in_float64),
    ("divide_by_root", "divided by the root, not times its inverse", _divide_by_root),
    ("add_in_order", "squares added one by one, last to first", _scale_by(_add_in_order)),
    ("any_sum_order", "squares added in another order at every call", _scale_by(_add_in_any_order)),
    ("weight_first", "the scale is multiplied into the weight first", _weight_first),
    ("flush_denormals", "float32 denormals are flushed throughout", _flush_denormals),
)
