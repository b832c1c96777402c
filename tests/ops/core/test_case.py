import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocmoe.ops.core.case import Case, format_value, parse_case, parse_value
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import load_op

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
VALUES = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    NAMES.filter(lambda word: word not in ("true", "false", "none", "nan", "inf", "infinity")),
)
RIGHT = "topk_softmax:T=4,E=8,k=2:bf16:renormalize=true:normal:contiguous"


@given(
    NAMES,
    st.dictionaries(NAMES, st.integers(0, 10**9), max_size=4),
    NAMES,
    st.dictionaries(NAMES, VALUES, max_size=4),
    NAMES,
    NAMES,
    st.integers(0, 10**6),
)
def test_the_word_parses_back(op, sizes, dtype, params, pattern, layout, seed):
    case = Case(op, sizes, dtype, params, pattern, layout, seed)
    back = parse_case(case.id)
    assert back == case
    assert back.id == case.id
    assert len(case.id.split()) == 1
    types = {name: type(value) for name, value in params.items()}
    assert {name: type(value) for name, value in back.params.items()} == types


@given(VALUES)
def test_values_are_written_and_read(value):
    assert parse_value(format_value(value)) == value


def test_the_word_seeds_the_draw():
    case = parse_case(RIGHT)
    assert case.entropy() != case.with_seed(1).entropy()
    assert case.entropy(0) != case.entropy(1)
    assert case.entropy() == parse_case(RIGHT).entropy()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("", "found 1 parts, wanted OP:"),
        ("topk_softmax", "found 1 parts"),
        (RIGHT + ":seed=1:more", "found 8 parts"),
        (RIGHT.replace("T=4", "T=four"), "'four' is not a whole number"),
        (RIGHT.replace("T=4", "T"), "'T' is not NAME=VALUE"),
        (RIGHT.replace("bf16", "b f"), "'b f' is not a name"),
        (RIGHT + ":seed=x", "'x' is not a whole number"),
    ],
)
def test_what_does_not_parse_is_named(word, said):
    with pytest.raises(RocmoeError, match=said.replace("(", r"\(")):
        parse_case(word)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("T=4,", "T=4,Q=1,", "unknown size 'Q'"),
        ("T=4,", "", "size 'T' is missing"),
        ("T=4,E=8", "E=8,T=4", "out of order; wanted T, E, k"),
        ("T=4", "T=-4", r"T=-4 is not in \[0, 2147483647\]"),
        ("bf16", "bf17", "unknown dtype 'bf17'; nearest: bf16"),
        (
            "renormalize=true",
            "renormalise=true",
            "unknown parameter 'renormalise'; nearest: renorm",
        ),
        ("renormalize=true", "renormalize=3", "renormalize=3 is not what it takes: bool"),
        (":normal:", ":heavy_tie:", "unknown pattern 'heavy_tie'; nearest: heavy_ties"),
        ("contiguous", "stride", "unknown layout 'stride'; nearest: strided"),
        ("k=2", "k=9", r"k=9 is not in \[1, E=8\]"),
    ],
)
def test_a_case_that_its_op_does_not_have_is_refused(old, new, said):
    case = parse_case(RIGHT.replace(old, new, 1))
    with pytest.raises(RocmoeError, match=said):
        load_op("topk_softmax").check_case(case)
