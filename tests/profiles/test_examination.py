"""The road of one case: what only several calls, and looking at memory, can find."""

import threading
import time

import pytest
import torch

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import InputsError
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.topk_softmax import run_torch
from rocmoe.profiles.examination import examine

SPEC = load_op("topk_softmax")
CASE = parse_case("topk_softmax:T=6,E=16,k=3:fp32:renormalize=true:normal:strided")


def judge(function, strict=False, case=CASE):
    implementation = Implementation("topk_softmax", "user", function)
    return examine(SPEC, case, implementation, Device("cpu"), strict=strict).verdict


def test_all_checks_of_a_right_function_are_reported():
    verdict = judge(run_torch)
    assert verdict.ok
    names = {check.name: check.ok for check in verdict.checks}
    assert names.keys() >= {"inputs_unchanged", "all_written", "repeatable", "weights"}
    assert names["no_write_outside"] is None


def test_the_variants_of_the_first_call_are_noted():
    table = (
        Variant("small", "for the test", most={"calls": 1}, parameters={"rows": 4}),
        Variant("large", "for the test"),
    )
    calls = []

    def function(gating_output, topk, renormalize):
        calls.append(1)
        for _ in range(2):
            choose(table, "gfx942", calls=len(calls))
        return run_torch(gating_output, topk, renormalize)

    implementation = Implementation("topk_softmax", "user", function)
    examined = examine(SPEC, CASE, implementation, Device("cpu"), strict=False)
    assert examined.variants == ("small rows=4",)
    assert len(calls) == 3


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


def wrong_on_third_call(spoil):
    seen = []

    def function(gating_output, topk, renormalize):
        weights, ids = run_torch(gating_output, topk, renormalize)
        seen.append(1)
        return (spoil(weights), ids) if len(seen) % 3 == 0 else (weights, ids)

    return function


def test_the_third_call_is_judged_too():
    assert "weights" in judge(wrong_on_third_call(lambda weights: weights * 1.7)).failed
    assert "weights" in judge(wrong_on_third_call(lambda weights: weights * torch.nan)).failed


def test_a_sum_in_another_order_each_time_is_right_unless_strict():
    generator = torch.Generator().manual_seed(0)

    def function(gating_output, topk, renormalize):
        order = torch.randperm(gating_output.shape[1], generator=generator)
        powers = (gating_output.float() - gating_output.float().amax(1, keepdim=True)).exp()
        total = powers[:, order].sum(1, keepdim=True)
        _, ids = run_torch(gating_output, topk, renormalize)
        weights = (powers / total).gather(1, ids.long())
        return weights / weights.sum(1, keepdim=True), ids

    large = parse_case("topk_softmax:T=64,E=256,k=8:fp32:renormalize=true:normal:contiguous")
    assert judge(function, case=large).ok
    assert "repeatable" in judge(function, case=large, strict=True).failed


@pytest.mark.parametrize("target", ["gating_output", "weights"])
def test_a_thread_that_writes_after_the_return_is_caught(target):
    def function(gating_output, topk, renormalize):
        weights, ids = run_torch(gating_output, topk, renormalize)
        late = gating_output if target == "gating_output" else weights
        threading.Thread(target=lambda: (time.sleep(0.2), late.zero_()), daemon=True).start()
        return weights, ids

    assert "no_work_after_return" in judge(function).failed


def test_memory_made_by_resize_is_poisoned():
    def function(gating_output, topk, renormalize):
        weights, ids = run_torch(gating_output, topk, renormalize)
        left = torch.tensor([]).resize_(weights.shape)
        left[:-1] = weights[:-1]
        return left, ids

    assert "all_written" in judge(function).failed


def test_a_write_out_of_bounds_is_seen_though_the_candidate_then_raises():
    spec = load_op("moe_sorting")
    row = next(row for row in spec.cases if spec.out_of_contract(spec.make_case(row)))

    def function(sorted_ids, sorted_weights, sorted_expert_ids, num_valid_ids, moe_buf, **inputs):
        write(sorted_ids, sorted_ids.numel(), 7)
        raise ValueError("ids out of range")

    implementation = Implementation("moe_sorting", "user", function)
    verdict = examine(
        spec, spec.make_case(row), implementation, Device("cpu"), strict=False
    ).verdict
    assert verdict.failed == ("no_write_outside",)


def test_inputs_that_do_not_fit_are_nobodys_error():
    huge = parse_case(
        "topk_softmax:T=2147483647,E=2147483647,k=1:fp32:renormalize=true:normal:contiguous"
    )
    with pytest.raises(InputsError, match="the inputs do not fit"):
        judge(run_torch, case=huge)
