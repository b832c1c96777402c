"""Harmed kernels of top_k_renorm_probs."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.renorm import column
from rocmoe.ops.harms.shared.any_op import Inputs, spoil_outputs
from rocmoe.ops.harms.shared.renorm import divide_kept, list_renorm_harms
from rocmoe.ops.harms.shared.top_k_filters import cut_rank_ties, list_top_k_harms, search_bits
from rocmoe.ops.top_k_renorm_probs import run_torch


def _keep_none_of_all(inputs: Inputs, answer: Any) -> Any:
    """A k beyond the vocabulary is taken for zero."""
    return answer.masked_fill(column(inputs["top_k"], answer) > answer.shape[1], 0.0)


def _copy_all(inputs: Inputs, answer: Any) -> Any:
    """Right: with k >= V a row that sums to one is handed back as it is."""
    return inputs["probs"].where(column(inputs["top_k"], answer) >= answer.shape[1], answer)


HARMS = (
    *list_renorm_harms(run_torch),
    *list_top_k_harms(run_torch, divide_kept),
    Harm("cut_ties", "exactly k tokens are kept, ties or not", divide_kept(cut_rank_ties)),
    Harm("large_k_is_zero", "k > V keeps nothing", spoil_outputs(run_torch, _keep_none_of_all)),
    Harm("radix_search", "the k-th largest is found bit by bit", divide_kept(search_bits),
         right=True),
    Harm("copy_all", "k >= V copies the row", spoil_outputs(run_torch, _copy_all), right=True),
)  # fmt: skip
