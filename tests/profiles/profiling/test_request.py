"""What a profile is asked for: few cases, on a GPU, with what there is."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.bench_cases import Shapes
from rocmoe.profiles.profiling.request import Asked, make_profile_request, tell_lent

CASE = "topk_softmax:T=4,E=16,k=2:fp32:renormalize=true:normal:contiguous"


def ask(*ops, device=None, backends=(), **shapes):
    return make_profile_request(ops, backends, (), Shapes(**shapes), device=device, strict=False)


def list_sizes(request):
    return [case.split(":")[1] for case in request.cases]


def test_an_op_alone_has_one_case_and_one_of_a_model_two():
    assert list_sizes(ask("topk_softmax")) == ["T=1024,E=256,k=8"]
    request = ask("topk_softmax", models=["gpt-oss-120b"])
    assert list_sizes(request) == ["T=64,E=128,k=4", "T=4096,E=128,k=4"]
    assert (request.command, request.models, request.tokens) == (
        "profile", ["gpt-oss-120b"], [64, 4096],
    )  # fmt: skip


def test_what_is_named_is_profiled():
    assert ask("topk_softmax", cases=[CASE]).cases == [CASE]
    assert list_sizes(ask("topk_softmax", tokens=[1, 9])) == ["T=1,E=256,k=8", "T=9,E=256,k=8"]
    assert list_sizes(ask("topk_softmax", sweep=["E=8,16"])) == ["T=64,E=8,k=8", "T=64,E=16,k=8"]
    assert "T=2,E=128,k=4" in list_sizes(ask(models=["gpt-oss-120b"], tokens=[2]))


def test_an_op_that_the_model_does_not_use_is_run_in_its_sizes_and_that_is_told():
    request = ask("topk_softmax", "grouped_topk", models=["deepseek-v3"], tokens=[16, 4096])
    assert list_sizes(request) == ["T=16,E=256,k=8", "T=4096,E=256,k=8"] * 2
    assert (request.models, request.tokens) == (["deepseek-v3"], [16, 4096])
    assert tell_lent(request) == {
        "topk_softmax": "deepseek-v3 does not use topk_softmax: the sizes are of its grouped_topk"
    }
    swept = ask("topk_softmax", models=["deepseek-v3"], tokens=[16], sweep=["dtype=bf16,fp32"])
    assert [case.split(":")[2] for case in swept.cases] == ["bf16", "fp32"]
    assert tell_lent(ask("topk_softmax", models=["gpt-oss-120b"])) == {}


def test_an_op_that_nothing_of_the_model_has_the_sizes_of_is_refused():
    with pytest.raises(RocmoeError, match="deepseek-v3 does not use qk_rmsnorm"):
        ask("qk_rmsnorm", models=["deepseek-v3"])


def test_nothing_and_devices_without_a_profiler_are_refused():
    with pytest.raises(RocmoeError, match="rocmoe profile OP, or --model NAME"):
        ask()
    with pytest.raises(RocmoeError, match=r"--device cpu: .* a GPU; .*bench --device cpu` times"):
        ask("topk_softmax", device="cpu")
    with pytest.raises(RocmoeError, match=r"bench --device sim:gfx942` counts"):
        ask("topk_softmax", device="sim:gfx942")
    assert ask("topk_softmax", device="gpu:1").device == "gpu:1"


def test_how_to_look_is_checked_before_anything_runs(tmp_path):
    for options, said in (
        ({"profiler": "torhc"}, "unknown profiler 'torhc'; nearest: torch"),
        ({"hardware": "mi300"}, "unknown hardware 'mi300'"),
        ({"trace": tmp_path / "t.txt"}, "wanted a name that ends in .json"),
        ({"profiler": "torch", "counters": True}, "torch's profiler counts nothing"),
    ):
        with pytest.raises(RocmoeError, match=said):
            Asked(**options)
    assert Asked(profiler="torch", counters=False).calls == 20
