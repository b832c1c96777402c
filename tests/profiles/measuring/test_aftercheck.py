"""Answers of timed calls: which are judged, and which are known to be right already."""

import pytest
import torch

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.core.workbench import to_numpy
from rocmoe.ops.topk_softmax import run_torch
from rocmoe.profiles.measuring import aftercheck
from rocmoe.profiles.measuring.aftercheck import AfterCheck, same_tensor_bits

NAN = float("nan")
SPEC = load_op("topk_softmax")
CASE = parse_case("topk_softmax:T=6,E=16,k=3:fp32:renormalize=true:normal:contiguous")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_are_the_same_by_their_bits(dtype):
    values = torch.tensor([[1.0, NAN], [0.0, -2.0]], dtype=dtype)
    assert same_tensor_bits(values, values.clone())
    assert same_tensor_bits(values.t(), values.clone().t())
    assert not same_tensor_bits(values, torch.tensor([[1.0, NAN], [-0.0, -2.0]], dtype=dtype))


def test_other_dtypes_and_shapes_are_others():
    ones = torch.ones(4, dtype=torch.int32)
    assert same_tensor_bits(ones, ones.clone())
    assert not same_tensor_bits(ones, ones.to(torch.int64))
    assert not same_tensor_bits(ones, ones.reshape(2, 2))
    assert not same_tensor_bits(ones, torch.tensor([1, 1, 1, 2], dtype=torch.int32))


def test_only_the_bits_of_a_right_answer_on_the_same_inputs_are_not_judged_again(monkeypatch):
    draws = [draw_inputs(SPEC, CASE, number) for number in (0, 1)]
    answers = [
        run_torch(torch.from_numpy(each["gating_output"]).float(), 3, True) for each in draws
    ]
    after = AfterCheck(SPEC, CASE, Device("cpu"), draws, strict=False)
    after._look("first", 0, answers[0])
    with monkeypatch.context() as patch:
        patch.setattr(aftercheck, "to_numpy", lambda tensor: pytest.fail("copied again"))
        after._look("again", 0, tuple(each.clone() for each in answers[0]))
    after._look("on others", 1, answers[1])
    assert after.failed == []
    after._look("others' answer", 1, answers[0])
    after._look("too large", 0, (answers[0][0] * 1.5, answers[0][1]))
    assert [line.partition(":")[0] for line in after.failed] == ["others' answer", "too large"]


def test_of_an_answer_that_differs_only_what_differs_is_copied_again(monkeypatch):
    draws = [draw_inputs(SPEC, CASE, number) for number in (0, 1)]
    weights, ids = run_torch(torch.from_numpy(draws[0]["gating_output"]).float(), 3, True)
    after = AfterCheck(SPEC, CASE, Device("cpu"), draws, strict=False)
    after._look("first", 0, (weights, ids))
    copied = []
    monkeypatch.setattr(
        aftercheck, "to_numpy", lambda tensor: copied.append(tensor.dtype) or to_numpy(tensor)
    )
    after._look("a rounding apart", 0, (torch.nextafter(weights, weights + 1), ids.clone()))
    after._look("too large", 0, (weights * 1.5, ids.clone()))
    after._look("other experts", 0, (weights.clone(), (ids + 1) % 16))
    assert copied == [torch.float32, torch.float32, torch.float32, torch.int32]
    assert [line.partition(":")[0] for line in after.failed] == ["too large", "other experts"]
