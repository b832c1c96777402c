"""The op of a kernel that reads correction_bias in the dtype of the logits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.inputs import round_to
from rocmoe.ops.core.spec import Inputs, OpSpec
from rocmoe.references.judging.verdict import Check, Verdict

NAME = "fp32_bias"
NOTE = "not checked: the kernel reads the bias in the logits' dtype; it was rounded to that first"


def round_bias(spec: OpSpec) -> OpSpec:
    """The op on biases that the dtype of the logits holds, with a check that says so.

    An adapter hands such a bias over in the logits' dtype without changing it, as sglang does with
    any bias; handed over as fp32 it would be misread.
    """

    def draw(case: Case, rng: np.random.Generator) -> Inputs:
        drawn = spec.draw(case, rng)
        bias = drawn["correction_bias"]
        return drawn if bias is None else {**drawn, "correction_bias": round_to(bias, case.dtype)}

    def judge(inputs: Any, outputs: Any, *, dtype: str, strict: bool) -> Verdict:
        verdict = spec.judge(inputs, outputs, dtype=dtype, strict=strict)
        if dtype == "fp32" or inputs["correction_bias"] is None:
            return verdict
        return replace(verdict, checks=(*verdict.checks, Check(NAME, None, 0.0, 0.0, NOTE)))

    return replace(spec, draw=draw, judge=judge)
