import pytest

from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.suites import list_cases
from rocmoe.profiles.validation import make_request, plan_run

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
