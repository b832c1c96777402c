import pytest
import torch

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import CandidateError, RocmoeError
from rocmoe.ops.core.implementation import Implementation, name_outputs, writes_outputs
from rocmoe.ops.core.spec import load_op

SPEC = load_op("topk_softmax")
CASE = parse_case("topk_softmax:T=4,E=8,k=2:bf16:renormalize=true:normal:contiguous")


def returns(gating_output, topk, renormalize): ...
def writes(gating_output, topk, renormalize, topk_weights, topk_ids): ...
def any_order(renormalize, *, topk, gating_output, extra=None): ...
def any_words(**words): ...
def misspelt(gating_outputs, topk, renormalize): ...
def half(gating_output, topk, renormalize, topk_ids): ...
def wants_more(gating_output, topk, renormalize, bias): ...
def positional(gating_output, topk, renormalize, /): ...


@pytest.mark.parametrize(
    ("function", "destination"),
    [(returns, False), (writes, True), (any_order, False), (any_words, False)],
)
def test_styles(function, destination):
    assert writes_outputs(SPEC, function) == destination


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (misspelt, "misspelt has no parameter 'gating_output'; found: gating_outputs"),
        (half, "half takes topk_ids to write into, but not topk_weights"),
        (wants_more, "wants_more wants 'bias', which topk_softmax does not have"),
        (positional, "positional has no parameter 'gating_output'"),
        (type, "no Python signature|has no parameter"),
    ],
)
def test_a_wrong_signature_is_named(function, said):
    with pytest.raises(RocmoeError, match=said):
        writes_outputs(SPEC, function)


CPU = parse_device("cpu")
WEIGHTS, IDS = torch.zeros(4, 2), torch.zeros(4, 2, dtype=torch.int32)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (WEIGHTS, r"returned 1 output\(s\), wanted 2: topk_weights, topk_ids"),
        ((WEIGHTS, IDS, IDS), r"returned 3 output\(s\)"),
        (None, r"returned 1 output\(s\)"),
        ((WEIGHTS, None), "topk_ids is a NoneType, wanted a torch.Tensor"),
        ((WEIGHTS[:3], IDS), r"topk_weights has shape \[3, 2\], wanted \[4, 2\]"),
        ((WEIGHTS.double(), IDS), "topk_weights is torch.float64, wanted torch.float32"),
        ((WEIGHTS, IDS.long()), "topk_ids is torch.int64, wanted torch.int32"),
        ((WEIGHTS.to("meta"), IDS), "topk_weights is on meta, wanted cpu"),
        ((WEIGHTS.to_sparse(), IDS), "topk_weights has layout torch.sparse_coo"),
        ((WEIGHTS.numpy(), IDS), "topk_weights is a ndarray, wanted a torch.Tensor"),
    ],
)
def test_wrong_outputs_are_named(returned, said):
    with pytest.raises(CandidateError, match=said):
        name_outputs(SPEC, CASE, CPU, returned)


def test_a_tensor_that_computes_later_is_no_output():
    class Lazy(torch.Tensor):
        pass

    with pytest.raises(CandidateError, match="topk_weights is a Lazy"):
        name_outputs(SPEC, CASE, CPU, (WEIGHTS.as_subclass(Lazy), IDS))


def test_an_implementation_states_where_it_does_not_run():
    implementation = Implementation("topk_softmax", "torch", returns)
    assert implementation.find_refusal(CASE, parse_device("cpu")) is None
    said = implementation.find_refusal(CASE, parse_device("sim:gfx942"))
    assert said == "torch does not run on sim:gfx942; it runs on cpu, gpu"


@pytest.mark.parametrize("word", ["cpu", "gpu", "gpu:3", "sim:gfx942"])
def test_devices_parse_back(word):
    device = parse_device(word)
    assert parse_device(str(device)) == device


@pytest.mark.parametrize("word", ["", "cuda", "gpu:", "gpu:x", "sim", "sim:gfx943", "CPU"])
def test_an_unknown_device_is_named(word):
    with pytest.raises(RocmoeError, match=f"unknown device '{word}'"):
        parse_device(word)
