"""The road of one case: what only several calls, and looking at memory, can find."""

import pytest
import torch

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.topk_softmax import run_torch
from rocmoe.profiles.examination import examine

SPEC = load_op("topk_softmax")
CASE = parse_case("topk_softmax:T=6,E=16,k=3:fp32:renormalize=true:normal:strided")


def judge(function, strict=False, case=CASE):
    implementation = Implementation("topk_softmax", "user", function)
    return examine(SPEC, case, implementation, Device("cpu"), strict=strict)


def test_all_checks_of_a_right_function_are_reported():
    verdict = judge(run_torch)
    assert verdict.ok
    names = {check.name: check.ok for check in verdict.checks}
    assert names.keys() >= {"inputs_unchanged", "all_written", "repeatable", "weights"}
    assert names["no_write_outside"] is None


def destination(tamper):
    def function(gating_output, topk, renormalize, topk_weights, topk_ids):
        weights, ids = run_torch(gating_output, topk, renormalize)
        topk_weights.copy_(weights)
        topk_ids.copy_(ids)
        tamper(gating_output, topk_weights, topk_ids)

    return function


def leave_one_unwritten():
    """One element keeps what was there; to the judge alone that may look like a right value."""

    def function(gating_output, topk, renormalize, topk_weights, topk_ids):
        weights, ids = run_torch(gating_output, topk, renormalize)
        kept = topk_weights[5, 2].clone()
        topk_weights.copy_(weights)
        topk_ids.copy_(ids)
        topk_weights[5, 2] = kept

    return function


def write(tensor, offset, value):
    tensor.as_strided((1,), (1,), tensor.storage_offset() + offset).fill_(value)


@pytest.mark.parametrize(
    ("function", "check", "output", "index"),
    [
        (
            destination(lambda g, w, i: write(w, w.numel(), 0)),
            "no_write_outside",
            "topk_weights",
            (),
        ),
        (destination(lambda g, w, i: write(i, -1, 0)), "no_write_outside", "topk_ids", ()),
        (
            destination(lambda g, w, i: g[2, 3].fill_(0)),
            "inputs_unchanged",
            "gating_output",
            (2, 3),
        ),
        (destination(lambda g, w, i: write(g, 17, 0)), "inputs_unchanged", "gating_output", ()),
        (leave_one_unwritten(), "all_written", "topk_weights", (5, 2)),
    ],
)
def test_what_memory_tells(function, check, output, index):
    verdict = judge(function)
    places = {(f.check, f.output, f.index) for f in verdict.findings}
    assert check in verdict.failed
    assert (check, output, index) in places


def test_a_function_that_keeps_its_memory_is_caught_by_the_second_draw():
    answers = {}

    def function(gating_output, topk, renormalize):
        return answers.setdefault(gating_output.data_ptr(), run_torch(gating_output, topk, True))

    verdict = judge(function)
    assert "weights" in verdict.failed
    assert {finding.call for finding in verdict.findings if finding.check == "weights"} == {2}


def test_an_answer_that_changes_within_the_limits_is_caught_by_the_third_call_when_strict():
    calls = []

    def function(gating_output, topk, renormalize):
        calls.append(1)
        weights, ids = run_torch(gating_output, topk, renormalize)
        return weights * (1 + 1.2e-7 * (len(calls) % 4)), ids

    verdict = judge(function, strict=True)
    assert verdict.failed == ("repeatable",)
    assert {finding.call for finding in verdict.findings} == {3}


def test_unwritten_memory_that_a_functional_candidate_hands_out_is_found():
    def function(gating_output, topk, renormalize):
        weights, ids = run_torch(gating_output, topk, renormalize)
        left = torch.empty_like(weights)
        left[:, :2] = weights[:, :2]
        return left, ids

    verdict = judge(function)
    assert "all_written" in verdict.failed
    assert ("topk_weights", (0, 2)) in {(f.output, f.index) for f in verdict.findings}


def test_what_a_candidate_raises_is_passed_on():
    def function(gating_output, topk, renormalize):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        judge(function)
