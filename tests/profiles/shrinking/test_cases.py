"""Smaller cases: what is needed stays, all else goes, and only cases of the op are tried."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.shrinking.cases import fit_given, list_smaller, list_valid, reduce_case

SOFTMAX = load_op("topk_softmax")
CASE = parse_case("topk_softmax:T=257,E=384,k=8:bf16:renormalize=true:heavy_ties:strided:seed=9")


def test_everything_gets_as_small_as_it_can(try_cases):
    find_first = try_cases(lambda case: True)
    smallest = reduce_case(SOFTMAX, CASE, find_first)
    # A single expert, or no token, would be passed by a trivial answer.
    assert smallest.id == "topk_softmax:T=1,E=2,k=1:fp32:renormalize=false:normal:contiguous"
    assert len(find_first.tried) < 30


@pytest.mark.parametrize(
    "needed",
    [
        lambda case: case.sizes["T"] >= 5,
        lambda case: case.sizes["E"] >= 131 and case.sizes["k"] > 1,
        lambda case: case.sizes["E"] > 12 * case.sizes["k"] and case.sizes["k"] >= 3,
        lambda case: case.dtype == "bf16" and case.layout == "strided",
        lambda case: case.params["renormalize"] and case.pattern == "heavy_ties",
        lambda case: case.sizes["E"] % 16 == 0,
    ],
)
def test_what_the_failure_needs_is_kept_and_nothing_is_left_that_it_does_not(try_cases, needed):
    smallest = reduce_case(SOFTMAX, CASE, try_cases(needed))
    assert needed(smallest)
    for name, size in smallest.sizes.items():
        for less in list_smaller(size):
            smaller = replace(smallest, sizes={**smallest.sizes, name: less})
            assert not (list_valid(SOFTMAX, smallest, [smaller]) and needed(smaller))


def test_few_rows_are_drawn_several_times(try_cases):
    smallest = reduce_case(
        SOFTMAX, CASE, try_cases(lambda case: case.sizes["T"] > 8 or case.seed == 4)
    )
    assert (smallest.sizes["T"], smallest.seed) == (1, 4)


def test_all_that_is_tried_is_a_case_of_the_op(try_cases):
    for op in ("grouped_topk", "moe_sorting", "qk_norm_rope", "top_k_top_p_renorm_probs"):
        spec = load_op(op)
        for row in spec.cases[:12]:
            case = spec.make_case(row)
            find_first = try_cases(lambda case: case.sizes.get("E", 8) % 8 == 0)
            reduce_case(spec, case, find_first)
            for each in find_first.tried:
                assert spec.check_case(each)
                outside = spec.out_of_contract(each), spec.out_of_contract(case)
                assert bool(outside[0]) == bool(outside[1])
                assert spec.degenerate(case) or not spec.degenerate(each)


def test_sizes_that_have_to_be_the_same_get_smaller_together(try_cases):
    case = parse_case("topk_softmax:T=4,E=64,k=64:fp32:renormalize=false:normal:contiguous")
    smallest = reduce_case(
        SOFTMAX, case, try_cases(lambda case: case.sizes["E"] == case.sizes["k"])
    )
    assert (smallest.sizes["E"], smallest.sizes["k"]) == (2, 2)


@given(st.integers(0, 10**6))
def test_smaller_sizes_begin_with_the_smallest_and_lead_everywhere(size):
    smaller = list_smaller(size)
    assert smaller == sorted(set(smaller))
    assert all(0 <= each < size for each in smaller)
    assert len(smaller) <= 30
    assert size == 0 or size - 1 in smaller


def test_values_that_are_given_are_cut_to_the_sizes():
    given_values = "gating_output=1/2/3/4/5/6"
    case = parse_case(
        f"topk_softmax:T=2,E=3,k=1:fp32:renormalize=true:normal:contiguous:{given_values}"
    )
    fitted = fit_given(SOFTMAX, case, replace(case, sizes={"T": 2, "E": 2, "k": 1}))
    assert dict(fitted.given) == {"gating_output": "1/2/4/5"}
    fitted = fit_given(SOFTMAX, case, replace(case, sizes={"T": 1, "E": 3, "k": 1}))
    assert dict(fitted.given) == {"gating_output": "1/2/3"}
    assert fit_given(SOFTMAX, case, replace(case, sizes={"T": 3, "E": 3, "k": 1})) is None


def test_rows_of_probabilities_still_sum_to_one_and_no_expert_is_lost():
    spec = load_op("top_p_renorm_probs")
    case = parse_case(
        "top_p_renorm_probs:B=1,V=3:fp32:top_p=0.9:normal:contiguous:probs=0.25/0.25/0.5"
    )
    fitted = fit_given(spec, case, replace(case, sizes={"B": 1, "V": 2}))
    assert dict(fitted.given) == {"probs": "2x0.5"}
    spec = load_op("moe_align_block_size")
    case = parse_case("moe_align_block_size:T=1,E=4,k=2,B=1:fp32:-:uniform:contiguous:topk_ids=0/2")
    assert fit_given(spec, case, replace(case, sizes={**case.sizes, "E": 3})) is not None
    assert fit_given(spec, case, replace(case, sizes={**case.sizes, "E": 2})) is None
