import os

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles import validation
from rocmoe.profiles.request import make_request, plan_cases
from rocmoe.profiles.suites import list_cases
from rocmoe.profiles.validation import Settings, plan_run

pytest.importorskip("triton", reason="triton is not installed")


def plan(ops=(), backends=(), device=None, suite="quick", has_gpu=False):
    request = make_request(
        ops, backends, (), device=device, suite=suite, cases=(), seed=0, strict=False
    )
    planned = plan_run(request, has_gpu)
    return {
        (each.selector, each.device): {
            other.case.id
            for other in planned
            if other.selector == each.selector and other.case.op == "topk_softmax"
        }
        for each in planned
    }


def ids(suite):
    return {case.id for case in list_cases(load_op("topk_softmax"), suite, 0)}


def test_a_simulator_that_nobody_asked_for_runs_the_smoke_suite():
    assert plan() == {("torch", "cpu"): ids("quick"), ("triton", "sim:gfx942"): ids("smoke")}
    assert ids("smoke") < ids("quick")


@pytest.mark.parametrize(
    "asked",
    [
        {"device": "sim:gfx942"},
        {"backends": ["triton"]},
        {"ops": ["topk_softmax"]},
    ],
)
def test_one_that_was_asked_for_runs_the_suite(asked):
    assert plan(**asked)["triton", "sim:gfx942"] == ids("quick")


def test_a_gpu_runs_the_suite_unasked():
    assert plan(has_gpu=True) == {("torch", "gpu"): ids("quick"), ("triton", "gpu"): ids("quick")}


def ask_for_models(ops=(), models=("qwen3-8b",), **more):
    given = {"backends": [], "impls": [], "device": "cpu", "suite": "quick", "cases": [],
             "seed": 0, "strict": False}  # fmt: skip
    return make_request(ops, models=models, **{**given, **more})


def test_models_bring_their_ops_and_the_tokens_of_the_suite():
    request = ask_for_models()
    assert "qk_norm_rope" in request.ops
    assert not {"topk_softmax", "grouped_topk", "moe_sorting"} & set(request.ops)
    counts = {case.sizes.get("T", case.sizes.get("B")) for _, case in plan_cases(request)}
    assert counts == {3, 64}


def test_tokens_that_are_named_count_and_two_models_share_cases():
    request = ask_for_models(["qk_rmsnorm"], ["qwen3-8b", "qwen3-8b"], tokens=[7, 7])
    assert [case.sizes["T"] for _, case in plan_cases(request)] == [7]


def test_a_model_that_does_not_use_an_op_is_told():
    with pytest.raises(RocmoeError, match="qwen3-8b does not use grouped_topk"):
        plan_cases(ask_for_models(["grouped_topk"]))
    with pytest.raises(RocmoeError, match="unknown model 'qwen3'"):
        ask_for_models(models=["qwen3"])
    with pytest.raises(RocmoeError, match="--tokens is of models"):
        ask_for_models(models=(), tokens=[4])


def test_a_pipeline_is_also_run_as_what_it_replaces():
    request = ask_for_models(["dflash_verify", "qk_rmsnorm"], tokens=[1])
    planned = {(each.spec.name, each.selector) for each in plan_run(request, has_gpu=False)}
    assert {name for op, name in planned if op == "dflash_verify"} >= {"torch", "torch:fallback"}
    assert ("qk_rmsnorm", "torch:fallback") not in planned


@pytest.mark.parametrize(
    ("cores", "gib", "jobs", "wanted"),
    [(16, 128, None, 8), (64, 1000, None, 8), (16, 20, None, 2), (2, 128, None, 1),
     (1, 1, None, 1), (16, 20, 5, 5)],
)  # fmt: skip
def test_judges_are_as_many_as_cores_and_memory_allow(monkeypatch, cores, gib, jobs, wanted):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(validation, "available_memory", lambda: gib << 30)
    with Settings(1).make_judging_pool("gpu", jobs=jobs) as pool:
        assert pool._jobs == wanted
