import sys
from types import ModuleType

import pytest
import torch

from rocmoe.ops.backends.flydsl import LIBRARY
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op

PARAMS = {
    "topk_softmax": "fp32:renormalize=true:normal",
    "moe_sorting": "fp32:expert_mask=none,num_local_tokens=none:uniform",
    "topk_softmax_sorting": (
        "fp32:renormalize=true,expert_mask=none,num_local_tokens=none:normal"
    ),
}  # fmt: skip
SORTS = ("moe_sorting", "topk_softmax_sorting")


def make_case(op, layout="contiguous", T=4, E=64, D=64):
    more = f",U=32,D={D}" if op in SORTS else ""
    word = f"{op}:T={T},E={E},k=2{more}:{PARAMS[op]}:{layout}"
    return load_op(op).check_case(parse_case(word))


def find_limit(op, arch="gfx942", guarded=True, **sizes):
    (variant,) = LIBRARY.list_variants(op)
    limit = variant.find_limit(variant.forms[0], make_case(op, **sizes), arch, guarded=guarded)
    return limit and limit.reason


@pytest.mark.parametrize("op", SORTS)
def test_experts_that_fit_the_counters_in_lds(op):
    pair = (512, 1024) if op == "topk_softmax_sorting" else (818, 819)
    assert find_limit(op, E=pair[0]) is None
    assert find_limit(op, E=pair[1], guarded=False) == "wants E <= 818, on gfx950 E <= 2047"
    assert find_limit(op, E=pair[1], arch="gfx950") is None
    assert find_limit("moe_sorting", E=2047, arch="gfx950") is None
    assert "2047" in find_limit("moe_sorting", E=2048, arch="gfx950")


@pytest.mark.parametrize("op", SORTS)
def test_a_buffer_of_whole_pieces(op):
    assert find_limit(op, T=3, D=8) is None
    assert find_limit(op, T=4, D=6) is None
    assert "wants T*D divisible by 8" in find_limit(op, T=3, D=6)
    assert find_limit(op, T=3, D=6, guarded=False) is None
    assert "wants an even D" in find_limit(op, T=8, D=3, guarded=False)


@pytest.mark.parametrize("op", PARAMS)
def test_no_tokens_are_handed_over_without_a_guard(op):
    assert find_limit(op, T=0) is not None
    assert find_limit(op, T=0, guarded=False) is None


def test_only_the_sort_of_ids_takes_them_to_be_dense():
    taken = {op: find_limit(op, layout="strided") is None for op in PARAMS}
    assert taken == {"topk_softmax": True, "moe_sorting": False, "topk_softmax_sorting": True}


@pytest.mark.parametrize("package", ["kernels.moe", "kernels"])
@pytest.mark.parametrize("name", ["moe_sorting_flydsl", "moe_softmax_sort_flydsl"])
@pytest.mark.parametrize("model_dim", [0, 8])
def test_a_buffer_without_columns_is_viewed_too(monkeypatch, package, name, model_dim):
    seen = []
    place = 6 if name == "moe_sorting_flydsl" else 5

    def sort(*given):
        seen.append((given[place], given[place].view(torch.int32)))

    module = ModuleType(f"{package}.moe_sorting_kernel")
    setattr(module, name, sort)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    variant = next(each for each in LIBRARY.variants if each.name == name)
    form = next(f for f in variant.forms if f.path.startswith(f"{package}.moe_sorting"))
    spec = load_op(variant.op)
    given = dict.fromkeys(each.name for each in (*spec.inputs, *spec.outputs))
    buffer = torch.zeros(3, model_dim, dtype=torch.bfloat16)
    given |= {"gating_output": torch.zeros(3, 4), "moe_buf": buffer, "model_dim": model_dim}
    takes = form.bind.__code__.co_varnames[: form.bind.__code__.co_argcount]
    form.bind(**{each: value for each, value in given.items() if each in takes})()
    (buffer_given, viewed), *_ = seen
    assert (buffer_given is buffer) == bool(model_dim)
    assert viewed.numel() == 3 * model_dim // 2
