"""Stored inputs are laid out again as they were, or refused."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import list_declared, load_op
from rocmoe.profiles.bundle.draws import lay_out, read_draw, record_draw
from rocmoe.references.judging.elementwise import same_bits

STRIDED = parse_case("topk_softmax:T=5,E=16,k=2:bf16:renormalize=false:normal:strided")


def find_small(op):
    """A case of few elements in each layout of an op."""
    spec = load_op(op)
    for layout in spec.layouts:
        row = min(spec.cases, key=lambda row: row.sizes.get("T", row.sizes.get("B", 0)) or 10**9)
        made = spec.make_case(row)
        yield spec, parse_case(made.id.replace(f":{row.layout}", f":{layout}"))


@pytest.mark.parametrize("op", list_declared())
def test_inputs_of_every_op_come_back_in_every_layout(op):
    for spec, case in find_small(op):
        inputs = draw_inputs(spec, case)
        record, content = record_draw(spec, case, inputs)
        read = read_draw(spec, case, json.loads(json.dumps(record)), content)
        assert list(read) == list(inputs)
        for name, value in inputs.items():
            if isinstance(value, np.ndarray):
                assert same_bits(read[name], value).all(), (case.id, name)
            else:
                assert type(read[name]) is type(value), (case.id, name)
                assert read[name] == value


def test_a_strided_view_is_stored_as_its_whole_memory_and_replayed_as_one():
    spec = load_op("topk_softmax")
    inputs = draw_inputs(spec, STRIDED)
    record, content = record_draw(spec, STRIDED, inputs)
    stored = safetensors.torch.load(content)["gating_output"]
    told = record["tensors"]["gating_output"]
    assert told == {"shape": [5, 16], "stride": [26, 1], "offset": 2048}
    assert stored.dtype == torch.bfloat16
    assert stored.numel() > 2048 + 5 * 26
    view = torch.as_strided(stored, told["shape"], told["stride"], told["offset"])
    assert (view.double().numpy() == inputs["gating_output"]).all()
    again = lay_out(spec, STRIDED, read_draw(spec, STRIDED, record, content))["gating_output"]
    assert (again.stride(), again.storage_offset()) == ((26, 1), 2048)
    assert stored[2048 + 16].isnan()  # the gap behind a row holds poison


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"offset": 1 << 20}, "reaches past its"),
        ({"stride": [1 << 40, 1]}, "reaches past its"),
        ({"offset": -1}, "has shape"),
        ({"stride": [-1, 1]}, "has shape"),
        ({"stride": [26]}, "has shape"),
        ({"shape": [5, 17]}, "has shape"),
        ({"offset": 2049}, "was laid out with stride"),
        ({"stride": [16, 1]}, "was laid out with stride"),
        ({"stride": [0, 0]}, "was laid out with stride"),
    ],
)
def test_a_view_that_does_not_fit_is_refused(changes, said):
    spec = load_op("topk_softmax")
    record, content = record_draw(spec, STRIDED, draw_inputs(spec, STRIDED))
    record["tensors"]["gating_output"] |= changes
    with pytest.raises(RocmoeError, match=said):
        read_draw(spec, STRIDED, record, content)


def test_a_broadcast_of_one_element_is_no_input_of_a_huge_case():
    huge = parse_case(STRIDED.id.replace("T=5", "T=2000000000"))
    spec = load_op("topk_softmax")
    record, content = record_draw(spec, STRIDED, draw_inputs(spec, STRIDED))
    view = {"shape": [2_000_000_000, 16], "stride": [0, 0], "offset": 0}
    with pytest.raises(RocmoeError, match="reaches past its"):
        read_draw(spec, huge, {**record, "tensors": {"gating_output": view}}, content)


def test_other_names_and_dtypes_are_refused():
    spec = load_op("topk_softmax")
    record, content = record_draw(spec, STRIDED, draw_inputs(spec, STRIDED))
    with pytest.raises(RocmoeError, match="'topk' is missing, or not one of the op's"):
        read_draw(spec, STRIDED, {**record, "values": {"renormalize": True}}, content)
    more = {**record["values"], "x\x1b": 1}
    with pytest.raises(RocmoeError, match=r"'x\\x1b' is missing, or not one of the op's"):
        read_draw(spec, STRIDED, {**record, "values": more}, content)
    other = safetensors.torch.save({"gating_output": torch.zeros(4096)})
    with pytest.raises(RocmoeError, match=r"gating_output is torch.float32"):
        read_draw(spec, STRIDED, record, other)
    with pytest.raises(RocmoeError, match="the tensors stored are not those listed"):
        read_draw(spec, STRIDED, record, safetensors.torch.save({"y": torch.zeros(1)}))
