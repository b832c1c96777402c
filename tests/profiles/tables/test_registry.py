"""The forms by name, and what they say of artifacts that they cannot show."""

import shlex

import msgspec
import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.published import load_published
from rocmoe.profiles.sweep import expand_sweep, parse_sweep
from rocmoe.profiles.tables.registry import FORMS, render_form
from rocmoe.profiles.tables.view import name_backends

RMSNORM = "qk_rmsnorm:T=1,Hq=2,Hkv=1,D=64:bf16:eps=1e-06:normal:contiguous"
GATING = "topk_softmax:T=1,E=8,k=2:bf16:renormalize=true:normal:contiguous"


def test_there_are_five_and_each_knows_its_page():
    assert [*FORMS] == ["sglang", "fused", "flydsl", "aiter", "sampling"]
    assert len({str(load_published(form.document).source) for form in FORMS.values()}) == 5
    with pytest.raises(RocmoeError, match="unknown table 'sglan'; nearest: sglang"):
        render_form("sglan", None)


@pytest.mark.parametrize("name", FORMS)
def test_what_is_missing_is_said_with_a_command_that_makes_it(name, make_result, make_artifact):
    with pytest.raises(RocmoeError) as error:
        render_form(name, make_artifact([make_result(RMSNORM, "torch", 4.0)]))
    told = str(error.value)
    assert f"table {name} needs times of {FORMS[name].ops[0]}" in told
    assert "found qk_rmsnorm; try: rocmoe bench" in told
    assert "\n" not in told
    words = shlex.split(told.partition("try: ")[2])
    ops = [word for word in words[2:] if word in FORMS[name].ops]
    swept = parse_sweep([words[words.index("--sweep") + 1]])
    for op in map(load_op, ops):
        assert expand_sweep(op, op.make_case(op.cases[0]), swept)
    assert ops


def test_no_time_at_all_but_of_a_stage(make_result, make_artifact):
    timed = make_result(GATING, "torch", 4.0)
    stages = [msgspec.structs.replace(each, stage="top_k") for each in timed.measurements]
    with pytest.raises(RocmoeError, match="found no times at all"):
        render_form("flydsl", make_artifact([msgspec.structs.replace(timed, measurements=stages)]))


def test_no_time_at_all(make_result, make_artifact):
    artifact = make_artifact([make_result(GATING, "torch", None)])
    with pytest.raises(RocmoeError, match="found no times at all"):
        render_form("flydsl", artifact)


@pytest.mark.parametrize(
    ("times", "timer"),
    [
        ({"wall": 9.0, "kernel": 3.0, "events": 2.0, "graph": 1.0}, "graph"),
        ({"wall": 9.0, "kernel": 3.0, "events": 2.0}, "events"),
        ({"wall": 9.0, "kernel": 3.0}, "kernel"),
        ({"wall": 9.0}, "wall"),
    ],
)
def test_the_first_timer_of_the_run_is_shown(times, timer, make_result, make_artifact):
    (made,) = render_form("flydsl", make_artifact([make_result(GATING, "torch", **times)]))
    assert made.rows[0][3] == f"{times[timer]:.2f}"
    assert made.notes[0].startswith(f"medians by the {timer} timer, warm cache")


def test_short_names_are_told_apart():
    assert name_backends(["torch", "user:a/x.py:f", "user:b/y.py:f", "user:c/x.py:f"]) == {
        "torch": "torch",
        "user:a/x.py:f": "user:a/x.py:f",
        "user:b/y.py:f": "y",
        "user:c/x.py:f": "user:c/x.py:f",
    }
