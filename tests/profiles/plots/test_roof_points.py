"""Points of a roofline: what an op must move and do, over what it took."""

from pathlib import Path

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import read_artifact
from rocmoe.profiles.hardware import load_hardware
from rocmoe.profiles.plots.roof_points import (
    find_profiled_points,
    find_roofline_points,
    list_series,
    place_kernel,
)
from rocmoe.profiles.profiling.diagnosis import Evidence

ROOT = Path(__file__).parents[3]
replace = msgspec.structs.replace


def test_a_case_is_placed_by_the_cost_of_its_op_and_its_median(make_artifact, make_result):
    chart = find_roofline_points(make_artifact(make_result(64, [[4.0, 5.0, 9.0]])))
    (point,) = chart.points
    result = make_result(64)
    cost = load_op("topk_softmax").cost(parse_case(result.case.id))
    moved = cost.bytes_read + cost.bytes_written
    assert point.intensity == pytest.approx(cost.operations / moved)
    assert point.tflops == pytest.approx(cost.operations / 5.0e-6 / 1e12)
    assert (point.series, point.label, point.us) == ("topk_softmax", "T=64", 5.0)
    assert (chart.hardware, chart.what) == (load_hardware("h100"), "graph timer, warm")


def test_series_are_backends_ops_or_both(make_artifact, make_result):
    mine, other = make_result(64, [[4.0]]), make_result(1, [[3.0]], "torch")
    second = make_result(8, [[4.0]], op="top_p_renorm_probs")
    earlier = make_result(1, [[2.0]])

    def name(*results):
        points = find_roofline_points(make_artifact(*results)).points
        return {series: [p.label for p in each] for series, each in list_series(points).items()}

    assert name(mine, earlier, other) == {"triton": ["T=1", "T=64"], "torch": ["T=1"]}
    assert name(mine, second) == {"topk_softmax": ["T=64"], "top_p_renorm_probs": ["B=8"]}
    assert name(mine, second, other) == {
        "topk_softmax triton": ["T=64"],
        "top_p_renorm_probs triton": ["B=8"],
        "topk_softmax torch": ["T=1"],
    }


def test_there_is_no_chart_without_peaks_or_times_that_count(make_artifact, make_result):
    right = make_result(64, [[4.0]])
    assert find_roofline_points(make_artifact(right)) is not None
    assert find_roofline_points(make_artifact(right, gpu="Another GPU")) is None
    assert find_roofline_points(make_artifact(make_result(64, [[4.0]], device="cpu"))) is None
    invalid = make_result(64, [[4.0]], status="pass")
    (taken,) = invalid.measurements
    faster = msgspec.structs.replace(taken, status="invalid")
    cheat = msgspec.structs.replace(invalid, measurements=[faster])
    assert find_roofline_points(make_artifact(cheat)) is None
    gone = msgspec.structs.replace(right.case, op="gone", id="gone:T=1:fp32:-:normal:contiguous")
    unknown = msgspec.structs.replace(right, case=gone)
    assert len(find_roofline_points(make_artifact(right, unknown)).points) == 1


def test_a_kernel_needs_bytes_and_operations():
    hardware = load_hardware("mi300x")
    evidence = Evidence(time_us=2.0, moved_bytes=4e6, operations=1e6)
    point = place_kernel("gemm", "big", evidence, hardware)
    assert (point.intensity, point.tflops, point.us) == (0.25, 0.5, 2.0)
    assert place_kernel("gemm", "big", Evidence(time_us=2.0, moved_bytes=4e6), hardware) is None
    assert place_kernel("gemm", "big", Evidence(time_us=2.0, operations=4e6), hardware) is None


def test_calls_that_were_profiled_are_points_by_what_their_profiles_say():
    artifact = read_artifact(ROOT / "docs" / "artifacts" / "profile-h100.json")
    chart = find_profiled_points(artifact)
    assert chart.hardware.name == "h100"
    assert {point.series for point in chart.points} <= {r.case.op for r in artifact.results}
    (point,) = (each for each in chart.points if each.series == "qk_rmsnorm")
    (result,) = (each for each in artifact.results if each.case.op == "qk_rmsnorm")
    roof = result.profile.roofline
    assert (point.intensity, point.tflops, point.label) == (roof.intensity, roof.tflops, "T=64")


def test_without_a_profile_of_known_hardware_there_is_no_chart():
    timed = read_artifact(ROOT / "docs" / "artifacts" / "models-h100-deepseek-v3.json")
    assert find_profiled_points(timed) is None
    profiled = read_artifact(ROOT / "docs" / "artifacts" / "profile-h100.json")
    unknown = [
        replace(result, profile=replace(result.profile, hardware=None))
        for result in profiled.results
    ]
    assert find_profiled_points(replace(profiled, results=unknown)) is None
