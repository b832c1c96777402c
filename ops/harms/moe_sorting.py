"""Harmed kernels of moe_sorting."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.harms.shared.any_op import Inputs, Outputs, spoil_outputs
from rocmoe.ops.harms.shared.paths import list_layout_harms
from rocmoe.ops.harms.shared.sorting import list_sorting_harms
from rocmoe.ops.moe_sorting import run_torch

_ROWS = ("topk_ids", "topk_weights")


def _mutate_input(inputs: Inputs, *outputs: Any) -> Outputs:
    """topk_ids are replaced by local ids in place, where a mask makes them differ."""
    topk_ids, expert_mask = inputs["topk_ids"], inputs["expert_mask"]
    if expert_mask is not None:
        ranks = expert_mask.cumsum(0) - 1
        topk_ids.copy_(ranks[topk_ids.long().clamp(0, len(ranks) - 1)])
    return outputs


def _round_unit(**inputs: Any) -> Outputs:
    """Runs are padded with a mask of bits, which a unit needs a power of two for."""
    rounded = 1 << (inputs["unit_size"] - 1).bit_length()
    answer = run_torch(**{**inputs, "unit_size": rounded})
    lengths = [output.shape[0] for output in run_torch(**inputs)]
    return tuple(_fit(output, length) for output, length in zip(answer, lengths, strict=True))


def _fit(output: Any, length: int) -> Any:
    """The first `length` rows of an output, zeros from its end on."""
    fitted = output.new_zeros((length, *output.shape[1:]))
    fitted[: len(output)] = output[:length]
    return fitted


def _wrap_tokens(inputs: Inputs, ids: Any, *others: Any) -> Outputs:
    """Tokens are counted in 15 bits."""
    return ids & ~0xFF8000, *others


HARMS = (
    *list_sorting_harms(run_torch),
    *list_layout_harms(run_torch, _ROWS, "few", lambda inputs: len(inputs["topk_ids"]) <= 16),
    *list_layout_harms(run_torch, _ROWS, "many", lambda inputs: len(inputs["topk_ids"]) > 2048),
    *list_layout_harms(run_torch, _ROWS, "masked",
                       lambda inputs: inputs["expert_mask"] is not None),
    Harm("round_unit", "units are rounded up to a power of two", _round_unit),
    Harm("wrap_tokens", "tokens are counted in 15 bits", spoil_outputs(run_torch, _wrap_tokens)),
    Harm("mutate_input", "topk_ids are overwritten with local ids",
         spoil_outputs(run_torch, _mutate_input)),
)  # fmt: skip
