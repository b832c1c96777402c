import inspect

import pytest

from rocmoe.ops.core.pipeline import Pipeline, Stage, bind_stages, find_host_reads
from rocmoe.ops.core.spec import Cost


def cost(case):
    del case
    return Cost(1, 1, 1)


def double(x):
    return 2 * x


def split(x, y):
    return x + y, x - y


def make(**reads):
    stages = (
        Stage("double", ("x",), double, cost, **reads),
        Stage("split", ("high", "low"), split, cost),
    )
    return Pipeline(("x", "y"), ("high", "low"), stages)


def test_stages_take_values_by_name_and_replace_those_of_the_same_name():
    assert make()(x=3, y=1) == (7, 5)
    assert list(inspect.signature(make()).parameters) == ["x", "y"]


def test_a_stage_bound_alone_has_what_stood_before_it():
    calls = {bound.stage.name: bound.call for bound in bind_stages(make(), {"x": 3, "y": 1})}
    assert list(calls) == ["double", "split"]
    assert [calls["double"](), calls["double"](), calls["split"]()] == [6, 6, (7, 5)]


def test_inputs_are_left_as_they_were_given():
    given = {"x": 3, "y": 1}
    bind_stages(make(), given)
    make()(**given)
    assert given == {"x": 3, "y": 1}


def test_a_function_that_is_no_pipeline_has_no_stages():
    assert bind_stages(split, {"x": 3, "y": 1}) == []
    assert find_host_reads(split) == ""


def test_a_changed_pipeline_has_another_function_and_the_first_stays():
    changed = make().change(double=lambda y: 10 * y)
    assert changed(x=3, y=1) == (11, 9)
    assert make()(x=3, y=1) == (7, 5)
    with pytest.raises(AssertionError, match="no stage half"):
        make().change(half=double)


def test_what_is_read_on_the_host_is_told_with_its_stage():
    assert find_host_reads(make()) == ""
    assert find_host_reads(make(host_reads="every coin")) == "stage double reads every coin"
