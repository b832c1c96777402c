"""What a figure of latency shows: whose times, beside which floors, and what is missing."""

import msgspec
import pytest

from rocmoe.profiles.artifact import Measurement
from rocmoe.profiles.measuring.statistics import estimate_median
from rocmoe.profiles.plots.curves import find_latency_curves


def tell(curves):
    return {
        curve.label: [(point.tokens, point.us.value) for point in curve.points] for curve in curves
    }


def test_a_curve_a_backend_by_tokens_with_the_interval_of_the_statistics(
    make_artifact, make_result
):
    groups = [[4.0, 4.4, 4.1], [4.2, 4.3, 4.9], [4.1, 4.0, 4.2]]
    artifact = make_artifact(
        make_result(64, groups), make_result(1, [[2.0]]), make_result(1, [[3.0]], "torch")
    )
    (panel,) = find_latency_curves(artifact)
    assert (panel.op, panel.shape, panel.axis) == ("topk_softmax", "E=256 k=8 bf16", "T")
    assert (panel.timer, panel.cache, panel.tokens) == ("graph", "warm", [1, 64])
    assert tell(panel.curves) == {"triton": [(1, 2.0), (64, 4.1)], "torch": [(1, 3.0)]}
    point = panel.curves[0].points[1]
    assert point.us == estimate_median(groups)
    assert point.us.low < point.us.value < point.us.high
    assert [curve.processes for curve in panel.curves] == [1, 1], "the fewest"
    assert panel.missing == ()


def test_floors_are_those_beside_the_fastest_that_counts(make_artifact, make_result):
    artifact = make_artifact(
        make_result(1, [[2.0]], "aiter", stream=0.5, status="pass", empty=0.4),
        make_result(1, [[1.0]], "triton", stream=0.7),
        make_result(1, [[0.5]], "torch", stream=0.6, status="pass"),
    )
    cheat = artifact.results[2]
    (taken,) = cheat.measurements
    invalid = msgspec.structs.replace(taken, status="invalid")
    results = [*artifact.results[:2], msgspec.structs.replace(cheat, measurements=[invalid])]
    (panel,) = find_latency_curves(msgspec.structs.replace(artifact, results=results))
    assert tell(panel.floors) == {"stream": [(1, 0.7)]}, "the fastest has no empty floor"
    assert {point.status for curve in panel.curves for point in curve.points} == {"ok", "invalid"}


def test_shapes_and_cache_states_have_panels_of_their_own(make_artifact, make_result):
    cold = Measurement("graph", "cold", "unverified", [[9.0]], [20])
    artifact = make_artifact(
        make_result(1, [[2.0]], more=[cold]), make_result(8, [[5.0]], op="top_p_renorm_probs")
    )
    told = [(p.op, p.axis, p.cache, p.tokens) for p in find_latency_curves(artifact)]
    assert told == [
        ("topk_softmax", "T", "warm", [1]),
        ("topk_softmax", "T", "cold", [1]),
        ("top_p_renorm_probs", "B", "warm", [8]),
    ]


def test_the_timer_is_the_first_that_was_used_or_the_one_asked_for(make_artifact, make_result):
    wall = Measurement("wall", "warm", "ok", [[30.0]], [20])
    artifact = make_artifact(make_result(1, [[2.0]], more=[wall]))
    (panel,), (other,) = find_latency_curves(artifact), find_latency_curves(artifact, "wall")
    assert tell(panel.curves) == {"triton": [(1, 2.0)]}
    assert (other.timer, tell(other.curves)) == ("wall", {"triton": [(1, 30.0)]})
    assert find_latency_curves(artifact, "kernel") == []


def test_what_has_no_point_is_told_with_its_reason(make_artifact, make_result):
    stage = Measurement("graph", "warm", "ok", [[1.0]], [20], stage="verify")
    artifact = make_artifact(
        make_result(1, [[2.0]]),
        make_result(0, [[1.0]]),
        make_result(64, more=[stage]),
        make_result(1, [[1.0]], "torch", status="fail"),
        make_result(64, [[1.0]], "torch", status="fail"),
        make_result(8, [[0.0]]),
    )
    (panel,) = find_latency_curves(artifact)
    assert tell(panel.curves) == {"triton": [(1, 2.0)]}
    assert panel.missing == (
        "triton: not on a logarithmic axis at T=0",
        "triton: not timed by graph, warm at T=8, 64",
        "torch: fail at T=1, 64",
    )


@pytest.mark.parametrize("results", [[], [(1, None)], [(0, [[1.0]])]])
def test_nothing_that_can_be_drawn_is_no_panel(make_artifact, make_result, results):
    assert find_latency_curves(make_artifact(*(make_result(*each) for each in results))) == []


def test_devices_are_named_where_there_are_several_and_files_are_short(make_artifact, make_result):
    one = make_artifact(make_result(1, [[2.0]], "user:some/where/mine.py:topk_softmax"))
    assert tell(find_latency_curves(one)[0].curves) == {"mine": [(1, 2.0)]}
    two = make_artifact(make_result(1, [[2.0]]), make_result(1, [[3.0]], device="gpu:1"))
    assert tell(find_latency_curves(two)[0].curves) == {
        "triton gpu:0": [(1, 2.0)],
        "triton gpu:1": [(1, 3.0)],
    }
