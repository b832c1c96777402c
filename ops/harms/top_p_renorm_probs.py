"""Harmed kernels of top_p_renorm_probs."""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.renorm import column
from rocmoe.ops.harms.shared.any_op import Inputs, spoil_outputs
from rocmoe.ops.harms.shared.renorm import divide_kept, list_renorm_harms
from rocmoe.ops.harms.shared.top_p_filters import bisect_mass, cut_mass_ties, list_top_p_harms
from rocmoe.ops.top_p_renorm_probs import run_torch


def _copy_all(inputs: Inputs, answer: Any) -> Any:
    """Right: with p >= 1 a row that sums to one is multiplied by one, not divided by its sum."""
    return inputs["probs"].where(column(inputs["top_p"], answer) >= 1.0, answer)


HARMS = (
    *list_renorm_harms(run_torch),
    *list_top_p_harms(run_torch, divide_kept),
    Harm("cut_ties", "the boundary's equals are kept by rank", divide_kept(cut_mass_ties),
         strict_only=True),
    Harm("bisection", "the boundary is searched with float64 pivots", divide_kept(bisect_mass),
         right=True),
    Harm("copy_all", "p >= 1 multiplies by one", spoil_outputs(run_torch, _copy_all), right=True),
)  # fmt: skip
