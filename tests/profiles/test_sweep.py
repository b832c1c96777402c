import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import list_ops, load_op
from rocmoe.profiles.suites import find_axis
from rocmoe.profiles.sweep import LADDER, expand_sweep, list_default_cases, parse_sweep

SPEC = load_op("topk_softmax")
BASE = SPEC.make_case(SPEC.cases[0])


def test_several_names_stand_in_one_text_or_in_several():
    wanted = {"T": ["1", "64"], "dtype": ["bf16"]}
    assert parse_sweep(["T=1,64; dtype=bf16"]) == parse_sweep(["T=1, 64", "dtype=bf16"]) == wanted


def test_the_last_name_varies_fastest_and_the_rest_is_that_of_the_base():
    swept = {"T": ["3", "5"], "renormalize": ["false", "true"], "layout": ["strided"]}
    ids = [case.id for case in expand_sweep(SPEC, BASE, swept)]
    assert ids == [
        f"topk_softmax:T={tokens},E=256,k=8:bf16:renormalize={flag}:normal:strided"
        for tokens in (3, 5)
        for flag in ("false", "true")
    ]


def test_values_that_give_one_case_twice_give_it_once():
    assert len(expand_sweep(SPEC, BASE, {"T": ["3", "3", "03"]})) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("T", "'T' is not NAME=VALUE"),
        ("T=1,,2", "is not NAME=VALUE"),
        ("T=1;T=2", "names T twice"),
        ("=3", "is not NAME=VALUE"),
        ("", "is not NAME=VALUE"),
    ],
)
def test_what_is_no_sweep_is_named(text, said):
    with pytest.raises(RocmoeError, match=said):
        parse_sweep([text])


@pytest.mark.parametrize(
    ("swept", "said"),
    [
        ({"TT": ["1"]}, "unknown name in a sweep of topk_softmax 'TT'; nearest: T"),
        ({"T": ["1e3"]}, "T=1e3: wanted whole numbers"),
        ({"k": ["300"]}, r"k=300 is not in \[1, E=256\]"),
        ({"dtype": ["bf61"]}, "unknown dtype 'bf61'; nearest: bf16"),
        ({"renormalize": ["yes"]}, "renormalize='yes' is not what it takes"),
    ],
)
def test_what_is_no_case_of_the_op_is_named(swept, said):
    with pytest.raises(RocmoeError, match=said):
        expand_sweep(SPEC, BASE, swept)


@pytest.mark.parametrize("op", list_ops())
def test_every_op_has_cases_to_time_where_nothing_is_asked_for(op):
    spec = load_op(op)
    cases = list_default_cases(spec, seed=0)
    assert [case.sizes[find_axis(spec)] for case in cases] == list(LADDER)
    assert not [case for case in cases if spec.degenerate(case) or spec.out_of_contract(case)]
