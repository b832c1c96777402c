"""Rows and values: only what the failure needs, and always an input of the contract."""

from itertools import islice

import numpy as np
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import list_ops, load_op
from rocmoe.profiles.shrinking.contents import CONTENTS, FIXED, count_distinct
from rocmoe.profiles.shrinking.values import (
    is_answered,
    read_tensors,
    reduce_rows,
    reduce_values,
)

SOFTMAX = load_op("topk_softmax")
TIES = parse_case("topk_softmax:T=40,E=12,k=3:bf16:renormalize=true:heavy_ties:contiguous")
NORMAL = parse_case("topk_softmax:T=1,E=12,k=3:fp32:renormalize=true:normal:contiguous")


def read(spec, case, name, draw=0):
    return draw_inputs(spec, case, draw)[name]


def test_the_rows_that_fail_together_are_found(try_cases):
    drawn = read(SOFTMAX, TIES, "gating_output")

    def fails(case):
        rows = read(SOFTMAX, case, "gating_output").tolist()
        return drawn[7].tolist() in rows and drawn[31].tolist() in rows

    fewer = reduce_rows(SOFTMAX, TIES, try_cases(fails))
    assert fewer.sizes["T"] == 2
    assert read(SOFTMAX, fewer, "gating_output").tolist() == drawn[[7, 31]].tolist()


def test_rows_of_the_second_draw_are_looked_at_too(try_cases):
    second = read(SOFTMAX, TIES, "gating_output", 1)
    find_first = try_cases(
        lambda case: (
            case.given and second[5].tolist() in read(SOFTMAX, case, "gating_output").tolist()
        )
    )
    fewer = reduce_rows(SOFTMAX, TIES, find_first)
    assert read(SOFTMAX, fewer, "gating_output").tolist() == [second[5].tolist()]


def test_what_is_another_failure_once_it_is_given_stays_as_it_was_drawn(try_cases):
    assert reduce_rows(SOFTMAX, TIES, try_cases(lambda case: not case.given)) == TIES
    assert reduce_values(SOFTMAX, TIES, try_cases(lambda case: not case.given)) == TIES


def test_rows_that_depend_on_each_other_are_not_taken_apart(try_cases):
    spec = load_op("tree_speculative_sampling_target_only")
    case = spec.make_case(spec.cases[0])
    find_first = try_cases(lambda case: True)
    assert reduce_rows(spec, case, find_first) == case
    assert not find_first.tried


def test_values_are_plain_but_for_what_the_failure_needs(try_cases):
    def fails(case):
        values = read(SOFTMAX, case, "gating_output")
        return values[0, 4] > values[0, 9] > 0

    start = next(case for case in map(NORMAL.with_seed, range(1, 99)) if fails(case))
    plain = reduce_values(SOFTMAX, start, try_cases(fails))
    assert read(SOFTMAX, plain, "gating_output").tolist() == [[0] * 4 + [2] + [0] * 4 + [1, 0, 0]]


@pytest.mark.parametrize(
    "needed",
    [
        lambda probs: probs.max() < 0.6,
        lambda probs: probs[0, 5] > 0,
        lambda probs: (probs > 0).sum() > 3,
        lambda probs: count_distinct(probs) > 2,
    ],
)
def test_what_is_plain_does_not_get_plainer(try_cases, needed):
    spec = load_op("top_p_renorm_probs")
    case = parse_case("top_p_renorm_probs:B=1,V=8:fp32:top_p=0.9:normal:contiguous:seed=2")
    find_first = try_cases(lambda case: needed(read(spec, case, "probs")))
    plain = reduce_values(spec, case, find_first)
    assert needed(read(spec, plain, "probs"))
    assert reduce_values(spec, plain, find_first) == plain
    assert count_distinct(read(spec, plain, "probs")) <= 3


def test_tensors_that_stay_as_they_were_drawn_are_not_given(try_cases):
    spec = load_op("topk_sigmoid")
    case = parse_case(
        "topk_sigmoid:T=1,E=4,k=1:fp32:renormalize=true,correction_bias=normal:normal:contiguous"
    )
    bias = read(spec, case, "correction_bias").tolist()
    plain = reduce_values(
        spec, case, try_cases(lambda case: read(spec, case, "correction_bias").tolist() == bias)
    )
    assert dict(plain.given) == {"gating_output": "4x0"}


@pytest.mark.parametrize("op", list_ops())
def test_every_simpler_tensor_is_an_input_that_the_reference_answers(op):
    spec = load_op(op)
    rows = [row for row in spec.cases if row.suite == "smoke"]
    axis = "T" if "T" in spec.sizes else "B"
    case = spec.make_case(rows[-1])
    case = spec.check_case(parse_case(case.id.replace(f"{axis}={case.sizes[axis]},", f"{axis}=4,")))
    tensors = read_tensors(spec, case)
    for name in [name for name in tensors if name in CONTENTS]:
        contents, values = CONTENTS[name], tensors[name]
        simpler = [*contents.list_plain(values), *islice(contents.list_simpler(values), 6)]
        special = contents.list_special(values)
        simpler += [contents.keep(values, special[: len(special) // 2])]
        for each in simpler:
            assert (each.shape, each.dtype) == (values.shape, values.dtype)
            given_case = _give(case, name, each)
            if name in ("probs", "target_probs"):
                sums = each.sum(axis=-1)
                assert np.all((np.abs(sums - 1) < 1e-9) | (sums == 0))
            if name == "topk_ids":
                assert all(len({*row}) == len(row) for row in each.tolist())
            assert spec.check_case(given_case)
    last = _give(case, name, simpler[0])
    assert is_answered(spec, last, strict=False)


def _give(case, name, values):
    from rocmoe.profiles.shrinking.cases import give

    return give(case, {name: values})


def test_values_that_no_implementation_could_answer_are_told():
    spec = load_op("chain_speculative_sampling")
    params = "threshold_single=1.0,threshold_acc=1.0"
    case = parse_case(f"{spec.name}:B=1,N=2,V=4:fp32:{params}:normal:contiguous")
    assert is_answered(spec, _give(case, "candidates", np.array([[0, 3]])), strict=False)
    assert not is_answered(spec, _give(case, "candidates", np.array([[0, 4]])), strict=False)


def test_the_named_tensors_are_of_ops_or_pipelines():
    from rocmoe.ops.core.spec import list_declared

    known = {each.name for op in list_declared() for each in load_op(op).inputs if each.dtype}
    assert {*CONTENTS, *FIXED} <= known
    assert count_distinct(np.array([1.0, np.nan, np.nan])) == 2
