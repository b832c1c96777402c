"""What a request for graphs means: ops, and cases whose counts are tensors."""

import msgspec
import pytest

from rocmoe.ops.core.errors import NoGpuError, RocmoeError
from rocmoe.ops.core.spec import list_declared, list_ops, load_op
from rocmoe.profiles.bench_cases import Shapes
from rocmoe.profiles.environment import collect_environment
from rocmoe.profiles.graphs.draws import list_settings
from rocmoe.profiles.graphs.request import list_graph_cases, make_graph_request
from rocmoe.profiles.graphs.run import check_gpu

CASE = "topk_softmax:T=4,E=16,k=2:fp32:renormalize=true:normal:contiguous"


def ask(*ops, backends=(), impls=(), device=None, **shapes):
    return make_graph_request(
        ops, backends, impls, Shapes(**shapes), device=device, strict=False
    )  # fmt: skip


def test_no_op_means_all_on_the_gpu_with_the_three_columns_of_times():
    request = ask()
    assert request.ops == list(list_ops())
    assert (request.command, request.device, request.effort) == ("graph", "gpu", "quick")
    assert (request.timers, request.caches) == (["wall", "graph", "kernel"], ["warm"])


@pytest.mark.parametrize("name", list_declared())
def test_the_cases_of_an_op_have_every_count_in_a_tensor_that_may_be_one(name):
    spec = load_op(name)
    cases = list_graph_cases(spec, seed=3)
    assert cases[0].id == spec.make_case(
        next(row for row in spec.cases if row.suite == "smoke"), 3
    ).id  # fmt: skip
    for setting in list_settings(spec):
        assert any(isinstance(case.params[setting], str) for case in cases)
    assert len(cases) <= 1 + len(list_settings(spec))
    assert all(spec.degenerate(case) is None for case in cases)


def test_counts_are_the_inputs_that_a_parameter_makes_tensors():
    assert list_settings(load_op("moe_sorting")) == ["expert_mask", "num_local_tokens"]
    assert list_settings(load_op("top_k_top_p_renorm_probs")) == ["top_k", "top_p"]
    assert list_settings(load_op("topk_softmax")) == []


def test_cases_models_and_sweeps_are_those_of_a_benchmark():
    assert ask(cases=[CASE]).cases == [CASE]
    assert len(ask("topk_softmax", sweep=["T=1,5"]).cases) == 2
    request = ask(models=["gpt-oss-120b"], tokens=[1, 4])
    assert "topk_softmax" in request.ops
    assert "qk_rmsnorm" not in request.ops, "gpt-oss norms no heads"
    assert request.tokens == [1, 4]


def test_other_devices_have_no_graphs():
    for device in ("cpu", "sim:gfx942"):
        with pytest.raises(RocmoeError, match=f"--device {device} has no graphs; wanted gpu"):
            ask("topk_softmax", device=device)


def test_without_a_gpu_there_is_one_clear_line():
    environment = msgspec.structs.replace(collect_environment(), gpus=[])
    with pytest.raises(NoGpuError, match="graphs need a GPU and torch sees none here"):
        check_gpu(environment)
