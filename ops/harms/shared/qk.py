"""Harmed norms, and harmed kernels that every op with query and key heads can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.qk import normalize_heads

Inputs = dict[str, Any]
Outputs = tuple[Any, ...]
#: An op's function, called with its inputs by name.
Run = Callable[..., Outputs]
#: What `normalize_heads` is: rows [T, H*D], weight [D], eps -> float32 [T, H, D].
Norm = Callable[[Any, Any, float], Any]


def list_norm_harms(compose: Callable[[Norm], Run]) -> tuple[Harm, ...]:
    """The wrong norms, then the right ones, each in the op that `compose` makes with it."""
    wrong = [Harm(name, summary, compose(norm)) for name, summary, norm in _WRONG_NORMS]
    right = [Harm(name, summary, compose(norm), right=True) for name, summary, norm in _RIGHT_NORMS]
    return (*wrong, *right)


def list_memory_harms(run: Run) -> tuple[Harm, ...]:
    """The harms that need nothing of the op but that its first output is a float tensor."""
    return (
        Harm("cache_by_pointer", "answers are remembered by address", _CacheByPointer(run)),
        Harm("disturb_next_call", "an answer depends on the call before", _DisturbNext(run)),
    )


def edit_inputs(run: Run, edit: Callable[[Inputs], Inputs]) -> Run:
    """A kernel that takes some inputs for what `edit` says of them."""

    def harmed(**inputs: Any) -> Outputs:
        return run(**{**inputs, **edit(inputs)})

    return harmed


def spoil_outputs(run: Run, spoil: Callable[[Inputs, Outputs], Outputs]) -> Run:
    """A kernel whose answer is changed by `spoil`."""

    def harmed(**inputs: Any) -> Outputs:
        return spoil(inputs, run(**inputs))

    return harmed


def copy_into(outputs: Mapping[str, Any], values: Outputs) -> None:
    """Write an answer into the caller's outputs, in their order."""
    for output, value in zip(outputs.values(), values, strict=True):
        output.copy_(value)


def read_dense(rows: Any) -> Any:
    """The rows as a kernel sees them that ignores their stride."""
    return rows.as_strided(rows.shape, (rows.shape[1], 1))


def drop_last_columns(rows: Any, count: int) -> Any:
    """The rows in fresh memory, where the last columns were never written."""
    import torch

    short = torch.empty_like(rows)
    short[:, :-count] = rows[:, :-count]
    return short


def drop_last_row(rows: Any) -> Any:
    """The rows in fresh memory, where the last one was never written."""
    import torch

    short = torch.empty_like(rows)
    short[:-1] = rows[:-1]
    return short


def write_past_end(output: Any, count: int = 1) -> None:
    """Write `count` elements right behind a contiguous output."""
    output.as_strided((count,), (1,), output.storage_offset() + output.numel()).fill_(0)


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
    """Lane 63 of every 64 adds nothing to the sum."""
    import torch

    lanes = torch.arange(heads.shape[-1], device=heads.device) % 64
    return _invert_root(heads.square().masked_fill(lanes == 63, 0.0), heads.shape[-1], eps)


def _drop_tail(heads: Any, eps: float) -> Any:
    """The sum stops at the largest power of two."""
    whole = 1 << (heads.shape[-1].bit_length() - 1)
    return _invert_root(heads[..., :whole].square(), heads.shape[-1], eps)


def _add_in_order(heads: Any, eps: float) -> Any:
    """The squares are added one by one, last to first, as a single thread does."""
    squares = heads.flip(-1).square().cumsum(dim=-1)[..., -1:]
    return _invert_root(squares, heads.shape[-1], eps)


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
    heads = _flush(_split(rows, weight))
    scale = _invert_root(_flush(heads.square()), heads.shape[-1], eps)
    return _flush(_flush(heads * scale) * weight.float())


def _flush(values: Any) -> Any:
    return values.masked_fill(values.abs() < 2.0**-126, 0.0)


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
    ("weight_first", "the scale is multiplied into the weight first", _weight_first),
    ("flush_denormals", "float32 denormals are flushed throughout", _flush_denormals),
)


class _CacheByPointer:
    """The answer of an earlier call is handed out for the same addresses, shapes and scalars."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._answers: dict[tuple[object, ...], Outputs] = {}

    def __call__(self, **inputs: Any) -> Outputs:
        key = tuple(
            (value.data_ptr(), value.shape, value.dtype) if hasattr(value, "data_ptr") else value
            for value in inputs.values()
        )
        if key not in self._answers:
            self._answers[key] = self._run(**inputs)
        return self._answers[key]


class _DisturbNext:
    """Every second call is off by what the one before it left behind."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._calls = 0

    def __call__(self, **inputs: Any) -> Outputs:
        self._calls += 1
        first, *others = self._run(**inputs)
        return first * (1.0 + 0.05 * (self._calls % 2 == 0)), *others
