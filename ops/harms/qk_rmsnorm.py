"""Harmed kernels of qk_rmsnorm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.qk import join_heads
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    Kernel,
    Outputs,
    WriteInto,
    copy_into,
    drop_last_row,
    edit_inputs,
    leave_last_row,
    read_dense,
    spoil_outputs,
    write_past,
    write_past_end,
)
from rocmoe.ops.harms.shared.paths import list_layout_harms
from rocmoe.ops.harms.shared.qk import Norm, has_dtype, list_head_harms, list_norm_harms
from rocmoe.ops.qk_rmsnorm import SPEC, run_torch


def _compose(normalize: Norm) -> Kernel:
    """The op with another norm."""

    def run(q: Any, k: Any, q_weight: Any, k_weight: Any, eps: float) -> Outputs:
        return (
            join_heads(normalize(q, q_weight, eps), q),
            join_heads(normalize(k, k_weight, eps), k),
        )

    return run


def _k_rows_as_q_rows(inputs: Inputs) -> Inputs:
    """Head h of token t is read at row t*Hq + h of k, as if there were Hq key heads."""
    import torch

    q, k, head_dim = inputs["q"], inputs["k"], len(inputs["q_weight"])
    heads_q, heads_k = q.shape[1] // head_dim, k.shape[1] // head_dim
    rows = torch.arange(len(k))[:, None] * heads_q + torch.arange(heads_k)
    last = max(len(k) * heads_k - 1, 0)
    return {"k": k.reshape(-1, head_dim)[rows.clamp(max=last).to(k.device)].flatten(-2)}


def _ignore_stride(inputs: Inputs) -> Inputs:
    """Rows are read as if they followed each other without a gap (sgl-project/sglang#23159)."""
    return {name: read_dense(inputs[name]) for name in ("q", "k")}


def _drop_last_row(inputs: Inputs, q_out: Any, k_out: Any) -> Outputs:
    return drop_last_row(q_out), k_out


def _in_place(inputs: Inputs, q_out: Any, k_out: Any) -> Outputs:
    """The answer is right, and left in the caller's q as well."""
    inputs["q"].copy_(q_out)
    return q_out, k_out


def _k_runs_past_end(inputs: Inputs, given: Mapping[str, Any], answer: Outputs) -> None:
    """The row count T*Hq is used for k too, which has T*Hkv rows.

    Predicted for ROCm/aiter fused_qk_rmsnorm given per-head rows (@e4048607: rows are counted in
    q alone).  Only the first head too many is written here, so that nothing else is hit.
    """
    copy_into(inputs, given, answer)
    if given["q_out"].numel() > given["k_out"].numel():
        write_past(given["k_out"], len(inputs["k_weight"]))


HARMS = (
    *list_norm_harms(_compose),
    *list_head_harms(run_torch, SPEC.outputs),
    Harm("k_rows_as_q_rows", "key rows are found as if there were Hq key heads",
         edit_inputs(run_torch, _k_rows_as_q_rows)),
    Harm("k_runs_past_end", "k has as many rows written as q",
         WriteInto(run_torch, SPEC.outputs, _k_runs_past_end)),
    Harm("drop_last_row", "the last query row is never written",
         spoil_outputs(run_torch, _drop_last_row)),
    Harm("leave_last_row", "the last row of k_out keeps what it held",
         leave_last_row(run_torch, SPEC.outputs, "k_out")),
    Harm("ignore_stride", "the row stride is ignored", edit_inputs(run_torch, _ignore_stride)),
    *(
        harm
        for dtype in ("float32", "float16", "bfloat16")
        for harm in list_layout_harms(run_torch, ("q", "k"), dtype, has_dtype(dtype, "q"))
    ),
    Harm("in_place", "the caller's q is overwritten", spoil_outputs(run_torch, _in_place)),
    Harm("write_past_end", "one element past q_out is written",
         write_past_end(run_torch, SPEC.outputs, "q_out")),
)  # fmt: skip
