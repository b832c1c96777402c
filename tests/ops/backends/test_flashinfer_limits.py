"""FlashInfer's limits, as its sources of 0.7.2.post1 have them."""

import dataclasses

import pytest

from rocmoe.ops.backends.flashinfer import qk
from rocmoe.ops.core.backend import find_library
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.spec import load_op

CPU = parse_device("cpu")
ROWS = "wants rows: a grid of none is an error"
VECTORS = "loads vectors of up to 16 bytes"
DEEPSEEK = {
    "E": 256,
    "num_expert_group": 8,
    "topk_group": 4,
    "scoring_func": "sigmoid",
    "correction_bias": "small",
    "renormalize": True,
    "dtype": "fp32",
}


@pytest.fixture
def find_refusal(stand_ins, monkeypatch):
    """Why FlashInfer refuses the first declared case of an op with some changes, else None."""
    stand_ins.install(monkeypatch, "flashinfer")

    def find(op, arch="sm90", **changes):
        spec = load_op(op)
        case = spec.make_case(spec.cases[0])
        sizes = {name: changes.pop(name, size) for name, size in case.sizes.items()}
        params = {name: changes.pop(name, value) for name, value in case.params.items()}
        case = spec.check_case(dataclasses.replace(case, sizes=sizes, params=params, **changes))
        found = find_library("flashinfer").find(spec, "")
        return dataclasses.replace(found, devices=("cpu",), arch=arch).find_refusal(case, CPU)

    return find


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"num_expert_group": 16, "topk_group": 4}, "has room for 8 groups"),
        ({"E": 64, "topk_group": 5}, "has room for 8 groups of 2 or more, of which 4 are kept"),
        ({"E": 8, "k": 4}, "has room for 8 groups of 2 or more"),
        ({"E": 384, "num_expert_group": 16, "topk_group": 4}, "or E <= 256 in groups of 32"),
        ({"T": 0}, ROWS),
        ({"layout": "offset"}, None),
        ({"layout": "strided"}, "takes rows to be contiguous"),
        ({"E": 384, "num_expert_group": 1, "topk_group": 1}, "topk_group * num_expert_group >= k"),
        ({"E": 384, "num_expert_group": 1, "topk_group": 1, "k": 1}, None),
    ],
)
def test_deepseeks_routing(find_refusal, changes, said):
    refusal = find_refusal("grouped_topk", **{**DEEPSEEK, **changes})
    assert (refusal is None) if said is None else said in refusal


@pytest.mark.parametrize(
    ("op", "changes", "said"),
    [
        ("top_p_renorm_probs", {"B": 0, "V": 500}, ROWS),
        ("top_p_renorm_probs", {"B": 0, "V": 4096}, ROWS),
        ("top_k_renorm_probs", {"B": 0, "V": 500}, None),
        ("top_p_renorm_probs", {"V": 1024, "layout": "offset"}, VECTORS),
        ("top_p_renorm_probs", {"V": 1025, "layout": "offset"}, None),
        ("top_p_renorm_probs", {"V": 2048, "layout": "offset"}, None),
        ("top_k_renorm_probs", {"V": 2048, "layout": "offset"}, VECTORS),
        ("top_k_renorm_probs", {"V": 2049, "layout": "offset"}, None),
        ("top_k_renorm_probs", {"V": 2049, "layout": "strided"}, "takes rows to be contiguous"),
    ],
)
def test_renormalising(find_refusal, op, changes, said):
    refusal = find_refusal(op, **changes)
    assert (refusal is None) if said is None else said in refusal


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"D": 128, "layout": "strided"}, VECTORS),
        ({"D": 128, "layout": "qkv_views"}, None),
        ({"D": 37, "layout": "strided"}, None),
        ({"D": 34, "layout": "strided"}, None),
        ({"D": 34, "layout": "offset"}, VECTORS),
        ({"T": 0}, ROWS),
    ],
)
def test_heads_begin_where_vectors_do(find_refusal, changes, said):
    """Tokens of layout strided are 10 elements further apart: 2 go into that, 4 and 8 do not."""
    refusal = find_refusal("qk_rmsnorm", dtype="bf16", **changes)
    assert (refusal is None) if said is None else said in refusal


def test_the_norm_in_cuda_takes_no_float32(find_refusal, monkeypatch):
    monkeypatch.delenv("FLASHINFER_USE_CUDA_NORM", raising=False)
    monkeypatch.setattr(qk, "is_installed", lambda module: True)
    assert find_refusal("qk_rmsnorm", dtype="fp32", layout="contiguous") is None
    monkeypatch.setattr(qk, "is_installed", lambda module: module == "flashinfer")
    assert "wants fp16, bf16" in find_refusal("qk_rmsnorm", dtype="fp32", layout="contiguous")
    assert find_refusal("qk_rmsnorm", dtype="fp16", layout="contiguous") is None
    monkeypatch.setattr(qk, "is_installed", lambda module: False)
    assert find_refusal("qk_rmsnorm", dtype="fp32", layout="contiguous") is None
    monkeypatch.setenv("FLASHINFER_USE_CUDA_NORM", "1")
    assert "wants fp16, bf16" in find_refusal("qk_rmsnorm", dtype="fp32", layout="contiguous")
