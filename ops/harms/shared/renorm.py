"""Harmed kernels that every renormalisation op can have, made from the op's own torch one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.renorm import OUTPUTS, divide_by_sum
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    Kernel,
    edit_input,
    edit_inputs,
    leave_last_row,
    list_memory_harms,
    read_dense,
    scale_first,
    spoil_outputs,
    write_past_end,
    write_where,
)
from rocmoe.ops.harms.shared.paths import leave_rows_from, list_layout_harms
from rocmoe.ops.harms.shared.values import (
    divide_safely,
    drop_lane,
    flush,
    round_to_bfloat16,
    warm_probs,
)


def list_renorm_harms(run: Kernel) -> tuple[Harm, ...]:
    """The harms that need nothing of the op but probs and renorm_probs."""
    spoilers = (
        ("not_divided", "kept probabilities are not divided", _find_kept),
        ("full_sum", "divided by the sum of all tokens", _use_full_sum),
        ("stale_sum", "divided by the row before's sum", _use_stale_sum),
        ("drop_lane", "lane 63 is left out of the kept sum", _drop_lane),
        ("half_precision", "results are rounded to bfloat16", _round_answer),
        ("zero_rows_nan", "zero rows are divided by zero", _fill_nan),
        ("mutate_input", "the answer also replaces probs", _mutate_input),
    )
    edits = (
        ("temperature", "probabilities are those at temperature 1.02", warm_probs),
        ("drop_tail_block", "the rest after blocks of 1024 is dropped", _drop_after(1024)),
        ("drop_tail_vector", "the rest after vectors of 4 is dropped", _drop_after(4)),
        ("ignore_stride", "the row stride is ignored", read_dense),
    )
    return (
        *(Harm(name, text, spoil_outputs(run, spoil)) for name, text, spoil in spoilers),
        *(Harm(name, text, edit_input(run, "probs", edit)) for name, text, edit in edits),
        Harm("drop_last_row", "the last row is never written",
             leave_last_row(run, OUTPUTS, "renorm_probs")),
        Harm("unwritten_zeros", "only kept tokens are written",
             write_where(run, OUTPUTS, _find_not_zero)),
        Harm("write_past_end", "one element past renorm_probs is written",
             write_past_end(run, OUTPUTS, "renorm_probs")),
        *list_layout_harms(run, ("probs",), "wide", _is_wide),
        Harm("one_grid", "rows past the first 512 are never written",
             leave_rows_from(512, run, OUTPUTS, "renorm_probs")),
        *list_memory_harms(run, scale_first(run, 1.01)),
        Harm("other_sums", "64 lanes add in float32, then a reciprocal",
             spoil_outputs(run, _add_in_lanes), right=True),
        Harm("any_sum_order", "sums are added in another order at every call",
             spoil_outputs(run, _add_in_any_order), right=True),
        Harm("flush_denormals", "denormal numbers become zeros", _flush_denormals(run), right=True),
    )  # fmt: skip


def divide_kept(keep: Kernel) -> Kernel:
    """A kernel that divides what `keep` keeps by its sum."""
    return spoil_outputs(keep, lambda inputs, kept: divide_by_sum(kept))


def edit_param(run: Kernel, name: str, edit: Callable[[Any, int], Any]) -> Kernel:
    """A kernel that takes a parameter for what `edit(value, vocabulary)` says of it."""

    def change(inputs: Inputs) -> Inputs:
        return {name: edit(inputs[name], inputs["probs"].shape[1])}

    return edit_inputs(run, change)


def read_row_zero(value: Any, vocabulary: int) -> Any:
    """The parameter as a kernel sees it that reads row 0's for every row."""
    import torch

    return value[:1].expand_as(value) if isinstance(value, torch.Tensor) else value


def _is_wide(inputs: Inputs) -> bool:
    """Whether several blocks share a row, by a usual threshold."""
    return bool(inputs["probs"].shape[1] >= 16384)


def _drop_after(width: int) -> Callable[[Any], Any]:
    """Handles whole blocks only; a vocabulary shorter than one is handled."""

    def edit(probs: Any) -> Any:
        whole = probs.shape[1] // width * width
        cut = probs.clone()
        cut[:, whole or probs.shape[1] :] = 0.0
        return cut

    return edit


def _find_kept(inputs: Inputs, answer: Any) -> Any:
    import torch

    return torch.where(answer != 0.0, inputs["probs"], 0.0)


def _use_full_sum(inputs: Inputs, answer: Any) -> Any:
    return divide_safely(_find_kept(inputs, answer), inputs["probs"].sum(dim=-1, keepdim=True))


def _use_stale_sum(inputs: Inputs, answer: Any) -> Any:
    kept = _find_kept(inputs, answer)
    return divide_safely(kept, kept.sum(dim=-1, keepdim=True).roll(1, dims=0))


def _drop_lane(inputs: Inputs, answer: Any) -> Any:
    kept = _find_kept(inputs, answer)
    return divide_safely(kept, drop_lane(kept, 0.0).sum(dim=-1, keepdim=True))


def _round_answer(inputs: Inputs, answer: Any) -> Any:
    return round_to_bfloat16(answer)


def _fill_nan(inputs: Inputs, answer: Any) -> Any:
    zero = (inputs["probs"] == 0.0).all(dim=-1, keepdim=True)
    return answer.masked_fill(zero, float("nan"))


def _mutate_input(inputs: Inputs, answer: Any) -> Any:
    inputs["probs"].copy_(answer)
    return answer


def _find_not_zero(inputs: Inputs, answer: Any) -> Mapping[str, Any]:
    """As into memory that the kernel takes for zeros and the caller never cleared."""
    return {"renorm_probs": answer != 0.0}


def _add_in_lanes(inputs: Inputs, answer: Any) -> Any:
    """Right: every 64th token is added in turn, then the lanes' sums, all in float32."""
    import torch

    kept = _find_kept(inputs, answer)
    padded = torch.nn.functional.pad(kept, (0, -kept.shape[1] % 64))
    sums = padded.new_zeros(len(kept), 64)
    for start in range(0, padded.shape[1], 64):
        sums = sums + padded[:, start : start + 64]
    total = sums.sum(dim=-1, keepdim=True)
    return kept * torch.where(total > 0.0, total, 1.0).reciprocal()


def _add_in_any_order(inputs: Inputs, answer: Any) -> Any:
    """Right: an order of the sum that differs from call to call, as by atomics."""
    import torch

    kept = _find_kept(inputs, answer)
    order = torch.randperm(kept.shape[1]).to(kept.device)
    return divide_safely(kept, kept[:, order].sum(dim=-1, keepdim=True))


def _flush_denormals(run: Kernel) -> Kernel:
    """Right: what hardware does that knows no denormal numbers."""
    flushed = edit_input(run, "probs", flush)
    return spoil_outputs(flushed, lambda inputs, answer: flush(answer))


def keep_ranked(probs: Any, order: Any, chosen: Any) -> Any:
    """The probabilities chosen by rank, zeros elsewhere; order and chosen are [B, V] by rank."""
    import torch

    return torch.where(torch.empty_like(chosen).scatter_(1, order, chosen), probs, 0.0)
