import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.core.arithmetic import Scope, read_expression
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.launch_file import DeclaredTensor

X = DeclaredTensor("x", (3, 5), "bf16", "zeros")
SCOPE = Scope({"T": 33, "E": 256, "k": 8, "dtype": "bf16", "renormalize": True}, {"x": X})

NUMBERS = st.one_of(st.integers(0, 99).map(str), st.sampled_from(["T", "E", "k"]))
TREES = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "<", "=="]), inner).map(
            lambda each: f"({each[0]} {each[1]} {each[2]})"
        ),
        st.tuples(inner, inner, inner).map(lambda each: f"({each[0]} if {each[1]} else {each[2]})"),
        st.tuples(inner, inner).map(lambda each: f"max({each[0]}, {each[1]})"),
        inner.map(lambda each: f"(-{each})"),
    ),
    max_leaves=8,
)


@given(TREES)
@settings(max_examples=60, deadline=None)
def test_what_is_taken_means_what_python_means(text):
    values = {"T": 33, "E": 256, "k": 8, "max": max}
    try:
        wanted = eval(text, {"__builtins__": {}}, values)
    except ZeroDivisionError:
        with pytest.raises(RocmoeError, match="divides by zero"):
            read_expression(text).evaluate(SCOPE)
    else:
        assert read_expression(text).evaluate(SCOPE) == wanted


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cdiv(T, 4)", 9),
        ("cdiv(T - 1, 4)", 8),
        ("min(T, E, k) << 2", 32),
        ("stride(x, 0)", 5),
        ("shape(x, 1) * itemsize(x)", 10),
        ("renormalize", True),
        ("dtype == 'bf16'", True),
        ("0 < k <= 8", True),
        (7, 7),
        (1e-6, 1e-6),
        (-3, -3),
    ],
)
def test_functions_and_words(text, value):
    assert read_expression(text).evaluate(SCOPE) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("T +", "'T +' is no expression; wanted numbers"),
        ("", "is no expression"),
        ("__import__('os')", "unknown function '__import__'"),
        ("T.real", "'T.real' is not taken"),
        ("(lambda: 1)()", "unknown function"),
        ("[T]", "'[T]' is not taken"),
        ("T ** T", "is not taken"),
        ("T and E", "is not taken"),
        ("cdvi(T, 4)", "unknown function 'cdvi'; nearest: cdiv"),
        ("cdiv(T)", "too few or many arguments"),
        ("cdiv(T, 4, 5)", "too few or many arguments"),
        ("stride(3, 0)", "stride wants the name of a tensor first"),
        ("stride(x)", "too few or many arguments"),
        ("min(T, key=E)", "too few or many arguments"),
        ("1j", "is not taken"),
    ],
)
def test_other_forms_are_refused_unevaluated(text, said):
    with pytest.raises(RocmoeError) as refused:
        read_expression(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("TT", "unknown name 'TT'; nearest: T"),
        ("stride(y, 0)", "unknown tensor 'y'"),
        ("stride(x, 2)", "x has no axis 2, it has 2"),
        ("T / 0", "divides by zero"),
        ("dtype * 9999999", "a word is no number"),
        ("1 << 999999999", "a shift by 999999999"),
        ("dtype < 3", "has no value"),
    ],
)
def test_what_has_no_value_says_why(text, said):
    with pytest.raises(RocmoeError) as refused:
        read_expression(text).evaluate(SCOPE)
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["-1", "T / 2", "dtype", "renormalize", "0.5"])
def test_a_count_is_a_whole_number_from_0_up(text):
    with pytest.raises(RocmoeError, match="wanted a whole number from 0 up"):
        read_expression(text).evaluate_count(SCOPE)
