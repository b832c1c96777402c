"""Values that a case gives: written, read back, checked, and the same in every draw."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.errors import InputsError, RocmoeError
from rocmoe.ops.core.given import read_values, write_values
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import load_op

BASE = "topk_sigmoid:T=2,E=3,k=1:bf16:renormalize=true,correction_bias={}:normal:contiguous"
CASE = BASE.format("small")


@given(st.lists(st.floats(), min_size=1, max_size=12))
def test_numbers_are_read_back_as_they_were(values):
    text = write_values(np.array(values))
    assert not set(text) - set("0123456789.-+einfax/"), "safe in a case, a shell and Markdown"
    back = read_values("x", text, (len(values),), floats=True)
    assert np.array_equal(back, values, equal_nan=True)
    assert np.array_equal(np.signbit(back), np.signbit(values)) or np.isnan(values).any()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=12))
def test_so_are_whole_numbers(values):
    back = read_values("x", write_values(np.array(values)), (len(values),), floats=False)
    assert back.tolist() == values
    assert back.dtype == np.int64


def test_what_repeats_is_counted():
    assert write_values(np.array([[1.0, 0.0], [0.0, 0.0], [-2.5, 1.0]])) == "1/3x0/-2.5/1"
    assert write_values(np.array([7, 7])) == "2x7"


@pytest.mark.parametrize("seed", ["", ":seed=3"])
def test_a_case_with_values_is_one_word(seed):
    text = f"{CASE}{seed}:gating_output=3x0.5/1/2x0,correction_bias=3x0"
    case = parse_case(text)
    assert dict(case.given) == {"gating_output": "3x0.5/1/2x0", "correction_bias": "3x0"}
    assert case.id == text
    assert parse_case(case.id) == case
    assert case != parse_case(CASE + seed)
    assert load_op("topk_sigmoid").check_case(case) is case


def test_values_are_in_every_draw_and_the_rest_is_of_the_first():
    spec = load_op("topk_sigmoid")
    drawn = draw_inputs(spec, parse_case(CASE))
    case = parse_case(f"{CASE}:gating_output=3x0.5/1.003/2x0")
    for draw in (0, 1, 2):
        inputs = draw_inputs(spec, case, draw)
        assert inputs["gating_output"].tolist() == [[0.5, 0.5, 0.5], [1.0, 0.0, 0.0]], "as bf16"
        assert inputs["correction_bias"].tolist() == drawn["correction_bias"].tolist()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("gating_outputs=6x0", "unknown input 'gating_outputs'; nearest: gating_output"),
        ("topk=1", "unknown input 'topk'"),
        ("gating_output=5x0", r"gating_output: found 5 values, wanted 6 for \[2, 3\]"),
        ("gating_output=5x0/a", "gating_output: 'a' is not a number, or COUNTx of it"),
        ("gating_output=5x0/", "gating_output: '' is not a number"),
        ("gating_output=2x3x0", "'2x3x0' is not a number"),
        ("gating_output", "found 7 parts, wanted OP:"),
    ],
)
def test_what_is_not_the_values_of_an_input_is_one_line(values, told):
    with pytest.raises(RocmoeError, match=told) as caught:
        load_op("topk_sigmoid").check_case(parse_case(f"{CASE}:{values}"))
    assert "\n" not in str(caught.value)


def test_whole_numbers_have_no_point_and_fit():
    with pytest.raises(RocmoeError, match=r"'1.5' is not a whole number"):
        read_values("topk_ids", "1.5", (1,), floats=False)
    with pytest.raises(RocmoeError, match="does not fit 64 bits"):
        read_values("topk_ids", str(2**63), (1,), floats=False)


def test_a_tensor_that_the_case_has_not_cannot_be_given():
    case = parse_case(f"{BASE.format('none')}:correction_bias=3x0")
    with pytest.raises(InputsError, match="it has no correction_bias, whose values it gives"):
        draw_inputs(load_op("topk_sigmoid"), case)
